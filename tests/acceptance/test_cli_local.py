"""`hodei run --local`: the first thing that a newcomer sees, and it leaves nothing behind."""

import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from acceptance.harness import HODEI, clean_environment, eventually, is_alive, run_command


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where temporary directories go; short, since sockets may be in it."""
    with tempfile.TemporaryDirectory(prefix="hl-") as directory:
        yield Path(directory)


def processes_below(scratch: Path) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(scratch) and is_alive(process):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def assert_nothing_is_left(scratch: Path) -> None:
    assert list(scratch.iterdir()) == []
    eventually(lambda: not processes_below(scratch), within_s=5, what="the end of its processes")


def test_it_shows_each_step_with_its_time_and_what_to_try_next(scratch: Path) -> None:
    ran = run_command(
        [HODEI, "run", "--local", "--", "echo", "Hello from Hodei!"],
        environment={"TMPDIR": str(scratch)},
    )
    assert (ran.code, ran.stdout) == (0, b"Hello from Hodei!\n")
    steps = re.findall(r"^  \+(\d+\.\d{3}) s  ([a-z ]+?)(?:  \(.*\))?$", ran.errors, re.MULTILINE)
    assert [what for _, what in steps] == [
        "queued",
        "provisioning",
        "worker started",
        "worker enrolled",
        "worker ready",
        "assigned",
        "running",
        "log lines",
        "succeeded",
    ] or [what for _, what in steps if what != "worker started"] == [
        # An agent may be quicker to enrol than its provider to say that it has started.
        "queued",
        "provisioning",
        "worker enrolled",
        "worker ready",
        "assigned",
        "running",
        "log lines",
        "succeeded",
    ]
    assert len(re.findall(r"^  \S*hodei (dev|run|jobs)", ran.errors, re.MULTILINE)) == 3
    assert_nothing_is_left(scratch)


def test_it_leaves_with_the_exit_code_of_the_job(scratch: Path) -> None:
    environment = {"TMPDIR": str(scratch)}
    ran = run_command(
        [HODEI, "run", "--local", "--", "sh", "-c", "exit 7"], environment=environment
    )
    assert ran.code == 7
    ran = run_command([HODEI, "run", "--local", "--", "no-such-command"], environment=environment)
    assert ran.code == 127
    assert "COMMAND_NOT_FOUND" in ran.errors or "no-such-command" in ran.errors
    assert_nothing_is_left(scratch)


def test_its_json_is_the_final_job_and_nothing_else(scratch: Path) -> None:
    ran = run_command(
        [HODEI, "run", "--local", "--output", "json", "--", "echo", "hi"],
        environment={"TMPDIR": str(scratch)},
    )
    assert ran.json["state"] == "SUCCEEDED"
    assert "hi" in ran.errors.splitlines()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_job_and_everything_that_was_started_for_it(
    scratch: Path, times: int
) -> None:
    """A job that ends when it is asked to needs one; one that does not needs two."""
    trap = "" if times == 1 else "trap '' TERM; "
    process = subprocess.Popen(
        [HODEI, "run", "--local", "--", "sh", "-c", f"{trap}echo ready; sleep 300"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment({"TMPDIR": str(scratch)}),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    while b"cancelling" not in process.stderr.readline():
        pass
    if times == 2:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert_nothing_is_left(scratch)
