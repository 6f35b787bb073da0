"""Many containers at once, in bad company. Long: `make soak` runs them."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

import docker_images
from acceptance.docker_server import (
    Start,
    container_of,
    containers,
    history,
    output,
    running,
    start_with_docker,
)
from acceptance.harness import HodeiServer, eventually
from docker_engine import Engine
from docker_images import BUSYBOX
from hodei.lifecycle.system_clock import SystemClock
from hodei.providers.docker.container import WORKER_LABEL
from hodei.sdk import Job

WITHIN_S = 300
ONCE_MORE = 'echo "attempt $HODEI_ATTEMPT"; [ "$HODEI_ATTEMPT" = 1 ] && exec sleep 600; true'
"""Waits to be ended in its first attempt, and is done in its second."""
SMALL_DISK = "size=1g"

pytestmark = pytest.mark.soak
TIMEOUT = pytest.mark.timeout(900)
"""On each test: what the bundle's fixture asks for would go before the module's own."""


@pytest.fixture
def start(
    start_server: Start, docker_engine: Engine, agent_bundle: Path
) -> Callable[..., HodeiServer]:
    def start(engine: Engine = docker_engine, **settings: object) -> HodeiServer:
        return start_with_docker(start_server, engine, agent_bundle, **settings)

    return start


@pytest.fixture
def small_engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose disk is full soon."""
    directory = Path("/tmp") / f"hodei-small-{tmp_path.name[-8:]}"
    directory.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", SMALL_DISK, "tmpfs", str(directory)]
    if subprocess.run(mount, check=False).returncode:
        directory.rmdir()
        pytest.skip("no file system can be mounted here")
    engine = Engine(directory=directory)
    try:
        engine.start()
        docker_images.load(engine)
        yield engine
    finally:
        engine.stop()
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        directory.rmdir()


@contextmanager
def ends_seen_by(engine: Engine, since: datetime) -> Iterator[dict[str, datetime]]:
    """When the engine saw the container of a worker stop or pause, by worker."""
    command = [
        *("docker", "--host", engine.host, "events", "--format", "{{json .}}"),
        *("--filter", "event=die", "--filter", "event=pause"),
        f"--since={since.timestamp():.3f}",
    ]
    seen_at: dict[str, datetime] = {}

    def read(lines: Iterable[bytes]) -> None:
        for line in lines:
            event = json.loads(line)
            worker_id = event["Actor"]["Attributes"][WORKER_LABEL]
            seen_at.setdefault(worker_id, datetime.fromtimestamp(event["timeNano"] / 1e9, UTC))

    with subprocess.Popen(command, stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        reader = Thread(target=read, args=(watch.stdout,))
        reader.start()
        try:
            yield seen_at
        finally:
            watch.terminate()
            reader.join()


def submit(server: HodeiServer, count: int, *command: str, **request: object) -> list[Job]:
    plain: dict[str, object] = {
        "command": [*command],
        "image": BUSYBOX,
        "retries": 3,
        "backoff": 0,
        "timeout": WITHIN_S,
    }
    with server.client() as client:
        return client.submit_many([plain | request for _ in range(count)])


def ended(server: HodeiServer, job_id: str) -> Job:
    with server.client() as client:
        return client.wait(job_id, timeout=WITHIN_S)


def assert_nothing_is_left(server: HodeiServer, engine: Engine) -> None:
    eventually(lambda: containers(server, engine) == [], within_s=120, what="no container left")


@TIMEOUT
@pytest.mark.parametrize("hand", ["stop", "kill", "pause"])
def test_twenty_containers_are_ended_at_once_and_every_job_goes_on(
    start: Callable[..., HodeiServer], docker_engine: Engine, hand: str
) -> None:
    server = start(docker_max_workers=20, docker_enroll_timeout="2m")
    jobs = submit(server, 20, "sh", "-c", ONCE_MORE)
    workers = {
        running(server, job.id, within_s=WITHIN_S).attempts[0].worker_id: job.id for job in jobs
    }
    found = {worker_id: container_of(docker_engine, worker_id) for worker_id in workers}
    began_at = SystemClock().now()
    with (
        ends_seen_by(docker_engine, began_at) as seen_at,
        ThreadPoolExecutor(len(found)) as threads,
    ):
        list(threads.map(lambda container: docker_engine.docker(hand, container), found.values()))
        eventually(lambda: found.keys() <= seen_at.keys(), within_s=60, what="all ends were seen")
    for job in jobs:
        done = ended(server, job.id)
        assert (done.state, len(done.attempts)) == ("SUCCEEDED", 2)
        assert done.attempts[0].reason is not None
        assert done.attempts[0].reason.code == "WORKER_LOST"
        assert output(server, job.id) == b"attempt 1\nattempt 2\n"
    told_at = {
        worker_id: event.at
        for worker_id, job_id in workers.items()
        for event in history(server, job_id)
        if event.type == "WorkerStopped" and event.worker_id == worker_id
    }
    assert told_at.keys() == workers.keys()
    for what, since in (
        ("the hand", dict.fromkeys(told_at, began_at)),
        ("the engine saw it", seen_at),
    ):
        after_s = [(told_at[each] - since[each]).total_seconds() for each in told_at]
        print(
            f"docker {hand} of 20: WorkerStopped {min(after_s):.2f} to {max(after_s):.2f} s after {what}"
        )
    assert_nothing_is_left(server, docker_engine)


@TIMEOUT
def test_a_hundred_jobs_on_ten_containers_outlive_a_server_that_is_killed_again_and_again(
    start: Callable[..., HodeiServer], docker_engine: Engine
) -> None:
    server = start(
        docker_max_workers=10,
        docker_jobs_per_worker=10,
        docker_enroll_timeout="30s",
        docker_idle_timeout="5s",
    )
    jobs = submit(server, 100, "sh", "-c", "sleep 1; echo done")
    most = 0
    for _ in range(3):
        # In the middle of making them: some are there, and not all.
        eventually(lambda: containers(server, docker_engine), within_s=WITHIN_S, what="a container")
        server.kill()
        most = max(most, len(containers(server, docker_engine)))
        server.start()
    for job in jobs:
        done = ended(server, job.id)
        most = max(most, len(containers(server, docker_engine)))
        assert done.state == "SUCCEEDED"
        lost = [each for each in done.attempts[:-1] if each.state != "LOST"]
        assert lost == [], "an attempt that ended by itself was followed by another"
        assert output(server, job.id).endswith(b"done\n")
        names = [
            event.worker_id for event in history(server, job.id) if event.type == "JobAssigned"
        ]
        assert len(set(names)) == len(done.attempts), "given twice to one worker"
    print(f"100 jobs, server killed 3 times: {most} containers at most")
    assert most <= 10
    assert_nothing_is_left(server, docker_engine)


@TIMEOUT
def test_a_job_that_fills_the_disk_fails_and_the_others_do_not_notice(
    start: Callable[..., HodeiServer], small_engine: Engine
) -> None:
    server = start(small_engine, docker_max_workers=3)
    [neighbour] = submit(server, 1, "sh", "-c", "for i in $(seq 60); do echo $i; sleep 0.5; done")
    running(server, neighbour.id, within_s=WITHIN_S)
    [filler] = submit(
        server, 1, "sh", "-c", "cat /dev/zero > /fill; echo the disk is full; exit 3", retries=0
    )
    done = ended(server, filler.id)
    print(f"the filler ended as {done.state}: {done.reason}")
    assert done.state == "FAILED"
    assert ended(server, neighbour.id).state == "SUCCEEDED"
    assert output(server, neighbour.id).split()[-1] == b"60"
    [after] = submit(server, 1, "echo", "there is room again")
    assert ended(server, after.id).state == "SUCCEEDED"
    assert_nothing_is_left(server, small_engine)
