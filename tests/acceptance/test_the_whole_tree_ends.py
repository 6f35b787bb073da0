"""Cancel and timeout end every process of a job, wherever it tried to hide."""

import signal
import time
from pathlib import Path

import pytest

from acceptance.harness import HodeiServer, assert_all_gone, identify, on_a_busy_machine
from acceptance.reading import output_of
from acceptance.trees import ESCAPED, escape_artist, write_folder

GRACE_S = 0.5


def test_cancel_ends_children_daemons_sessions_and_those_that_ignore_it(
    server: HodeiServer, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path)
    with server.client() as client:
        job = client.submit(command=escape_artist(folder), grace=GRACE_S)
        processes = identify(folder, count=ESCAPED)
        client.cancel(job.id, reason="no longer wanted")
        ended = client.wait(job.id)
        assert_all_gone(processes, within_s=0)
    assert ended.state == "CANCELLED"
    assert ended.reason is not None
    assert ended.reason.code == "CANCELLED"
    assert "no longer wanted" in ended.reason.message


def test_a_timeout_ends_children_daemons_sessions_and_those_that_ignore_it(
    server: HodeiServer, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path)
    with server.client() as client:
        job = client.submit(command=escape_artist(folder), timeout=1.5, grace=GRACE_S)
        processes = identify(folder, count=ESCAPED)
        ended = client.wait(job.id)
        assert_all_gone(processes, within_s=0)
    assert ended.state == "TIMED_OUT"
    assert ended.reason is not None
    assert ended.reason.code == "EXECUTION_TIMEOUT"


def test_what_a_job_leaves_running_ends_with_its_main_process(
    server: HodeiServer, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path)
    # The main process ends by itself, as a script does that has started a daemon.
    command = escape_artist(folder)
    command[2] = command[2].replace(
        'linger("main")',
        'while len([n for n in os.listdir(folder) if "." not in n]) < 7: time.sleep(0.01)',
    )
    with server.client() as client:
        job = client.submit(command=command)
        ended = client.wait(job.id)
        processes = [int(file.read_text()) for file in folder.iterdir()]
        alive = [pid for pid in processes if Path(f"/proc/{pid}").exists()]
        assert output_of(client, job.id).stdout == b"all there\n"
    assert ended.state == "SUCCEEDED"
    assert len(processes) == ESCAPED - 1
    assert alive == []


def test_a_job_that_cleans_up_on_sigterm_gets_the_time_for_it(server: HodeiServer) -> None:
    script = "trap 'echo cleaning; sleep 0.3; echo clean; exit 0' TERM; echo ready; sleep 60 & wait"
    with server.client() as client:
        job = client.submit(command=["bash", "-c", script], grace=10)
        chunks = client.logs(job.id)
        assert next(iter(chunks)).data == b"ready\n"
        client.cancel(job.id)
        ended = client.wait(job.id)
        assert output_of(client, job.id).stdout == b"ready\ncleaning\nclean\n"
    assert ended.state == "CANCELLED"


def test_a_queued_job_is_cancelled_at_once(server: HodeiServer) -> None:
    with server.client() as client:
        job = client.submit(command=["true"], selector={"no": "such-worker"})
        client.cancel(job.id)
        ended = client.wait(job.id, timeout=2)
    assert (ended.state, ended.attempts) == ("CANCELLED", ())


def test_ctrl_c_at_the_run_command_cancels_its_job(server: HodeiServer, tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    run = server.start_cli("run", "--grace", "500ms", "--", *escape_artist(folder))
    assert run.stdout is not None
    assert run.stdout.readline() == b"all there\n"
    processes = identify(folder, count=ESCAPED)
    run.send_signal(signal.SIGINT)
    assert run.wait(20) == 130
    run.communicate()
    assert_all_gone(processes, within_s=0)


@pytest.mark.timeout(60)
def test_a_fork_bomb_ends_too(server: HodeiServer) -> None:
    # Bounded: each process forks two more, five levels deep, and keeps on living.
    bomb = "import os, time\nfor _ in range(6): os.fork()\nprint('x', flush=True)\ntime.sleep(60)"
    with server.client() as client:
        job = client.submit(command=["python3", "-c", bomb], grace=0.2)
        seen = 0
        for chunk in client.logs(job.id):
            seen += chunk.data.count(b"x")
            if seen == 64:
                break
        began = time.monotonic()
        client.cancel(job.id)
        assert client.wait(job.id).state == "CANCELLED"
        assert time.monotonic() - began < on_a_busy_machine(5)
