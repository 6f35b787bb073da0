"""A real `hodei dev` of the benchmark's own, as a user would start it, and what it costs."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import psutil

from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc

HODEI = Path(sys.executable).with_name("hodei")
START_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that serves."""

    address: str
    pid: int
    log_file: Path

    def worker_trees(self, worker_pids: list[int]) -> list[psutil.Process]:
        """Every process of these workers."""
        found: list[psutil.Process] = []
        for pid in worker_pids:
            with suppress(psutil.NoSuchProcess):
                worker = psutil.Process(pid)
                found += [worker, *worker.children(recursive=True)]
        return found


@contextmanager
def running_server(**settings: object) -> Iterator[Running]:
    """Starts a server in a directory of its own; stops it and its workers at the end."""
    with tempfile.TemporaryDirectory(prefix="hodei-bench-") as scratch:
        ready, log_file = Path(scratch) / "ready.json", Path(scratch) / "server.log"
        ports = [
            word
            for port in ("grpc", "worker", "enroll", "http")
            for word in (f"--{port}-port", "0")
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HODEI_")}
        environment |= {f"HODEI_{key.upper()}": str(value) for key, value in settings.items()}
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [HODEI, "dev", "--data-dir", f"{scratch}/data", *ports, "--ready-file", ready],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        try:
            wait_for_file(ready, process, log_file)
            addresses = json.loads(ready.read_text())
            yield Running(address=addresses["grpc"], pid=addresses["pid"], log_file=log_file)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for_file(ready: Path, process: subprocess.Popen[bytes], log_file: Path) -> None:
    """Returns once the file is there; fails when the server has ended or takes too long."""
    deadline = time.monotonic() + START_WITHIN_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the server did not start:\n{log_file.read_text()}")
        time.sleep(0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stubs:
    """The bare calls, with no client of ours between."""

    jobs: rpc.JobExecutionServiceStub
    logs: rpc.LogStreamServiceStub
    workers: rpc.WorkerServiceStub
    server: rpc.ServerServiceStub

    @classmethod
    def on(cls, channel: grpc.aio.Channel) -> "Stubs":
        """The calls on a channel."""
        return cls(
            jobs=rpc.JobExecutionServiceStub(channel),
            logs=rpc.LogStreamServiceStub(channel),
            workers=rpc.WorkerServiceStub(channel),
            server=rpc.ServerServiceStub(channel),
        )

    async def position(self) -> str:
        """That of the newest event."""
        return (await self.server.GetServerInfo(pb.GetServerInfoRequest())).position

    async def first_byte(self, definition: pb.JobDefinition) -> float:
        """Milliseconds from queueing a job, which has an id, to the first byte that it prints."""
        began = time.perf_counter()
        await self.jobs.QueueJob(pb.QueueJobRequest(job_definition=definition))
        entries = self.logs.SubscribeLogs(
            pb.SubscribeLogsRequest(job_id=definition.job_id.value, include_history=True, raw=True)
        )
        async for entry in entries:
            if entry.data:
                break
        took = time.perf_counter() - began
        entries.cancel()
        return took * 1000

    async def until_connected(self, workers: int) -> None:
        """Returns once so many workers have a stream, to whichever server."""
        async with asyncio.timeout(START_WITHIN_S):
            while True:
                answer = await self.workers.ListWorkers(pb.ListWorkersRequest())
                if sum(worker.connected for worker in answer.workers) >= workers:
                    return
                await asyncio.sleep(0.05)

    async def worker_pids(self) -> list[int]:
        """Of the local workers that have not ended."""
        answer = await self.workers.ListWorkers(pb.ListWorkersRequest())
        return [worker.pid for worker in answer.workers if worker.HasField("pid")]


def echo(text: str, job_id: str = "", *, image: str = "") -> pb.JobDefinition:
    """A job that prints a line."""
    return pb.JobDefinition(
        job_id=pb.JobId(value=job_id) if job_id else None,
        command="echo",
        arguments=[text],
        image=image,
    )
