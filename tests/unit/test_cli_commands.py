"""What the command prints and how it leaves, in this process, against a server of the tests."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hodei.cli.main import main
from hodei.cli.output import print_fields
from hodei.kernel.errors import BrokenError, InvalidFieldsError, UnavailableError
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import to_timestamp
from support.fake_server import BEGIN, FakeServer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer().running() as server:
        monkeypatch.setenv("HODEI_SERVER_ADDRESS", server.address)
        yield server


Printed = pytest.CaptureFixture[str]


def one_line(text: str) -> str:
    [line] = text.splitlines()
    return line


# Usage.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runn"], "No such command 'runn'. Did you mean 'run'?; see hodei --help"),
        (["jobs", "lst"], "Did you mean 'list'?; see hodei jobs --help"),
        (["jobs"], "Missing command; see hodei jobs --help"),
        (["jobs", "show"], "Missing argument 'JOB'; see hodei jobs show --help"),
        (["jobs", "list", "--limit", "x"], "see hodei jobs list --help"),
        (["jobs", "list", "--stat", "QUEUED"], "--state"),
        (["run"], "COMMAND: is missing"),
        (["run", "--timout", "1s", "--", "a"], "--timeout"),
        (["run", "--timeout", "3x", "--", "a"], "--timeout: '3x' is not a duration; write"),
        (["run", "--timeout", "0s", "--", "a"], "--timeout: must be more than 0"),
        (["run", "--priority", "urgent", "--", "a"], "--priority: 'urgent' is not one of LOW"),
        (["run", "--env", "=x", "--", "a"], "--env: '=x' has no name; write NAME=VALUE"),
        (["run", "--env", "NOT_SET_HERE", "--", "a"], "--env: NOT_SET_HERE is not set here"),
        (["run", "--label", "x", "--", "a"], "--label: 'x' is not a pair; write NAME=VALUE"),
        (["run", "--resource", "x=y", "--", "a"], "--resource: x=y is not a count"),
        (["run", "--retry-on", "WORKER_LOOST", "--", "a"], "--retry-on: "),
        (["run", "--memory", "much", "--", "a"], "--memory: 'much' is not a size"),
        (["run", "--script", "/no/file"], "--script: cannot read /no/file: No such file"),
        (["run", "--script", "x", "--", "a"], "--script: goes without a command"),
        (["run", "--script", "-", "--stdin", "-"], "--stdin: the script comes from stdin"),
        (["run", "--env-file", "/no/file", "--", "a"], "--env-file: cannot read /no/file"),
        (["run", "--local", "--detach", "--", "a"], "--local: goes without --detach"),
        (["run", "--server", "http://x", "--", "a"], "--server: 'http://x' is not an address"),
        (["jobs", "list", "--state", "RUNING"], "--state: 'RUNING' is not a state; did you mean"),
        (["jobs", "list", "--since", "soon"], "--since: 'soon' is neither a time"),
        (["worker", "--bootstrap", "/no/file"], "--bootstrap /no/file: cannot be read"),
        (["dev", "--grpc-port", "many"], "--grpc-port: 'many' is not a whole number"),
        (["dev", "--grpc-port", "70000"], "--grpc-port: 70000 is not from 0 to 65535"),
        (["server", "--set", "leese=1s"], "did you mean lease?"),
        (["server", "--config", "/no/file"], "--config: cannot read /no/file"),
    ],
)
def test_what_is_typed_wrongly_is_told_in_one_line_before_anything_happens(
    words: list[str], said: str, capsys: Printed, fake: FakeServer
) -> None:
    assert main(words) == 2
    printed = capsys.readouterr()
    assert said in one_line(printed.err)
    assert printed.out == ""
    assert fake.calls.total() == 0


@pytest.mark.parametrize(
    "words",
    [
        ["runn", "--output", "json"],
        ["jobs", "lst", "--output=json"],
        ["run", "--timeout", "3x", "--output", "json", "--", "a"],
        ["jobs", "show", "no-such-job", "--output", "json"],
        ["workers", "drain", "no-such-worker", "--output", "json"],
        ["config", "show", "--output", "json", "--set", "x=y"],
    ],
)
def test_a_failure_is_one_json_value_where_json_was_asked_for(
    words: list[str], capsys: Printed, fake: FakeServer
) -> None:
    assert main(words) == 2
    printed = capsys.readouterr()
    error = json.loads(printed.out)["error"]
    assert set(error) == {"code", "message", "violations"}
    assert one_line(printed.err) == f"hodei: {error['message']}"


def test_output_that_is_the_jobs_own_option_asks_for_nothing(
    capsys: Printed, fake: FakeServer
) -> None:
    fake.refuses["QueueJob"] = InvalidFieldsError.of("job_definition.name", "no")
    assert main(["run", "--", "a", "--output", "json"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", [[], ["--help"], ["run", "--help"], ["jobs", "--help"]])
def test_help_is_no_failure(words: list[str], capsys: Printed) -> None:
    assert main(words) == 0
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_the_version_is_told(words: list[str], capsys: Printed) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("hodei 0.")


# Run.


@pytest.mark.parametrize(
    ("end", "exit_code"),
    [
        ({"state": "SUCCEEDED", "exit_code": 0}, 0),
        ({"state": "FAILED", "code": "NON_ZERO_EXIT_CODE", "exit_code": 3}, 3),
        ({"state": "FAILED", "code": "NON_ZERO_EXIT_CODE", "exit_code": 255}, 255),
        ({"state": "FAILED", "code": "SIGNAL_RECEIVED", "signal": 9}, 137),
        ({"state": "FAILED", "code": "OUT_OF_MEMORY", "signal": 9}, 137),
        ({"state": "FAILED", "code": "COMMAND_NOT_FOUND"}, 127),
        ({"state": "FAILED", "code": "PERMISSION_DENIED"}, 126),
        ({"state": "FAILED", "code": "FILE_NOT_FOUND"}, 125),
        ({"state": "FAILED", "code": "WORKER_LOST"}, 125),
        ({"state": "FAILED", "code": "PROVISIONING_FAILED"}, 125),
        ({"state": "FAILED", "code": "A_CODE_OF_A_LATER_RELEASE"}, 125),
        ({"state": "TIMED_OUT", "code": "EXECUTION_TIMEOUT", "signal": 15}, 124),
        ({"state": "TIMED_OUT", "code": "DEADLINE_EXCEEDED"}, 124),
        ({"state": "CANCELLED", "code": "CANCELLED", "signal": 15}, 130),
    ],
)
def test_run_leaves_with_the_exit_code_that_stands_for_the_jobs_end(
    end: dict[str, object], exit_code: int, fake: FakeServer
) -> None:
    fake.on_submit = lambda job_id: fake.end(job_id, **end)  # type: ignore[arg-type]
    assert main(["run", "--", "true"]) == exit_code


def test_run_passes_both_streams_on_byte_for_byte(
    fake: FakeServer, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    out, err = bytes(range(256)) * 1000, b"\r\n\xff no newline"

    def live(job_id: str) -> None:
        fake.write(job_id, out[:70_000])
        fake.write(job_id, err, stderr=True)
        fake.write(job_id, out[70_000:])
        fake.end(job_id, "FAILED", code="NON_ZERO_EXIT_CODE", exit_code=1)

    fake.on_submit = live
    assert main(["run", "--", "true"]) == 1
    assert tuple(capfdbinary.readouterr()) == (out, err)


def test_with_json_the_final_job_is_on_stdout_and_the_log_on_stderr(
    fake: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    def live(job_id: str) -> None:
        fake.write(job_id, b"out\n")
        fake.write(job_id, b"err\n", stderr=True)
        fake.end(job_id, "SUCCEEDED", exit_code=0)

    fake.on_submit = live
    assert main(["run", "--output", "json", "--", "true"]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["state"] == "SUCCEEDED"
    assert printed.err == "out\nerr\n"


def test_why_hodei_could_not_run_a_job_is_told_with_what_to_do(
    fake: FakeServer, capsys: Printed
) -> None:
    fake.on_submit = lambda job_id: fake.end(job_id, "FAILED", code="WORKER_LOST")
    assert main(["run", "--id", "j", "--", "true"]) == 125
    said = one_line(capsys.readouterr().err)
    assert said == "hodei: job j FAILED: because of WORKER_LOST. Do better."


def test_detached_only_the_id_is_printed(fake: FakeServer, capsys: Printed) -> None:
    assert main(["run", "--detach", "--id", "mine", "--", "true"]) == 0
    assert capsys.readouterr().out == "mine\n"
    assert fake.calls == {"QueueJob": 1}


def test_everything_after_the_command_is_the_jobs_own(fake: FakeServer) -> None:
    words = ["ls", "--timeout", "x", "", "a b", "$HOME", ";", "--", "\udcff"]
    assert main(["run", "--detach", "--id", "j", *words]) == 0
    definition = fake.jobs["j"].definition
    assert definition.command == "ls"
    assert list(definition.arguments_raw) == [
        word.encode("utf-8", "surrogateescape") for word in words[1:]
    ]


def test_variables_come_from_files_from_the_command_line_and_from_here(
    fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "env"
    file.write_text('# a comment\n\nA=file\nB="kept = as it is"\nFROM_HERE\n')
    monkeypatch.setenv("FROM_HERE", "here")
    words = ["--env-file", str(file), "--env", "A=line", "--env", "FROM_HERE"]
    assert main(["run", "--detach", "--id", "j", *words, "--", "env"]) == 0
    assert dict(fake.jobs["j"].definition.environment) == {
        "A": "line",
        "B": '"kept = as it is"',
        "FROM_HERE": "here",
    }


def test_what_fails_after_the_submission_is_told_with_the_job_that_goes_on(
    fake: FakeServer, capsys: Printed
) -> None:
    fake.refuses["SubscribeLogs"] = BrokenError("the log is torn")
    assert main(["run", "--id", "j", "--", "true"]) == 125
    said = one_line(capsys.readouterr().err)
    assert said == (
        "hodei: lost sight of job j, which may go on (hodei jobs show j): the log is torn"
    )


def test_what_the_server_refuses_is_told_by_the_name_of_the_option(
    fake: FakeServer, capsys: Printed
) -> None:
    fake.refuses["QueueJob"] = InvalidFieldsError.of(
        "job_definition.timeout.execution_timeout", "at most 30d"
    )
    assert main(["run", "--timeout", "31d", "--", "true"]) == 2
    assert one_line(capsys.readouterr().err) == "hodei: --timeout: at most 30d"


# Jobs, logs and workers.


def test_lists_are_plain_columns_where_nobody_looks_at_a_terminal(
    fake: FakeServer, capsys: Printed
) -> None:
    long_id = "j" * 128
    fake.add_job(long_id, name="a\x1b[31mb")
    fake.add_job("second")
    fake.end("second", "FAILED", code="NON_ZERO_EXIT_CODE", exit_code=3)
    assert main(["jobs", "list"]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["ID", "NAME", "STATE", "EXIT", "ATTEMPTS", "CREATED", "TOOK"]
    assert first.split()[:3] == [long_id, "a\\x1b[31mb", "QUEUED"]
    assert second.split()[:4] == ["second", "FAILED", "3", "1"]


def test_lists_as_json_are_arrays(fake: FakeServer, capsys: Printed) -> None:
    assert main(["jobs", "list", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    fake.add_job("a")
    assert main(["jobs", "list", "--output", "json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == ["a"]


def test_list_asks_for_what_was_typed(fake: FakeServer) -> None:
    words = ["--state", "failed", "--name", "n", "--label", "a=b", "--tag", "t", "--limit", "7"]
    assert main(["jobs", "list", *words, "--since", "2026-11-25T08:00:00Z"]) == 0
    [request] = fake.requests
    assert list(request.statuses) == [pb.JOB_STATUS_FAILED]
    assert (request.name, dict(request.labels), list(request.tags)) == ("n", {"a": "b"}, ["t"])
    assert (request.page_size, request.created_after) == (7, to_timestamp(BEGIN))


def test_show_says_why_a_job_waits(fake: FakeServer, capsys: Printed) -> None:
    fake.add_job("a").detail.pending_reason = "no worker has a GPU"
    assert main(["jobs", "show", "a"]) == 0
    assert "waits because: no worker has a GPU" in capsys.readouterr().out
    assert main(["jobs", "show", "a", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["pending_reason"] == "no worker has a GPU"


def test_cancel_and_retry_say_what_became_of_the_job(fake: FakeServer, capsys: Printed) -> None:
    fake.add_job("a")
    assert main(["jobs", "cancel", "a", "--wait"]) == 0
    assert capsys.readouterr().out == "a is CANCELLED\n"
    assert main(["jobs", "retry", "a"]) == 0
    assert capsys.readouterr().out == "a is QUEUED\n"


def test_a_job_that_has_ended_otherwise_cannot_be_cancelled(
    fake: FakeServer, capsys: Printed
) -> None:
    fake.add_job("a", state="SUCCEEDED")
    assert main(["jobs", "cancel", "a"]) == 2
    assert "already ended as SUCCEEDED" in one_line(capsys.readouterr().err)


def test_watch_prints_a_line_for_each_event_and_ends_with_the_job(
    fake: FakeServer, capsys: Printed
) -> None:
    fake.add_job("a")
    fake.end("a", "SUCCEEDED", exit_code=0)
    assert main(["jobs", "watch", "a"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [
        "2026-11-25T08:00:00.000000Z",
        "JobQueued",
        "job=a",
        "state=QUEUED",
    ]
    assert "JobEnded" in second
    assert main(["jobs", "watch", "a", "--output", "json", "--after", "1"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["position"] == "2"


def test_logs_go_where_the_job_wrote_them(
    fake: FakeServer, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    fake.add_job("a", state="RUNNING")
    fake.write("a", b"out\xff")
    fake.write("a", b"err", stderr=True)
    assert main(["logs", "a"]) == 0
    assert tuple(capfdbinary.readouterr()) == (b"out\xff", b"err")


def test_workers_are_shown_with_their_pid_and_what_they_hold(
    fake: FakeServer, capsys: Printed
) -> None:
    fake.workers["w1"] = pb.WorkerResource(
        id="w1", provider="local", state="BUSY", slots=4, slots_used=1, pid=77, job_ids=["a"],
        labels={"zone": "x"}, created_at=to_timestamp(BEGIN), connected=True,
    )  # fmt: skip
    assert main(["workers", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "w1", "local", "BUSY", "1/4", "77", "zone=x",
    ]  # fmt: skip
    assert main(["workers", "show", "w1", "--output", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {key: shown[key] for key in ("id", "provider", "state", "slots", "pid", "labels")} == {
        "id": "w1",
        "provider": "local",
        "state": "BUSY",
        "slots": 4,
        "pid": 77,
        "labels": {"zone": "x"},
    }
    assert main(["workers", "drain", "w1"]) == 0
    assert capsys.readouterr().out == "w1 is DRAINING\n"


def test_an_invitation_is_the_document_that_a_worker_reads(
    fake: FakeServer, capsys: Printed
) -> None:
    assert main(["workers", "invite", "--name", "w", "--label", "a=b"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["otp"] == "one-time-password"
    assert (document["name"], document["labels"]) == ("w", {"a": "b"})


def test_a_store_that_cannot_answer_just_now_is_no_missing_server(
    fake: FakeServer, capsys: Printed
) -> None:
    fake.refuses["GetJob"] = UnavailableError("the disk is full")
    assert main(["jobs", "show", "a"]) == 2
    assert one_line(capsys.readouterr().err) == "hodei: the disk is full"


def test_a_terminal_gets_a_drawn_table_in_which_nothing_is_cut_however_narrow_it_is(
    fake: FakeServer, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add_job("j" * 128, name="[red]a name of some length[/red]")
    fake.end("j" * 128, "SUCCEEDED", exit_code=0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["jobs", "list"]) == 0
    drawn = capsys.readouterr().out
    assert "j" * 128 in drawn
    assert "[red]a name of some length[/red]" in drawn
    assert "SUCCEEDED" in drawn


def test_further_lines_of_a_value_are_indented_and_look_like_no_field(capsys: Printed):
    print_fields({"because": "one\nstatus: FINE\x1b[1m", "status": "RUNNING", "note": ""})

    assert capsys.readouterr().out.splitlines() == [
        "because: one",
        "         status: FINE\\x1b[1m",
        "status:  RUNNING",
    ]
