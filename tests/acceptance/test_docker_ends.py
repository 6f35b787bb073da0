"""Containers that end otherwise than by their job's end: the truth at once, and no job is lost."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.docker_server import (
    Start,
    container_of,
    containers,
    history,
    output,
    running,
    start_with_docker,
)
from acceptance.harness import HodeiServer, eventually, on_a_busy_machine
from docker_engine import Engine
from docker_images import BUSYBOX
from hodei.lifecycle.system_clock import SystemClock
from hodei.sdk import Job

WITHIN_S = 120
ONCE_MORE = 'echo "attempt $HODEI_ATTEMPT"; [ "$HODEI_ATTEMPT" = 1 ] && exec sleep 600; true'
"""Waits to be ended in its first attempt, and is done in its second."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def start(
    start_server: Start, docker_engine: Engine, agent_bundle: Path
) -> Callable[..., HodeiServer]:
    def start(engine: Engine = docker_engine, **settings: object) -> HodeiServer:
        return start_with_docker(start_server, engine, agent_bundle, **settings)

    return start


def submit(server: HodeiServer, count: int = 1, **request: object) -> list[Job]:
    plain: dict[str, object] = {
        "command": ["sh", "-c", ONCE_MORE],
        "image": BUSYBOX,
        "retries": 1,
        "backoff": 0,
        "timeout": 100,
    }
    with server.client() as client:
        return client.submit_many([plain | request for _ in range(count)])


def ended(server: HodeiServer, job_id: str) -> Job:
    with server.client() as client:
        return client.wait(job_id, timeout=WITHIN_S)


def assert_nothing_is_left(server: HodeiServer, engine: Engine) -> None:
    # A drained worker that does not end by itself is taken down after 30 s.
    eventually(lambda: containers(server, engine) == [], within_s=90, what="no container left")


def test_the_end_by_another_hand_is_told_at_once_and_the_job_goes_on_elsewhere(
    start: Callable[..., HodeiServer], docker_engine: Engine
) -> None:
    server = start()
    hands = {
        ("stop",): ("signal 15", {"137", "143"}),
        ("kill",): ("signal 9", {"137"}),
        ("rm", "-f"): ("signal 9", {"137"}),
        ("pause",): ("paused", set[str]()),
    }
    jobs = dict(zip(hands, submit(server, len(hands)), strict=True))
    for hand, job in jobs.items():
        worker_id = running(server, job.id).attempts[0].worker_id
        container = container_of(docker_engine, worker_id)
        began_at = SystemClock().now()
        docker_engine.docker(*hand, container)
        reason, codes = hands[hand]

        def stopped(job_id: str = job.id, worker_id: str = worker_id) -> object:
            return next(
                (
                    event
                    for event in history(server, job_id)
                    if event.type == "WorkerStopped" and event.worker_id == worker_id
                ),
                None,
            )

        event = eventually(stopped, within_s=10, what=f"WorkerStopped after docker {hand}")
        told_after_s = (event.at - began_at).total_seconds()
        print(f"docker {' '.join(hand)}: WorkerStopped after {told_after_s:.3f} s")
        # The bound is an idle machine's, for a command that itself takes ten seconds by default.
        assert told_after_s < on_a_busy_machine(1.0)
        assert reason in event.details["message"]
        assert event.details.get("exit_code", "") in codes or not codes
        assert f'"{worker_id}"' in server.log
    for job in jobs.values():
        done = ended(server, job.id)
        assert (done.state, len(done.attempts)) == ("SUCCEEDED", 2)
        assert done.attempts[0].reason is not None
        assert done.attempts[0].reason.code == "WORKER_LOST"
        assert output(server, job.id) == b"attempt 1\nattempt 2\n"
    assert_nothing_is_left(server, docker_engine)


def test_a_job_that_takes_more_memory_than_it_asked_for_is_told_so_and_harms_no_other(
    start: Callable[..., HodeiServer], docker_engine: Engine
) -> None:
    server = start()
    [greedy] = submit(
        server,
        command=["dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=4"],
        memory="96Mi",
        retries=0,
    )
    done = ended(server, greedy.id)
    assert done.state == "FAILED"
    assert done.reason is not None
    assert done.reason.code in {"OUT_OF_MEMORY", "SIGNAL_RECEIVED"}
    assert_nothing_is_left(server, docker_engine)


def test_a_restarted_server_finds_its_containers_and_their_jobs_run_on(
    start: Callable[..., HodeiServer], docker_engine: Engine
) -> None:
    server = start()
    [job] = submit(server, command=["sh", "-c", "sleep 8; echo done"], retries=0)
    before = running(server, job.id).attempts[0].worker_id
    server.kill()
    server.start()
    done = ended(server, job.id)
    assert (done.state, [each.worker_id for each in done.attempts]) == ("SUCCEEDED", [before])
    assert output(server, job.id) == b"done\n"
    assert_nothing_is_left(server, docker_engine)


def test_a_server_that_is_killed_while_it_makes_containers_leaves_none_and_makes_none_twice(
    start: Callable[..., HodeiServer], docker_engine: Engine
) -> None:
    server = start(docker_max_workers=5, docker_enroll_timeout="15s")
    jobs = submit(server, 12, command=["echo", "done"], retries=3)
    for _ in range(2):
        eventually(
            lambda: containers(server, docker_engine), within_s=40, what="the first container"
        )
        server.kill()
        server.start()
    for job in jobs:
        assert ended(server, job.id).state == "SUCCEEDED"
        assert output(server, job.id) == b"done\n"
    assert_nothing_is_left(server, docker_engine)


def test_many_jobs_share_few_containers_at_once(
    start: Callable[..., HodeiServer], docker_engine: Engine
) -> None:
    server = start(docker_max_workers=4, docker_jobs_per_worker=5, docker_idle_timeout="1s")
    jobs = submit(server, 20, command=["sh", "-c", "hostname"], retries=0)
    hosts: set[bytes] = set()
    for job in jobs:
        assert ended(server, job.id).state == "SUCCEEDED"
        assert len(containers(server, docker_engine)) <= 4
        hosts.add(output(server, job.id))
    assert 4 <= len(hosts) < 20
    assert_nothing_is_left(server, docker_engine)


def test_a_warm_container_runs_a_job_at_once_and_is_replaced(
    start: Callable[..., HodeiServer], docker_engine: Engine
) -> None:
    server = start(docker_warm=f"{BUSYBOX}=1")
    with server.client() as client:
        [first] = eventually(
            lambda: [each for each in client.workers() if each.state == "READY"],
            within_s=40,
            what="a warm worker",
        )
        [job] = submit(server, command=["true"], retries=0)
        assert client.wait(job.id, timeout=WITHIN_S).attempts[0].worker_id == first.id
        eventually(
            lambda: [e for e in client.workers() if e.state == "READY" and e.id != first.id],
            within_s=40,
            what="another warm worker",
        )


def test_an_agent_that_cannot_reach_the_server_is_taken_down_and_its_address_named(
    start: Callable[..., HodeiServer], docker_engine: Engine
) -> None:
    server = start(docker_server_host="10.255.255.1", docker_enroll_timeout="3s")
    [job] = submit(server)
    with server.client() as client:
        why = eventually(
            lambda: why if "10.255.255.1" in (why := client.get(job.id).pending_reason) else "",
            within_s=40,
            what="the reason with the address",
        )
        assert "had not enrolled" in why
        client.cancel(job.id)
    assert_nothing_is_left(server, docker_engine)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_engine_loses_no_job(
    start: Callable[..., HodeiServer], docker_engine: Engine, tmp_path: Path, how: signal.Signals
) -> None:
    own = Engine(directory=Path(f"/tmp/hodei-ends-{how.name}"))
    try:
        own.start()
        docker_engine.docker("save", "-o", str(tmp_path / "image.tar"), BUSYBOX)
        own.docker("load", "-i", str(tmp_path / "image.tar"))
        server = start(own)
        jobs = submit(server, 3)
        for job in jobs:
            running(server, job.id)
        own.restart(how)
        for job in jobs:
            done = ended(server, job.id)
            assert (done.state, len(done.attempts)) == ("SUCCEEDED", 2)
            types = [event.type for event in history(server, job.id)]
            assert "WorkerStopped" in types
            if how is signal.SIGKILL:
                assert "WorkerHealthChanged" in types
        assert_nothing_is_left(server, own)
        server.stop()
    finally:
        own.remove()
