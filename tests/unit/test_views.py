"""What clients and workers are told, and what is understood of what they say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hodei.domain.jobs import decide
from hodei.domain.jobs.decide import Outcome
from hodei.domain.jobs.events import JobEvent, Usage
from hodei.domain.jobs.evolve import evolve_all
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.domain.jobs.spec import (
    Exec,
    JobSpec,
    LogPolicy,
    Resources,
    RetryPolicy,
    Script,
)
from hodei.domain.jobs.states import AttemptState, JobState
from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.domain.placement.taints import Taint
from hodei.domain.workers.events import (
    EnrolmentOffer,
    WorkerEvent,
    WorkerLost,
    WorkerProvisioned,
    WorkerProvisioningRequested,
    WorkerReady,
)
from hodei.domain.workers.evolve import evolve_all as evolve_worker
from hodei.kernel.errors import BrokenError, InvalidFieldsError
from hodei.kernel.ids import FencingToken, JobId, Position, ProviderName, WorkerId
from hodei.ports.stores import StoredEvent
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.events_view import details, job_event
from hodei.wire.job_views import (
    JOB_STATUSES,
    decode_execution_id,
    decode_status,
    encode_execution_id,
    job_detail,
    job_execution,
    job_response,
    job_summary,
)
from hodei.wire.log_views import MAX_LINE_BYTES, LineSplitter, raw_entry
from hodei.wire.positions import decode_position, encode_position
from hodei.wire.timestamps import (
    from_timestamp,
    optional_timestamp,
    to_duration,
    to_seconds,
    to_timestamp,
)
from hodei.wire.worker_messages import (
    decode_chunk,
    decode_offsets,
    decode_outcome,
    decode_worker_ready,
    encode_offsets,
    run_job_command,
)
from hodei.wire.worker_views import worker_resource

T0 = datetime(2026, 11, 25, 12, 0, 0, 250_000, tzinfo=UTC)
WORKER = WorkerId("w1")
SPEC = JobSpec(command=Exec(argv=(b"echo", b"hi")), name="hello")


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def queued(spec: JobSpec = SPEC) -> Job:
    events = decide.submit(JobId("j"), spec, queued_by="me", now=T0)
    return evolve_all(None, events, T0)


def assigned(spec: JobSpec = SPEC) -> Job:
    job = queued(spec)
    return evolve_all(job, decide.assign(job, worker_id=WORKER, draw=7), after(1))


def running(spec: JobSpec = SPEC) -> Job:
    job = assigned(spec)
    token = job.attempts[-1].token
    return evolve_all(job, decide.accept(job, attempt=1, token=token), after(2))


def ended(outcome_reason: ReasonCode | None, **more: object) -> Job:
    job = running()
    why = None if outcome_reason is None else reason(outcome_reason, "as it happened")
    outcome = Outcome(attempt=1, token=job.attempts[-1].token, reason=why, **more)  # type: ignore[arg-type]
    return evolve_all(job, decide.finish(job, outcome, now=after(5), draw=0.0), after(5))


# --- Jobs -----------------------------------------------------------------------------------------


def test_a_queued_job_says_why_it_waits():
    view = job_detail(queued(), pending_reason="no worker", position=Position(12))
    assert (view.state, view.pending_reason, view.position) == ("QUEUED", "no worker", "12")
    assert not view.HasField("exit_code")
    assert not view.HasField("reason")
    assert not view.HasField("finished_at")
    assert view.created_at == to_timestamp(T0)
    assert (view.queued_by, view.priority) == ("me", "NORMAL")
    assert list(view.attempts) == []


def test_a_succeeded_job_shows_its_attempt_to_old_and_new_clients():
    usage = Usage(user_cpu_s=0.5, system_cpu_s=0.25, max_rss_bytes=4096)
    answer = job_response(ended(None, exit_code=0, stdout_bytes=3, usage=usage))
    assert answer.status == pb.JOB_STATUS_COMPLETED
    assert answer.job.command == "echo"
    assert answer.detail.state == "SUCCEEDED"
    assert (answer.detail.HasField("exit_code"), answer.detail.exit_code) == (True, 0)
    (execution,) = answer.executions
    assert answer.detail.attempts[0] == execution
    assert execution.execution_id.value == "j/1"
    assert execution.worker_id.value == "w1"
    assert execution.state == pb.EXECUTION_STATE_COMPLETED
    assert execution.job_status == pb.JOB_STATUS_COMPLETED
    assert (execution.exit_code, execution.exit_status) == ("0", 0)
    assert (execution.attempt, execution.retry_count) == (1, 0)
    assert execution.attempt_state == "SUCCEEDED"
    assert not execution.HasField("signal")
    assert not execution.HasField("reason")
    assert execution.start_time == execution.phases.started_at == to_timestamp(after(2))
    assert execution.end_time == execution.phases.finished_at == to_timestamp(after(5))
    assert execution.phases.assigned_at == to_timestamp(after(1))
    assert execution.phases.queued_at == to_timestamp(T0)
    assert execution.usage.max_rss_bytes == 4096


def test_a_signal_leaves_no_exit_code():
    job = ended(ReasonCode.SIGNAL_RECEIVED, signal=9)
    (execution,) = job_response(job).executions
    assert execution.signal == 9
    assert execution.exit_code == ""
    assert not execution.HasField("exit_status")
    assert execution.error_message == "as it happened"
    assert execution.reason.code == "SIGNAL_RECEIVED"
    assert execution.reason.advice
    assert not job_detail(job).HasField("exit_code")
    assert job_detail(job).reason.code == "SIGNAL_RECEIVED"


@pytest.mark.parametrize("state", JobState)
def test_each_state_has_a_status_that_filters_find_again(state: JobState):
    assert decode_status(JOB_STATUSES[state], field="status") is state


def test_an_unknown_status_is_refused_by_the_callers_name():
    with pytest.raises(InvalidFieldsError, match=r"statuses\[1\]: is 8: one of 0 \(PENDING\)"):
        decode_status(8, field="statuses[1]")


@pytest.mark.parametrize("state", AttemptState)
def test_each_state_of_an_attempt_is_shown_as_it_is(state: AttemptState):
    attempt = replace(running().attempts[-1], state=state)
    view = job_execution(running(), attempt, position=Position(5))
    assert view.attempt_state == state
    assert view.position == "5"


def test_a_job_that_never_had_a_worker_is_told_of_all_the_same():
    job = queued()
    view = job_execution(job, None, position=Position(2))
    assert (view.state, view.job_id.value) == (pb.EXECUTION_STATE_CREATED, "j")
    gone = evolve_all(job, decide.cancel(job, by="me", message=""), after(1))
    view = job_execution(gone, None)
    assert view.state == pb.EXECUTION_STATE_CANCELLED
    assert view.error_message == "cancelled by me"


def test_a_summary_has_the_time_from_start_to_end():
    summary = job_summary(ended(None, exit_code=0))
    assert (summary.job_id.value, summary.name) == ("j", "hello")
    assert to_seconds(summary.duration) == 3.0
    assert summary.progress_percentage == 100
    waiting = job_summary(queued())
    assert not waiting.HasField("started_at")
    assert not waiting.HasField("completed_at")
    assert not waiting.HasField("duration")
    assert waiting.progress_percentage == 0


def test_an_attempt_is_found_again_by_its_name():
    name = encode_execution_id(JobId("a.b-c"), 3)
    assert decode_execution_id(name, field="execution_id") == ("a.b-c", 3)
    assert decode_execution_id("a.b-c", field="execution_id") == ("a.b-c", None)


@pytest.mark.parametrize("text", ["", "/1", "j/", "j/x", "j/1/2", "j/-1", "j/1" + "0" * 20, "a b"])
def test_what_names_no_attempt_is_refused(text: str):
    with pytest.raises(InvalidFieldsError, match="execution_id"):
        decode_execution_id(text, field="execution_id")


# --- Events ---------------------------------------------------------------------------------------


def stored(event: JobEvent | WorkerEvent, stream: str = "job:j") -> StoredEvent:
    return StoredEvent(
        position=Position(41),
        stream=stream,
        version=1,
        event=event,
        at=T0,
        correlation_id="c",
        causation_id="",
    )


def test_an_assignment_names_job_worker_and_attempt_but_never_the_token():
    job = queued()
    (event,) = decide.assign(job, worker_id=WORKER, draw=123_456_789)
    view = job_event(stored(event))
    assert (view.position, view.type, view.state) == ("41", "JobAssigned", "ASSIGNED")
    assert (view.job_id, view.worker_id, view.attempt) == ("j", "w1", 1)
    assert view.correlation_id == "c"
    assert view.at == to_timestamp(T0)
    token = assigned().attempts[-1].token
    assert str(token) not in str(view)
    assert "123456789" not in str(view)


def test_a_failure_says_how_the_attempt_ended():
    job = running()
    why = reason(ReasonCode.NON_ZERO_EXIT_CODE, "exited with 3")
    outcome = Outcome(attempt=1, token=job.attempts[-1].token, reason=why, exit_code=3)
    (event,) = decide.finish(job, outcome, now=T0, draw=0.0)
    view = job_event(stored(event))
    assert (view.state, view.attempt, view.reason.code) == ("FAILED", 1, "NON_ZERO_EXIT_CODE")
    assert view.details["exit_code"] == "3"
    assert view.details["message"] == "exited with 3"
    assert view.details["attempt_state"] == "FAILED"


def test_a_retry_says_until_when_it_waits():
    job = running(replace(SPEC, retry=RetryPolicy(max_attempts=2)))
    why = reason(ReasonCode.NON_ZERO_EXIT_CODE, "exited with 3")
    outcome = Outcome(attempt=1, token=job.attempts[-1].token, reason=why, exit_code=3)
    (event,) = decide.finish(job, outcome, now=T0, draw=0.0)
    view = job_event(stored(event))
    assert (view.type, view.state) == ("JobRetried", "PENDING")
    assert view.details["not_before"] == "2026-11-25T12:00:01.250000Z"
    assert view.reason.code == "NON_ZERO_EXIT_CODE"


def test_a_request_to_cancel_leaves_the_state_unsaid():
    (event,) = decide.cancel(running(), by="me", message="enough")
    view = job_event(stored(event))
    assert (view.state, dict(view.details)) == ("", {"by": "me", "message": "enough"})


def offer() -> EnrolmentOffer:
    return EnrolmentOffer(otp_hmac=b"hmac-of-the-password", expires_at=after(300))


def requested(**more: object) -> WorkerProvisioningRequested:
    facts = {"worker_id": WORKER, "provider": ProviderName("local"), "slots": 4, "offer": offer()}
    return WorkerProvisioningRequested(**(facts | more))  # type: ignore[arg-type]


def test_a_worker_wanted_for_a_job_names_both_and_no_secret():
    view = job_event(stored(requested(for_job=JobId("j")), "worker:w1"))
    assert (view.worker_id, view.job_id, view.state) == ("w1", "j", "REQUESTED")
    assert dict(view.details) == {"provider": "local", "slots": "4", "for_job": "j"}
    assert b"hmac-of-the-password" not in view.SerializeToString()


def test_a_worker_that_may_be_ready_already_is_not_said_to_be_starting():
    view = job_event(stored(WorkerProvisioned(handle={"pid": "7", "dir": "/x"}), "worker:w1"))
    assert (view.state, dict(view.details)) == ("", {"pid": "7"})


def test_a_lost_worker_says_why():
    event = WorkerLost(reason=reason(ReasonCode.WORKER_LOST, "its process ended"))
    view = job_event(stored(event, "worker:w1"))
    assert (view.state, view.reason.code) == ("LOST", "WORKER_LOST")
    assert details(event) == {"message": "its process ended"}


@pytest.mark.parametrize("text", ["-1", "1.5", "abc", " 1", "१", "9" * 19, "1" * 20])
def test_a_position_that_no_server_gave_is_refused_by_name(text: str):
    with pytest.raises(InvalidFieldsError, match=r"after_position: .* is no position"):
        decode_position(text, field="after_position")


def test_a_position_comes_back():
    assert decode_position("", field="p") == 0
    assert decode_position(encode_position(Position(2**63 - 1)), field="p") == 2**63 - 1


# --- Workers --------------------------------------------------------------------------------------


def ready(**more: object) -> WorkerReady:
    facts = {
        "session_epoch": 1,
        "slots": 2,
        "labels": {"zone": "a"},
        "resources": Resources(cpu_millicores=2500, custom={"licence": 1}),
        "taints": (),
        "agent_version": "0.1.0",
        "hostname": "h",
        "name": "one",
    }
    return WorkerReady(**(facts | more))  # type: ignore[arg-type]


def test_a_worker_with_jobs_is_busy_and_shows_its_process():
    worker = evolve_worker(
        None, [requested(), WorkerProvisioned(handle={"pid": "42"}), ready()], T0
    )
    view = worker_resource(
        worker,
        held_jobs={JobId("b"), JobId("a")},
        connected=True,
        last_heartbeat_at=after(3),
        usage=pb.ResourceUsageMessage(cpu_percent=12.5),
    )
    assert (view.id, view.name, view.provider, view.state) == ("w1", "one", "local", "BUSY")
    assert (view.slots, view.slots_used, list(view.job_ids)) == (2, 2, ["a", "b"])
    assert (view.pid, view.connected, view.agent_version) == (42, True, "0.1.0")
    assert view.capacity.cpu_cores == 2.5
    assert dict(view.capacity.custom_resources) == {"licence": 1}
    assert view.last_heartbeat_at == to_timestamp(after(3))
    assert view.usage.cpu_percent == 12.5


def test_a_worker_that_is_gone_shows_no_process():
    lost = WorkerLost(reason=reason(ReasonCode.WORKER_LOST, "gone"))
    events = [requested(), WorkerProvisioned(handle={"pid": "42"}), ready(), lost]
    view = worker_resource(evolve_worker(None, events, T0), held_jobs=(), connected=False)
    assert (view.state, view.reason.code) == ("LOST", "WORKER_LOST")
    assert not view.HasField("pid")
    assert not view.HasField("last_heartbeat_at")
    assert not view.HasField("usage")


def test_a_hello_says_what_a_worker_has():
    hello = pb.WorkerHello(
        session_epoch=3,
        agent_version="0.1.0",
        slots=2,
        info=pb.WorkerInfo(
            name="one",
            hostname="h",
            capacity={"cpu_cores": 2.5, "custom_resources": {"licence": 1}},
            labels={"zone": "a"},
            taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
        ),
    )
    taint = Taint(key="gpu", value="yes", effect="NoSchedule")
    assert decode_worker_ready(hello) == ready(session_epoch=3, taints=(taint,))


def test_a_hello_that_cannot_be_is_refused_whole():
    hello = pb.WorkerHello(slots=257, info={"labels": {"a b": "c"}, "name": "\n"})
    with pytest.raises(InvalidFieldsError) as raised:
        decode_worker_ready(hello)
    assert {each.field for each in raised.value.violations} == {
        "hello.slots",
        "hello.agent_version",
        "hello.info.labels['a b']",
        "hello.info.name",
    }


# --- The stream -----------------------------------------------------------------------------------


def test_the_order_to_run_has_all_that_the_agent_needs():
    spec = replace(
        SPEC,
        environment={"A": "1"},
        working_dir="sub",
        timeout_s=1.5,
        grace_s=2.0,
        disconnect_timeout_s=60.0,
        resources=Resources(memory_bytes=5),
        log_policy=LogPolicy.DROP_OLDEST,
    )
    job = assigned(spec)
    command = run_job_command(job)
    assert (command.job_id, command.attempt) == ("j", 1)
    assert command.token == job.attempts[-1].token
    assert (command.command.shell.cmd, list(command.command.shell.args)) == ("echo", ["hi"])
    assert dict(command.env) == {"A": "1"}
    assert (command.timeout_ms, command.working_dir) == (1500, "sub")
    assert not command.HasField("stdin")
    options = command.options
    assert (to_seconds(options.grace), to_seconds(options.disconnect_timeout)) == (2.0, 60.0)
    assert options.log_policy == pb.LOG_POLICY_DROP_OLDEST
    assert options.requirements.memory_bytes == 5
    assert not options.has_stdin
    assert not options.arguments_raw


def test_bytes_that_are_not_text_go_down_as_they_are():
    spec = replace(SPEC, command=Exec(argv=(b"echo", b"\xff", b"x")), stdin=b"\x00\xfe")
    command = run_job_command(assigned(spec))
    assert command.command.shell.cmd == "echo"
    assert not command.command.shell.args
    assert list(command.options.arguments_raw) == [b"\xff", b"x"]
    assert (command.options.has_stdin, command.options.stdin) == (True, b"\x00\xfe")


def test_a_script_goes_down_with_its_interpreter():
    spec = replace(SPEC, command=Script(interpreter="bash", content="true\n"))
    command = run_job_command(assigned(spec)).command
    assert (command.script.interpreter, command.script.content) == ("bash", "true\n")


def test_a_job_without_an_open_attempt_is_never_sent():
    with pytest.raises(BrokenError):
        run_job_command(queued())


def test_a_result_becomes_an_outcome():
    result = pb.JobResultMessage(
        attempt=2,
        token=77,
        exit_code=3,
        reason_code="NON_ZERO_EXIT_CODE",
        error_message="exited with 3",
        final_offsets=[{"stream": 1, "offset": 10}, {"stream": 2, "offset": 4}],
        usage={"user_cpu_s": 0.5, "system_cpu_s": 0.25, "max_rss_bytes": 9},
    )
    assert decode_outcome(result) == Outcome(
        attempt=2,
        token=FencingToken(77),
        reason=reason(ReasonCode.NON_ZERO_EXIT_CODE, "exited with 3"),
        exit_code=3,
        stdout_bytes=10,
        stderr_bytes=4,
        usage=Usage(user_cpu_s=0.5, system_cpu_s=0.25, max_rss_bytes=9),
    )


def test_an_exit_with_0_needs_no_reason():
    outcome = decode_outcome(pb.JobResultMessage(attempt=1, success=True))
    assert (outcome.reason, outcome.exit_code, outcome.signal) == (None, 0, None)


def test_a_result_without_a_reason_is_what_its_numbers_say():
    failed = decode_outcome(pb.JobResultMessage(exit_code=3))
    assert failed.reason == reason(ReasonCode.NON_ZERO_EXIT_CODE, "exited with 3")
    killed = decode_outcome(pb.JobResultMessage(signal=9))
    assert killed.reason == reason(ReasonCode.SIGNAL_RECEIVED, "ended by signal 9")
    assert (killed.exit_code, killed.signal) == (None, 9)


@pytest.mark.parametrize(
    ("code", "started", "signal", "exit_code"),
    [
        ("COMMAND_NOT_FOUND", False, None, None),
        ("EXECUTION_TIMEOUT", True, 15, None),
        ("EXECUTION_TIMEOUT", True, None, 0),
        ("CANCELLED", False, None, None),
        ("CANCELLED", True, None, 0),
        ("SIGNAL_RECEIVED", True, 11, None),
    ],
)
def test_an_exit_code_counts_only_where_the_process_exited(
    code: str,
    started: bool,  # noqa: FBT001 - a parameter of the table
    signal: int | None,
    exit_code: int | None,
):
    result = pb.JobResultMessage(
        reason_code=code, signal=signal, started_at={"seconds": 1} if started else None
    )
    outcome = decode_outcome(result)
    assert (outcome.exit_code, outcome.signal) == (exit_code, signal)


def test_a_reason_that_nobody_knows_is_refused():
    with pytest.raises(InvalidFieldsError, match="reason_code: 'BAD_LUCK' is no reason"):
        decode_outcome(pb.JobResultMessage(reason_code="BAD_LUCK"))


@pytest.mark.parametrize("offset", [{"stream": 3}, {"stream": 1, "offset": -1}])
def test_offsets_that_cannot_be_are_refused(offset: dict[str, int]):
    with pytest.raises(InvalidFieldsError, match="final_offsets"):
        decode_offsets([pb.StreamOffset(**offset)], field="final_offsets")


def test_offsets_come_back():
    offsets = {LogStream.STDOUT: 5, LogStream.STDERR: 2**40}
    assert decode_offsets(encode_offsets(offsets), field="x") == offsets


# --- Logs -----------------------------------------------------------------------------------------


def chunk(data: bytes, offset: int = 0, stream: LogStream = LogStream.STDOUT) -> LogChunk:
    return LogChunk(job_id=JobId("j"), attempt=1, stream=stream, offset=offset, data=data, at=T0)


def test_a_chunk_is_read_as_it_was_sent():
    one = chunk(b"\x00\xff", 7, LogStream.STDERR)
    message = pb.LogChunk(
        job_id="j",
        attempt=1,
        stream=pb.LOG_STREAM_STDERR,
        offset=7,
        data=b"\x00\xff",
        time=to_timestamp(T0),
    )
    assert decode_chunk(message, received_at=after(9)) == one


def test_a_chunk_without_a_time_gets_that_of_its_arrival():
    message = pb.LogChunk(job_id="j", attempt=1, stream=pb.LOG_STREAM_STDOUT, data=b"x")
    assert decode_chunk(message, received_at=after(9)).at == after(9)


@pytest.mark.parametrize(
    "fault", [{"stream": 0}, {"stream": 9}, {"offset": -1}, {"attempt": 0}], ids=str
)
def test_a_chunk_that_cannot_be_is_refused(fault: dict[str, int]):
    message = pb.LogChunk(**({"job_id": "j", "attempt": 1, "stream": 1} | fault))  # type: ignore[arg-type]
    with pytest.raises(InvalidFieldsError, match=r"log_batch\.chunks"):
        decode_chunk(message, received_at=T0)


def entries(*parts: tuple[LogStream, bytes]) -> list[LogEntry]:
    """Chunks stored in this order."""
    ends = {LogStream.STDOUT: 0, LogStream.STDERR: 0}
    sequence = 0
    made: list[LogEntry] = []
    for stream, data in parts:
        sequence += len(data)
        made.append(LogEntry(chunk=chunk(data, ends[stream], stream), sequence=sequence))
        ends[stream] += len(data)
    return made


def lines_of(*parts: tuple[LogStream, bytes]) -> list[pb.JobLogEntry]:
    splitter = LineSplitter()
    told = [line for entry in entries(*parts) for line in splitter.split(entry)]
    return told + splitter.flush()


OUT, ERR = LogStream.STDOUT, LogStream.STDERR


def test_a_raw_entry_is_the_chunk_itself():
    (entry,) = entries((ERR, b"a\r\n\xff"))
    view = raw_entry(entry)
    assert (view.job_id, view.is_stderr, view.attempt) == ("j", True, 1)
    assert (view.data, view.offset, view.sequence, view.line) == (b"a\r\n\xff", 0, 4, "")
    assert view.timestamp == to_timestamp(T0)


def test_lines_are_told_without_their_ends_and_with_their_bytes():
    told = lines_of((OUT, b"one\r\n\ntw\xffo\nlast"))
    assert [each.line for each in told] == ["one", "", "tw\ufffdo", "last"]
    assert [each.data for each in told] == [b"one\r\n", b"\n", b"tw\xffo\n", b"last"]
    assert [each.offset for each in told] == [0, 5, 6, 11]
    assert [each.sequence for each in told] == [5, 6, 11, 15]


def test_a_line_in_two_chunks_is_told_once():
    told = lines_of((OUT, "é".encode()[:1]), (OUT, "é".encode()[1:] + b"\nx\n"))
    assert [(each.line, each.offset, each.sequence) for each in told] == [("é", 0, 3), ("x", 3, 5)]


def test_a_line_waits_for_its_end_or_for_a_flush():
    splitter = LineSplitter()
    first, second = entries((OUT, b"a"), (OUT, b"b\n"))
    assert splitter.split(first) == []
    assert [each.line for each in splitter.split(second)] == ["ab"]
    assert splitter.flush() == []


def test_another_streams_output_ends_the_wait_so_that_no_sequence_runs_ahead():
    told = lines_of((OUT, b"half"), (ERR, b"oops\n"), (OUT, b"way\n"))
    assert [(each.line, each.is_stderr, each.sequence) for each in told] == [
        ("half", False, 4),
        ("oops", True, 9),
        ("way", False, 13),
    ]


def test_what_lies_beyond_a_gap_is_not_joined_to_what_lies_before_it():
    splitter = LineSplitter()
    before, after_gap = chunk(b"ab"), chunk(b"yz\n", offset=100)
    told = splitter.split(LogEntry(chunk=before, sequence=2))
    told += splitter.split(LogEntry(chunk=after_gap, sequence=5))
    assert [(each.line, each.offset) for each in told] == [("ab", 0), ("yz", 100)]


def test_a_line_without_end_is_told_in_pieces():
    told = lines_of((OUT, b"x" * MAX_LINE_BYTES), (OUT, b"y\n"))
    assert [len(each.data) for each in told] == [MAX_LINE_BYTES, 2]


# --- Time -----------------------------------------------------------------------------------------


def test_an_instant_before_1970_comes_back():
    early = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_timestamp(to_timestamp(early), field="x") == early
    assert optional_timestamp(None) is None


def test_an_instant_outside_the_calendar_is_refused_by_name():
    message = to_timestamp(T0)
    message.seconds = 10**15
    with pytest.raises(InvalidFieldsError, match="created_after"):
        from_timestamp(message, field="created_after")


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.1, 1.5, 299.999999, 31_536_000.000001])
def test_seconds_come_back(seconds: float):
    assert to_seconds(to_duration(seconds)) == seconds
