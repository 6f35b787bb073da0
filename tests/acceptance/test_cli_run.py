"""`hodei run` as a person and as a script meet it: signals, pipes, JSON, scripts, detaching."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.harness import HODEI, HodeiServer, clean_environment, eventually


def wait_for_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def job_of(server: HodeiServer, job_id: str) -> dict[str, object]:
    shown: dict[str, object] = server.cli("jobs", "show", job_id, "--output", "json").json
    return shown


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_job_waits_for_its_end_and_leaves_with_its_code(
    server: HodeiServer, number: signal.Signals, code: int
) -> None:
    job_id = f"interrupted-by-{number.name}"
    script = "trap 'echo cleaning; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    process = server.start_cli("run", "--id", job_id, "--", "sh", "-c", script)
    assert wait_for_line(process) == b"ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert out == b"cleaning\n"
    assert f"cancelling job {job_id}" in err.decode()
    assert job_of(server, job_id)["state"] == "CANCELLED"


def test_a_second_signal_leaves_the_job_to_itself(server: HodeiServer) -> None:
    script = "trap '' TERM; echo ready; sleep 60"
    process = server.start_cli("run", "--id", "stubborn", "--grace", "2s", "--", "sh", "-c", script)
    assert wait_for_line(process) == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert b"press Ctrl-C again" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=2) == 130
    process.communicate()
    assert job_of(server, "stubborn")["state"] == "RUNNING"
    with server.client() as client:
        assert client.wait("stubborn", timeout=20).state == "CANCELLED"


def test_a_run_says_why_its_job_waits_and_goes_on_waiting(server: HodeiServer) -> None:
    process = server.start_cli("run", "--id", "picky", "--cpu", "4000", "--", "true")
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith(b"hodei: job picky waits: "), line
    assert b"CPU" in line
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    process.communicate()


def test_a_run_whose_reader_leaves_cancels_its_job_and_ends(server: HodeiServer) -> None:
    process = server.start_cli("run", "--id", "unread", "--", "yes")
    assert wait_for_line(process) == b"y\n"
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=20) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert job_of(server, "unread")["state"] == "CANCELLED"


def test_lists_into_a_pipe_that_closes_end_quietly(server: HodeiServer) -> None:
    command = f"{HODEI} jobs list --limit 1000 | head -n 0; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        env=clean_environment({"HODEI_SERVER_ADDRESS": server.address}),
        timeout=30,
        check=False,
    )
    assert ran.stderr == b""
    assert ran.returncode in {0, 141}


def test_a_slow_reader_of_the_run_loses_nothing_and_can_still_interrupt_it(
    server: HodeiServer,
) -> None:
    script = "head -c 3000000 /dev/zero; sleep 60"
    process = server.start_cli("run", "--id", "loud", "--", "sh", "-c", script)
    eventually(
        lambda: job_of(server, "loud").get("state") == "RUNNING", within_s=30, what="the job to run"
    )
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == bytes(3_000_000)


def test_json_is_the_final_job_and_the_log_goes_to_stderr(server: HodeiServer) -> None:
    words = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    ran = server.cli("run", "--output", "json", "--name", "n", "--", *words)
    assert ran.code == 3
    job = ran.json
    assert set(job) == {
        "id",
        "name",
        "state",
        "exit_code",
        "reason",
        "pending_reason",
        "created_at",
        "finished_at",
        "attempts",
    }
    assert (job["name"], job["state"], job["exit_code"]) == ("n", "FAILED", 3)
    assert sorted(ran.stderr.splitlines()) == [b"err", b"out"]


def test_a_detached_run_prints_the_id_only_and_can_be_followed_later(server: HodeiServer) -> None:
    ran = server.cli("run", "--detach", "--", "sh", "-c", "echo later")
    job_id = ran.text.strip()
    assert (ran.code, ran.text, ran.errors) == (0, f"{job_id}\n", "")
    followed = server.cli("logs", "-f", job_id)
    assert followed.stdout == b"later\n"
    assert json.loads(server.cli("jobs", "show", job_id, "--output", "json").text)["state"] == (
        "SUCCEEDED"
    )


def test_a_script_comes_from_a_file_or_from_stdin(server: HodeiServer, tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text("#!/usr/bin/env python3\nprint('from', 'python')\n")
    assert server.cli("run", "--script", str(file)).stdout == b"from python\n"
    piped = server.cli("run", "--script", "-", stdin=b"echo from bash $0 | wc -w\n")
    assert piped.stdout.strip() == b"3"
    picked = server.cli("run", "--script", "-", "--interpreter", "sh", stdin=b"echo from sh\n")
    assert picked.stdout == b"from sh\n"


def test_stdin_reaches_the_job_byte_for_byte(server: HodeiServer) -> None:
    data = os.urandom(100_000)
    assert server.cli("run", "--stdin", "-", "--", "cat", stdin=data).stdout == data
    assert server.cli("run", "--", "cat", stdin=data).stdout == b""


def test_retries_mean_attempts_after_the_first(server: HodeiServer) -> None:
    words = ["--retries", "1", "--backoff", "10ms", "--", "sh", "-c", "exit 4"]
    ran = server.cli("run", "--output", "json", *words)
    assert ran.code == 4
    assert [attempt["number"] for attempt in ran.json["attempts"]] == [1, 2]


def test_the_same_id_and_definition_is_the_same_job(server: HodeiServer) -> None:
    words = ["run", "--id", "twice", "--", "sh", "-c", "echo once; exit 5"]
    first, second = server.cli(*words), server.cli(*words)
    assert (first.code, second.code) == (5, 5)
    assert first.stdout == second.stdout == b"once\n"
    other = server.cli("run", "--id", "twice", "--", "true")
    assert other.code == 2
    assert len(other.errors.splitlines()) == 1


def test_a_run_goes_on_over_a_server_that_is_killed_and_started_again(
    start_server: Callable[..., HodeiServer],
) -> None:
    server = start_server()
    script = "for i in $(seq 1 40); do echo $i; sleep 0.1; done; exit 6"
    process = server.start_cli("run", "--", "sh", "-c", script)
    assert wait_for_line(process) == b"1\n"
    server.kill()
    server.start()
    out, err = process.communicate(timeout=60)
    assert out.split() == [str(number).encode() for number in range(2, 41)]
    assert err == b""
    assert process.returncode == 6


def test_ctrl_c_while_the_server_is_away_cancels_the_job_once_it_is_back(
    start_server: Callable[..., HodeiServer],
) -> None:
    server = start_server()
    process = server.start_cli("run", "--id", "j", "--", "sh", "-c", "echo ready; sleep 300")
    assert wait_for_line(process) == b"ready\n"
    server.kill()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert b"cancelling job j" in process.stderr.readline()
    server.start()
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert job_of(server, "j")["state"] == "CANCELLED"
