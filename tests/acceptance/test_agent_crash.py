"""A worker's processes die; its jobs' processes go with them, and the jobs go on elsewhere."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from acceptance.harness import (
    HodeiServer,
    assert_all_gone,
    eventually,
    identify,
    on_a_busy_machine,
)
from acceptance.reading import output_of
from acceptance.trees import ESCAPED, escape_artist, write_folder
from hodei.sdk import Client, Job


def ancestors_in_worker(job_process: psutil.Process, server: HodeiServer) -> list[psutil.Process]:
    """What stands between a job's main process and the process that started its worker."""
    with server.client() as client:
        roots = {worker.pid for worker in client.workers()}
    found: list[psutil.Process] = []
    process = job_process.parent()
    while process is not None:
        found.append(process)
        if process.pid in roots:
            return found
        process = process.parent()
    raise AssertionError(f"none of {roots} is an ancestor of {job_process}")


def main_process(folder: Path) -> psutil.Process:
    """The main process of an escape artist."""
    return psutil.Process(int((folder / "main").read_text()))


def second_attempt(client: Client, job_id: str) -> Job | None:
    """The job, once its second attempt runs."""
    job = client.get(job_id)
    return job if len(job.attempts) == 2 and job.attempts[1].state == "RUNNING" else None


# 0 is the nearest to the job. Whichever process of the worker dies, the job's tree has to go.
@pytest.mark.parametrize("distance", [0, 1, -1], ids=["the slot", "its parent", "the worker's pid"])
def test_a_killed_worker_takes_the_whole_tree_along_and_the_job_runs_again_within_2_s(
    start_server: Callable[..., HodeiServer], tmp_path: Path, distance: int
) -> None:
    own = start_server()
    folder = write_folder(tmp_path)
    with own.client() as client:
        job = client.submit(command=escape_artist(folder), retries=1, grace=0.2)
        processes = identify(folder, count=ESCAPED)
        victim = ancestors_in_worker(main_process(folder), own)[distance]
        killed_at = time.monotonic()
        victim.kill()
        again = eventually(lambda: second_attempt(client, job.id), within_s=5)
        took_s = time.monotonic() - killed_at
        # Gone before the second began, not after it: the job must never run twice at once.
        first_end = again.attempts[0].finished_at
        assert first_end is not None
        assert not [process for process in processes if process.is_running()]
        assert again.attempts[0].state == "LOST" or distance == 0
        assert took_s < on_a_busy_machine(2.0), f"{took_s:.2f} s"
        client.cancel(job.id)
        client.wait(job.id)


def test_a_job_without_retries_fails_with_worker_lost_within_2_s(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    own = start_server()
    folder = write_folder(tmp_path)
    with own.client() as client:
        job = client.submit(command=escape_artist(folder))
        processes = identify(folder, count=ESCAPED)
        killed_at = time.monotonic()
        for process in ancestors_in_worker(main_process(folder), own):
            process.kill()
        ended = client.wait(job.id, timeout=10)
        took_s = time.monotonic() - killed_at
        assert_all_gone(processes, within_s=0)
        # The next job gets a new worker.
        assert client.wait(client.submit(command=["true"]).id, timeout=10).state == "SUCCEEDED"
    assert (ended.state, ended.attempts[0].state) == ("FAILED", "LOST")
    assert ended.reason is not None
    assert ended.reason.code == "WORKER_LOST"
    assert took_s < on_a_busy_machine(2.0), f"{took_s:.2f} s"


def test_output_from_before_the_loss_of_a_worker_is_kept(
    start_server: Callable[..., HodeiServer],
) -> None:
    own = start_server()
    with own.client() as client:
        job = client.submit(command=["sh", "-c", "seq 1000; sleep 60"])
        got = b""
        for chunk in client.logs(job.id):
            got += chunk.data
            if got.endswith(b"\n1000\n"):
                break
        (worker,) = [
            each for each in client.workers() if each.id == client.get(job.id).attempts[0].worker_id
        ]
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        client.wait(job.id, timeout=10)
        assert output_of(client, job.id).stdout == got


def test_sigterm_drains_an_agent(start_server: Callable[..., HodeiServer], tmp_path: Path) -> None:
    own = start_server()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with own.client() as client:
        job = client.submit(
            command=["sh", "-c", 'echo begun; cat "$1"; echo ended', "sh", str(gate)]
        )
        assert next(iter(client.logs(job.id))).data == b"begun\n"
        worker_id = client.get(job.id).attempts[0].worker_id
        (worker,) = [each for each in client.workers() if each.id == worker_id]
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGTERM)
        eventually(
            lambda: [w for w in client.workers() if w.id == worker_id and w.state == "DRAINING"],
            within_s=5,
            what="the worker's state DRAINING",
        )
        # What is queued now goes to another worker.
        assert client.wait(client.submit(command=["true"]).id, timeout=10).state == "SUCCEEDED"
        gate.write_bytes(b"")
        ended = client.wait(job.id, timeout=10)
        assert (ended.state, len(ended.attempts)) == ("SUCCEEDED", 1)
        assert output_of(client, job.id).stdout == b"begun\nended\n"
        eventually(
            lambda: worker_id not in {w.id for w in client.workers()},
            within_s=10,
            what="the worker's end",
        )


def test_a_drained_worker_finishes_and_leaves(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    own = start_server()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with own.client() as client:
        job = client.submit(command=["cat", str(gate)])
        eventually(lambda: client.get(job.id).state == "RUNNING", what="RUNNING")
        worker_id = client.get(job.id).attempts[0].worker_id
        assert own.cli("workers", "drain", str(worker_id)).code == 0
        gate.write_bytes(b"x")
        assert client.wait(job.id, timeout=10).state == "SUCCEEDED"
        eventually(
            lambda: worker_id not in {w.id for w in client.workers()},
            within_s=10,
            what="the worker's end",
        )
