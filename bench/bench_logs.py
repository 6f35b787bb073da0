"""What the log stores take: MB of output a second, and small appends a second, of both in turns.

Run it alone: `.venv/bin/python bench/bench_logs.py`. The floor is a file that is appended to and
synced by a process that does nothing else, measured in the same run. Everything that is counted was
acknowledged, and is on the disk.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from operator import truediv
from pathlib import Path

from hodei.adapters.logstore import SegmentLogStore
from hodei.adapters.postgres.logs import PostgresLogStore
from hodei.domain.logs import LogChunk, LogStream
from hodei.kernel.ids import JobId
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports.logs import LogStore
from own_postgres import UnusableError, own_postgres
from report import Figure, show

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MB = 1_000_000
LARGE = 64 * 1024
"""What an agent sends at most in one chunk."""
SMALL = 100
WORKERS = 16
"""Streams of workers, each of which appends one thing after the other."""
TURNS = 3


def output(size: int) -> bytes:
    """Lines as builds write them: words that come again, and numbers that do not."""
    draw = random.Random(1)
    words = [bytes(draw.choices(b"abcdefghijklmnop", k=draw.randrange(3, 12))) for _ in range(300)]
    lines: list[bytes] = []
    while sum(map(len, lines)) < size:
        lines.append(b"%d %s\n" % (draw.randrange(10**9), b" ".join(draw.choices(words, k=8))))
    return b"".join(lines)[:size]


async def appended_per_s(store: LogStore, turn: str, data: bytes, each: int) -> float:
    """Appends a second of all workers together."""

    async def work(worker: int) -> None:
        job_id = JobId(f"{turn}-{worker}")
        for number in range(each):
            chunk = LogChunk(
                job_id=job_id,
                attempt=1,
                stream=LogStream.STDOUT,
                offset=number * len(data),
                data=data,
                at=NOW,
            )
            (end,) = await store.append([chunk])
            assert end.end == chunk.end

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for worker in range(WORKERS):
            tasks.create_task(work(worker))
    return WORKERS * each / (time.perf_counter() - began)


async def read_per_s(store: LogStore, turn: str) -> float:
    """Bytes a second of one reader of what was appended."""
    began, size = time.perf_counter(), 0
    for worker in range(WORKERS):
        after = 0
        while page := await store.read(
            JobId(f"{turn}-{worker}"), after_sequence=after, max_bytes=2**20
        ):
            after = page[-1].sequence
            size += sum(len(entry.chunk.data) for entry in page)
    return size / (time.perf_counter() - began)


def synced_per_s(path: Path, size: int, times: int) -> float:
    """The floor: as many bytes appended to a file and synced, one after the other."""
    data = os.urandom(size)
    descriptor = os.open(path / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = time.perf_counter()
    for _ in range(times):
        os.write(descriptor, data)
        os.fdatasync(descriptor)
    took = time.perf_counter() - began
    os.close(descriptor)
    return times / took


async def measure(openers: dict[str, Callable[[], Awaitable[LogStore]]]) -> list[Figure]:
    large, small = output(LARGE), output(SMALL)
    rates: dict[str, list[float]] = {}
    stores = {name: await opened() for name, opened in openers.items()}
    for turn in range(TURNS):
        for name, store in stores.items():
            for what, ask in (
                ("MB/s", appended_per_s(store, f"large-{turn}", large, 40)),
                ("appends/s", appended_per_s(store, f"small-{turn}", small, 150)),
                ("read MB/s", read_per_s(store, f"large-{turn}")),
            ):
                scale = {"MB/s": LARGE / MB, "read MB/s": 1 / MB}.get(what, 1)
                rates.setdefault(f"{name} {what}", []).append(await ask * scale)
    for store in stores.values():
        await store.close()
    for name, all_of in rates.items():
        print(
            f"{name}: {statistics.median(all_of):,.0f} (of {min(all_of):,.0f}…{max(all_of):,.0f})"
        )
    return [
        Figure(
            name=f"{what}, PostgreSQL to segments",
            value=statistics.median(
                map(truediv, rates[f"postgres {what}"], rates[f"segments {what}"])
            ),
            unit="",
            target=target,
            at_least=True,
        )
        for what, target in (("MB/s", 0.2), ("appends/s", 0.2))
        if "postgres MB/s" in rates
    ]


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        print(f"a file, {SMALL} bytes and a sync: {synced_per_s(place, SMALL, 300):,.0f}/s")
        rate = synced_per_s(place, 2**20, 50)
        print(f"a file, 1 MiB and a sync: {rate * 2**20 / MB:,.0f} MB/s")
        clock = SystemClock()
        openers: dict[str, Callable[[], Awaitable[LogStore]]] = {
            "segments": lambda: SegmentLogStore.open(place / "logs", clock)
        }
        try:
            with own_postgres() as postgres:
                openers["postgres"] = lambda: PostgresLogStore.open(postgres.url(), clock)
                return show(asyncio.run(measure(openers)))
        except UnusableError as error:
            print(f"PostgreSQL is not measured: {error}")
            return show(asyncio.run(measure(openers)))


if __name__ == "__main__":
    raise SystemExit(main())
