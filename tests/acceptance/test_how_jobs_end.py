"""Every way in which a job can end has its own state, exit code, reason and advice."""

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from acceptance.harness import HodeiServer
from acceptance.reading import output_of


def test_every_exit_code_from_0_to_255_is_told(server: HodeiServer) -> None:
    requests = [{"command": ["sh", "-c", f"exit {code}"]} for code in range(256)]
    with server.client() as client:
        submitted = client.submit_many(requests)
        ended = [client.wait(job.id) for job in submitted]
    assert [job.exit_code for job in ended] == list(range(256))
    assert ended[0].state == "SUCCEEDED"
    assert ended[0].reason is None
    for job in ended[1:]:
        assert job.state == "FAILED"
        assert job.reason is not None
        assert job.reason.code == "NON_ZERO_EXIT_CODE"
        assert job.reason.advice


@pytest.mark.parametrize("code", [0, 1, 2, 3, 77, 124, 125, 126, 127, 255])
def test_run_exits_with_the_code_of_the_job(server: HodeiServer, code: int) -> None:
    assert server.cli("run", "--", "sh", "-c", f"exit {code}").code == code


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGABRT,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGPIPE,
        signal.SIGTERM,
    ],
)
def test_death_by_a_signal_is_told_apart_from_an_exit(
    server: HodeiServer, number: signal.Signals
) -> None:
    ran = server.cli("run", "--output", "json", "--", "sh", "-c", f"kill -{number.value} $$")
    assert ran.code == 128 + number
    job = ran.json
    assert (job["state"], job["exit_code"]) == ("FAILED", None)
    assert job["reason"]["code"] == "SIGNAL_RECEIVED"
    assert number.name in job["reason"]["message"]
    assert job["reason"]["advice"]
    assert job["attempts"][0]["signal"] == number


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a command line ends with."""

    arguments: list[str]
    exit_code: int
    reason: str
    message: str
    """Part of it."""
    state: str = "FAILED"


FAILURES = {
    "a command that is not there": Failure(
        arguments=["--", "no-such-command-anywhere"],
        exit_code=127,
        reason="COMMAND_NOT_FOUND",
        message="no-such-command-anywhere",
    ),
    "a path that is not there": Failure(
        arguments=["--", "/no/such/command"],
        exit_code=127,
        reason="COMMAND_NOT_FOUND",
        message="/no/such/command",
    ),
    "a file that is not executable": Failure(
        arguments=["--workdir", "{here}", "--", "./early.sh"],
        exit_code=126,
        reason="PERMISSION_DENIED",
        message="early.sh",
    ),
    "a directory": Failure(
        arguments=["--", "/etc"], exit_code=126, reason="PERMISSION_DENIED", message="/etc"
    ),
    "a working directory that is not there": Failure(
        arguments=["--workdir", "/no/such/directory", "--", "true"],
        exit_code=125,
        reason="FILE_NOT_FOUND",
        message="/no/such/directory",
    ),
    "a script that uses an unset variable": Failure(
        arguments=["--script", "unset.sh"],
        exit_code=1,
        reason="NON_ZERO_EXIT_CODE",
        message="1",
    ),
    "a script whose pipe fails in its middle": Failure(
        arguments=["--script", "pipe.sh"],
        exit_code=1,
        reason="NON_ZERO_EXIT_CODE",
        message="1",
    ),
    "a script that fails before its end": Failure(
        arguments=["--script", "early.sh"],
        exit_code=9,
        reason="NON_ZERO_EXIT_CODE",
        message="9",
    ),
    "a timeout": Failure(
        arguments=["--timeout", "300ms", "--", "sleep", "60"],
        exit_code=124,
        reason="EXECUTION_TIMEOUT",
        message="300",
        state="TIMED_OUT",
    ),
}
SCRIPTS = {
    "unset.sh": "echo before\necho $NOT_SET_ANYWHERE\necho after\n",
    "pipe.sh": "echo before\nfalse | cat\necho after\n",
    "early.sh": "echo before\n(exit 9)\necho after\n",
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failure_has_its_own_reason_and_advice(
    server: HodeiServer, tmp_path: Path, failure: Failure
) -> None:
    for name, text in SCRIPTS.items():
        (tmp_path / name).write_text(text)
    arguments = [word.format(here=tmp_path) for word in failure.arguments]
    ran = server.cli("run", "--output", "json", *arguments, cwd=tmp_path)
    job = ran.json
    assert (job["state"], job["reason"]["code"]) == (failure.state, failure.reason)
    assert failure.message in job["reason"]["message"]
    assert job["reason"]["advice"].endswith((".", ")"))
    assert ran.code == failure.exit_code
    assert b"after" not in ran.stderr
    shown = server.cli("jobs", "show", job["id"])
    assert failure.reason in shown.text


def test_a_failed_job_is_tried_again_as_often_as_it_asked_for(
    server: HodeiServer, tmp_path: Path
) -> None:
    tries = tmp_path / "tries"
    script = 'echo run >> "$TRIES"; echo "try $(wc -l < "$TRIES")"; [ "$(wc -l < "$TRIES")" -ge 3 ]'
    with server.client() as client:
        job = client.submit(
            command=["sh", "-c", script],
            env={"TRIES": str(tries)},
            retries=5,
            backoff="50ms",
        )
        ended = client.wait(job.id)
        outputs = [output_of(client, job.id, attempt=n).stdout for n in (1, 2, 3)]
    assert ended.state == "SUCCEEDED"
    assert [attempt.state for attempt in ended.attempts] == ["FAILED", "FAILED", "SUCCEEDED"]
    assert outputs == [b"try 1\n", b"try 2\n", b"try 3\n"]


def test_retries_1_means_at_most_two_attempts(server: HodeiServer) -> None:
    ran = server.cli("run", "--retries", "1", "--output", "json", "--", "sh", "-c", "exit 4")
    job = ran.json
    assert ran.code == 4
    assert [attempt["exit_code"] for attempt in job["attempts"]] == [4, 4]
    assert [attempt["number"] for attempt in job["attempts"]] == [1, 2]
