"""A process that appends without end and says what was acknowledged, to be killed at any instant.

Arguments: the store's directory, the seed. Each line is `<job> <stream> <end>`, printed once that end
was acknowledged. What byte is at an offset follows from the job and the stream, so that whoever
reads can tell what must be there.
"""

import asyncio
import random
import sys
from pathlib import Path

from hodei.adapters.logstore import SegmentLogStore
from hodei.adapters.logstore.writer import SegmentLimits
from hodei.domain.logs import LogChunk, LogStream
from hodei.kernel.ids import JobId
from hodei.lifecycle.system_clock import SystemClock

JOBS = [JobId(f"job-{n}") for n in range(6)]
LIMITS = SegmentLimits(max_bytes=200_000)
_PATTERN_BYTES = 65_521


def expected(job_id: JobId, stream: LogStream, start: int, end: int) -> bytes:
    """The bytes of a stream; two streams differ almost everywhere."""
    pattern = random.Random(f"{job_id}/{stream}").randbytes(_PATTERN_BYTES)
    whole = pattern * (end // _PATTERN_BYTES + 1)
    return whole[start:end]


async def write_job(store: SegmentLogStore, job_id: JobId, chance: random.Random) -> None:
    clock = SystemClock()
    ends = await store.ends(job_id, 1)
    while True:
        chunks: list[LogChunk] = []
        for _ in range(chance.randint(1, 3)):
            stream = chance.choice(list(LogStream))
            # At times from before the end, as a worker does after a lost acknowledgement.
            offset = max(0, ends[stream] - chance.choice([0, 0, 0, 1, 500]))
            data = expected(job_id, stream, offset, offset + chance.choice([1, 80, 4000, 30_000]))
            chunks.append(
                LogChunk(
                    job_id=job_id,
                    attempt=1,
                    stream=stream,
                    offset=offset,
                    data=data,
                    at=clock.now(),
                )
            )
            ends[stream] = max(ends[stream], chunks[-1].end)
        for end in await store.append(chunks):
            sys.stdout.write(f"{job_id} {end.stream.value} {end.end}\n")
        sys.stdout.flush()


async def main(directory: str, seed: str) -> None:
    store = await SegmentLogStore.open(Path(directory), SystemClock(), limits=LIMITS)
    async with asyncio.TaskGroup() as group:
        for job_id in JOBS:
            group.create_task(write_job(store, job_id, random.Random(f"{seed}/{job_id}")))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
