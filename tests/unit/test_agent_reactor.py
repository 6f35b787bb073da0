"""What the agent decides: each test asserts the effects, and that there were no others."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hodei.agent.reactor.core import (
    FORCED,
    FORCED_WITHIN_S,
    HEARTBEAT,
    MOVE,
    RECONNECT,
    RENEW,
    SERVERLESS,
    Limits,
    Reactor,
)
from hodei.agent.reactor.effects import (
    ArmTimer,
    CancelTimer,
    Connect,
    DropSpool,
    Effect,
    Exit,
    ForgetJob,
    KillTree,
    KnowServers,
    Note,
    PauseReading,
    ReadSpool,
    RenewCertificate,
    ResumeReading,
    Send,
    SignalTree,
    StartProcess,
    WriteSpool,
)
from hodei.agent.reactor.events import (
    Acked,
    CancelReceived,
    CertificateRenewed,
    DrainReceived,
    Enrolled,
    Event,
    JobKey,
    OutputEnded,
    OutputRead,
    ProcessGone,
    RenewalFailed,
    ResultAcked,
    RunJob,
    RunJobReceived,
    ServersKnown,
    SigTerm,
    SlotLost,
    Spawned,
    SpawnFailed,
    Spooled,
    SpoolFailed,
    StreamKey,
    StreamLost,
    StreamRefused,
    TimerFired,
    TimerKey,
    Unspooled,
    Verdict,
    Welcomed,
)
from hodei.agent.reactor.messages import (
    Chunk,
    Draining,
    Heartbeat,
    Held,
    Hello,
    Result,
    Started,
    Usage,
)
from hodei.agent.reactor.output import MARK_NS, dropped_notice
from hodei.agent.reactor.session import MAX_RETRY_S, retry_delay_s
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import Exec, LogPolicy
from hodei.domain.logs import LogStream

JOB = JobKey("job", 1)
OUT = StreamKey(JOB, LogStream.STDOUT)
ERR = StreamKey(JOB, LogStream.STDERR)
NO_OUTPUT = {LogStream.STDOUT: 0, LogStream.STDERR: 0}
GONE = ProcessGone(
    key=JOB,
    exit_code=0,
    signal=None,
    user_cpu_s=0.5,
    system_cpu_s=0.25,
    max_rss_bytes=4096,
    out_of_memory=False,
    wall_ns=9,
)


def run(key: JobKey = JOB, **more: object) -> RunJob:
    plain = RunJob(
        key=key,
        token=7,
        command=Exec(argv=(b"true",)),
        environment={},
        working_dir="",
        stdin=None,
        timeout_s=60.0,
        grace_s=10.0,
        disconnect_timeout_s=300.0,
        log_policy=LogPolicy.HOLD,
    )
    return replace(plain, **more)  # pyright: ignore[reportArgumentType]


class Agent:
    """A reactor with a clock that tests move, and invariants that hold after every event."""

    def __init__(self, *, slots: int = 2, memory: int = 100, spool: int = 100) -> None:
        self.now = 1000.0
        limits = Limits(memory_bytes=memory, spool_bytes=spool)
        self.reactor = Reactor(slots=slots, limits=limits, now=self.now)

    def on(self, *events: Event) -> list[Effect]:
        effects: list[Effect] = []
        for event in events:
            effects += self.reactor.handle(event, self.now)
            self.reactor.check()
        return effects

    def enrolled(self) -> list[Effect]:
        return self.on(Enrolled(renew_after_s=6000.0))

    def welcomed(self, *verdicts: Verdict) -> list[Effect]:
        return self.on(Welcomed(session_epoch=3, verdicts=verdicts, heartbeat_interval_s=15.0))

    def running(self, job: RunJob | None = None) -> "Agent":
        """Connected, with one job that runs."""
        self.enrolled()
        self.welcomed()
        job = job or run()
        self.on(RunJobReceived(run=job, wall_ns=1), Spawned(key=job.key, pid=42, wall_ns=5))
        return self

    def fire(self, timer: TimerKey) -> list[Effect]:
        return self.on(TimerFired(timer=timer, wall_ns=8))


def read(data: bytes, key: StreamKey = OUT, wall_ns: int = 6) -> OutputRead:
    return OutputRead(key=key, data=data, wall_ns=wall_ns)


def chunk(offset: int, data: bytes, key: StreamKey = OUT, wall_ns: int = 6) -> Send:
    return Send(message=Chunk(key=key, offset=offset, data=data, wall_ns=wall_ns))


def result(**more: object) -> Send:
    plain = Result(
        key=JOB,
        token=7,
        reason_code="",
        message="",
        exit_code=0,
        signal=None,
        usage=Usage(user_cpu_s=0.5, system_cpu_s=0.25, max_rss_bytes=4096),
        started_ns=5,
        ended_ns=9,
        final_offsets=NO_OUTPUT,
    )
    return Send(message=replace(plain, **more))  # pyright: ignore[reportArgumentType]


def timer(name: str, key: JobKey = JOB) -> TimerKey:
    return TimerKey(name, key)


ENDED = (OutputEnded(key=OUT), OutputEnded(key=ERR))


# --- The session --------------------------------------------------------------------------------


def test_once_enrolled_it_dials_and_counts_its_time_without_a_server() -> None:
    agent = Agent()

    assert agent.enrolled() == [
        ArmTimer(timer=RENEW, at=7000.0),
        ArmTimer(timer=SERVERLESS, at=1300.0),
        Connect(hello=Hello(session_epoch=0, held=())),
    ]


def test_a_welcome_ends_the_time_without_a_server_and_starts_the_heartbeat() -> None:
    agent = Agent()
    agent.enrolled()

    assert agent.welcomed() == [
        CancelTimer(timer=SERVERLESS),
        ArmTimer(timer=HEARTBEAT, at=1001.0),
    ]
    assert agent.fire(HEARTBEAT) == [
        Send(message=Heartbeat(job_ids=(), is_draining=False, dropped_bytes=0)),
        ArmTimer(timer=HEARTBEAT, at=1015.0),
    ]


def test_a_lost_stream_is_dialled_again_after_a_short_while() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()

    assert agent.on(StreamLost(detail="gone", chance=0.5)) == [
        CancelTimer(timer=HEARTBEAT),
        CancelTimer(timer=MOVE),
        ArmTimer(timer=SERVERLESS, at=1300.0),
        Note(event="stream_lost", facts={"detail": "gone", "retry_in_s": 0.038}),
        ArmTimer(timer=RECONNECT, at=1000.0375),
    ]
    assert agent.fire(RECONNECT) == [Connect(hello=Hello(session_epoch=3, held=()))]


def test_waits_between_tries_grow_from_50_ms_to_5_s_and_stay_there() -> None:
    longest = [retry_delay_s(failures, 0.999999) for failures in range(40)]

    assert longest[0] == pytest.approx(0.05, rel=0.01)
    assert longest == sorted(longest)
    assert longest[-1] == pytest.approx(MAX_RETRY_S, rel=0.01)
    assert retry_delay_s(10**6, 0.0) == MAX_RETRY_S / 2


def test_a_stream_that_never_holds_is_dialled_ever_more_slowly() -> None:
    agent = Agent()
    agent.enrolled()
    waits: list[float] = []
    for _ in range(3):
        agent.welcomed()
        armed = agent.on(StreamLost(detail="", chance=0.0))[-1]
        assert isinstance(armed, ArmTimer)
        waits.append(armed.at - agent.now)
    assert waits[0] < waits[1] < waits[2]

    agent.welcomed()
    agent.now += 60
    armed = agent.on(StreamLost(detail="", chance=0.0))[-1]
    assert armed == ArmTimer(timer=RECONNECT, at=agent.now + 0.025)


def test_a_refused_stream_ends_its_jobs_at_once_and_the_agent_with_3() -> None:
    agent = Agent().running()
    agent.on(StreamLost(detail="", chance=0.0))

    assert agent.on(StreamRefused(detail="no more")) == [
        Note(event="refused_by_server", facts={"detail": "no more"}, is_warning=True),
        CancelTimer(timer=timer("disconnect")),
        CancelTimer(timer=timer("timeout")),
        KillTree(slot=0),
    ]
    assert agent.on(GONE) == [ForgetJob(key=JOB), Exit(code=3)]


def test_after_its_exit_nothing_has_any_effect() -> None:
    agent = Agent()
    agent.enrolled()

    assert agent.on(StreamRefused(detail=""))[-1] == Exit(code=3)
    assert agent.welcomed() == []


def test_the_servers_that_there_are_are_remembered() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()

    assert agent.on(ServersKnown(worker_addresses=("a:1", "b:1"))) == [
        KnowServers(worker_addresses=("a:1", "b:1"))
    ]


def test_a_move_closes_the_stream_and_dials_again() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()

    assert agent.on(DrainReceived(terminate=False, reconnect_after_s=2.0)) == [
        ArmTimer(timer=MOVE, at=1002.0)
    ]
    agent.now += 2
    assert agent.fire(MOVE) == [
        CancelTimer(timer=HEARTBEAT),
        CancelTimer(timer=MOVE),
        ArmTimer(timer=SERVERLESS, at=1302.0),
        CancelTimer(timer=RECONNECT),
        Connect(hello=Hello(session_epoch=3, held=()), elsewhere=True),
    ]


def test_a_certificate_is_renewed_and_the_next_stream_uses_it() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()

    assert agent.fire(RENEW) == [RenewCertificate()]
    effects = agent.on(CertificateRenewed(renew_after_s=5000.0))
    assert effects[0] == ArmTimer(timer=RENEW, at=6000.0)
    assert effects[-1] == Connect(hello=Hello(session_epoch=3, held=()))


def test_a_failed_renewal_is_tried_again_soon() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()
    agent.fire(RENEW)

    assert agent.on(RenewalFailed(detail="away", chance=0.5)) == [
        Note(event="renewal_failed", facts={"detail": "away"}, is_warning=True),
        ArmTimer(timer=RENEW, at=1060.0),
    ]


def test_a_renewal_that_is_due_without_a_server_waits_for_one() -> None:
    agent = Agent()
    agent.enrolled()

    assert agent.fire(RENEW) == []
    assert agent.welcomed()[-1] == RenewCertificate()


# --- A job's way --------------------------------------------------------------------------------


def test_a_job_is_started_on_a_slot_told_of_timed_and_its_result_sent() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()

    assert agent.on(RunJobReceived(run=run(), wall_ns=1)) == [StartProcess(run=run(), slot=0)]
    assert agent.on(Spawned(key=JOB, pid=42, wall_ns=5)) == [
        Send(message=Started(key=JOB, token=7, pid=42, started_ns=5)),
        ArmTimer(timer=timer("timeout"), at=1060.0),
    ]
    assert agent.on(read(b"hi\n")) == [chunk(0, b"hi\n")]
    assert agent.on(*ENDED) == []
    final = {LogStream.STDOUT: 3, LogStream.STDERR: 0}
    assert agent.on(GONE) == [
        CancelTimer(timer=timer("timeout")),
        result(final_offsets=final),
    ]
    assert agent.on(Acked(key=OUT, offset=3)) == []
    assert agent.on(ResultAcked(key=JOB, recorded=True)) == [ForgetJob(key=JOB)]
    assert not len(agent.reactor.attempts)


def test_the_result_waits_for_the_end_of_the_output() -> None:
    agent = Agent().running()

    assert agent.on(GONE) == [CancelTimer(timer=timer("timeout"))]
    assert agent.on(read(b"last")) == [chunk(0, b"last")]
    assert agent.on(OutputEnded(key=ERR)) == []
    final = {LogStream.STDOUT: 4, LogStream.STDERR: 0}
    assert agent.on(OutputEnded(key=OUT)) == [result(final_offsets=final)]


@pytest.mark.parametrize(
    ("gone", "reason_code", "message"),
    [
        (replace(GONE, exit_code=3), "NON_ZERO_EXIT_CODE", "exited with 3"),
        (
            replace(GONE, exit_code=None, signal=9),
            "SIGNAL_RECEIVED",
            "ended by signal 9 (SIGKILL)",
        ),
        (replace(GONE, exit_code=None, signal=35), "SIGNAL_RECEIVED", "ended by signal 35"),
        (
            replace(GONE, exit_code=None, signal=9, out_of_memory=True),
            "OUT_OF_MEMORY",
            "the kernel ended it because memory ran out",
        ),
    ],
)
def test_each_end_has_its_reason(gone: ProcessGone, reason_code: str, message: str) -> None:
    agent = Agent().running()
    agent.on(*ENDED)

    assert agent.on(gone)[-1] == result(
        exit_code=gone.exit_code, signal=gone.signal, reason_code=reason_code, message=message
    )


def test_a_job_that_cannot_start_has_only_a_result() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()
    agent.on(RunJobReceived(run=run(), wall_ns=1))
    code = ReasonCode.COMMAND_NOT_FOUND

    assert agent.on(SpawnFailed(key=JOB, reason_code=code, message="no such", wall_ns=4)) == [
        result(
            reason_code=code,
            message="no such",
            exit_code=None,
            usage=None,
            started_ns=None,
            ended_ns=4,
        )
    ]


def test_a_job_that_the_agent_cannot_run_is_refused_without_a_slot() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()

    assert agent.on(RunJobReceived(run=run(refusal="why"), wall_ns=4)) == [
        result(
            reason_code="PROCESS_SPAWN_FAILED",
            message="why",
            exit_code=None,
            usage=None,
            started_ns=None,
            ended_ns=4,
        )
    ]


def test_a_job_that_is_held_already_is_not_run_again() -> None:
    agent = Agent().running()

    assert agent.on(RunJobReceived(run=run(), wall_ns=2)) == [
        Note(event="job_held_already", facts={"job_id": "job", "attempt": 1})
    ]


def test_a_job_without_a_free_slot_waits_for_one() -> None:
    agent = Agent(slots=1).running()
    other = run(JobKey("other", 1))

    assert agent.on(RunJobReceived(run=other, wall_ns=2)) == []
    agent.on(*ENDED)
    assert agent.on(GONE)[-1] == StartProcess(run=other, slot=0)


def test_a_slot_that_dies_ends_the_agent() -> None:
    agent = Agent().running()

    assert agent.on(SlotLost(slot=0)) == [
        Note(event="slot_lost", facts={"slot": 0}, is_warning=True),
        Exit(code=5),
    ]


# --- Ending a job -------------------------------------------------------------------------------


def cancel(*, force: bool = False) -> CancelReceived:
    return CancelReceived(key=JOB, force=force, reason_code=ReasonCode.CANCELLED, wall_ns=8)


def test_a_cancel_is_sigterm_then_the_grace_then_sigkill() -> None:
    agent = Agent().running()

    assert agent.on(cancel()) == [
        CancelTimer(timer=timer("timeout")),
        SignalTree(slot=0),
        ArmTimer(timer=timer("grace"), at=1010.0),
    ]
    assert agent.fire(timer("grace")) == [KillTree(slot=0)]
    agent.on(*ENDED)
    assert agent.on(replace(GONE, exit_code=None, signal=9)) == [
        result(exit_code=None, signal=9, reason_code="CANCELLED", message="ended on request")
    ]


def test_a_forced_cancel_kills_at_once_also_during_the_grace() -> None:
    assert Agent().running().on(cancel(force=True)) == [
        CancelTimer(timer=timer("timeout")),
        KillTree(slot=0),
    ]
    agent = Agent().running()
    agent.on(cancel())
    assert agent.on(cancel(force=True)) == [CancelTimer(timer=timer("grace")), KillTree(slot=0)]
    assert agent.on(cancel(force=True)) == []


def test_a_second_cancel_changes_nothing() -> None:
    agent = Agent().running()
    agent.on(cancel())

    assert agent.on(cancel()) == []


def test_a_job_without_grace_is_killed_at_once() -> None:
    agent = Agent().running(run(grace_s=0.0))

    assert agent.on(cancel()) == [CancelTimer(timer=timer("timeout")), KillTree(slot=0)]


def test_a_cancel_that_comes_while_the_job_starts_is_kept_until_it_runs() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()
    agent.on(RunJobReceived(run=run(), wall_ns=1))

    assert agent.on(cancel()) == []
    assert agent.on(Spawned(key=JOB, pid=42, wall_ns=5)) == [
        Send(message=Started(key=JOB, token=7, pid=42, started_ns=5)),
        SignalTree(slot=0),
        ArmTimer(timer=timer("grace"), at=1010.0),
    ]


def test_a_cancel_of_a_waiting_job_ends_it_unstarted() -> None:
    agent = Agent(slots=1).running(run(JobKey("first", 1)))
    agent.on(RunJobReceived(run=run(), wall_ns=2))

    assert agent.on(cancel()) == [
        result(
            reason_code="CANCELLED",
            message="ended on request",
            exit_code=None,
            usage=None,
            started_ns=None,
            ended_ns=8,
        )
    ]


def test_a_cancel_after_the_end_or_of_a_job_that_is_not_held_is_ignored() -> None:
    agent = Agent().running()
    agent.on(GONE)

    assert agent.on(cancel()) == []
    agent.on(*ENDED, ResultAcked(key=JOB, recorded=True))
    assert agent.on(cancel()) == []


def test_a_job_past_its_timeout_is_ended_for_that_reason() -> None:
    agent = Agent().running()

    assert agent.fire(timer("timeout")) == [
        SignalTree(slot=0),
        ArmTimer(timer=timer("grace"), at=1010.0),
    ]
    agent.on(*ENDED)
    sent = agent.on(GONE)[-1]
    assert sent == result(
        reason_code="EXECUTION_TIMEOUT", message="ran for longer than its limit of 1m"
    )


# --- Without a server ---------------------------------------------------------------------------


def test_without_a_server_output_is_kept_and_sent_again_from_what_is_stored() -> None:
    agent = Agent().running()
    agent.on(read(b"one"))
    agent.on(StreamLost(detail="", chance=0.0))

    assert agent.on(read(b"two")) == []
    assert agent.on(GONE, *ENDED) == [
        CancelTimer(timer=timer("disconnect")),
        CancelTimer(timer=timer("timeout")),
    ]
    final = {LogStream.STDOUT: 6, LogStream.STDERR: 0}
    ended = result(final_offsets=final).message
    assert isinstance(ended, Result)
    assert agent.fire(RECONNECT) == [
        Connect(
            hello=Hello(
                session_epoch=3,
                held=(
                    Held(
                        key=JOB,
                        token=7,
                        started=True,
                        sent={LogStream.STDOUT: 3, LogStream.STDERR: 0},
                        acknowledged=NO_OUTPUT,
                        result=ended,
                    ),
                ),
            )
        )
    ]
    verdict = Verdict(key=JOB, keep=True, stored={LogStream.STDOUT: 2})
    assert agent.welcomed(verdict)[1:-1] == [
        chunk(2, b"e"),
        chunk(3, b"two"),
        Send(message=ended),
    ]


def test_a_start_that_the_server_did_not_hear_of_is_told_after_the_welcome() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()
    agent.on(RunJobReceived(run=run(), wall_ns=1), StreamLost(detail="", chance=0.0))
    agent.fire(RECONNECT)

    assert agent.on(Spawned(key=JOB, pid=42, wall_ns=5)) == [
        ArmTimer(timer=timer("timeout"), at=1060.0)
    ]
    started = Send(message=Started(key=JOB, token=7, pid=42, started_ns=5))
    assert started in agent.welcomed(Verdict(key=JOB, keep=True, stored={}))
    agent.on(StreamLost(detail="", chance=0.0))
    agent.fire(RECONNECT)
    assert started not in agent.welcomed(Verdict(key=JOB, keep=True, stored={}))


def test_a_disowned_job_is_killed_and_forgotten_without_a_word() -> None:
    agent = Agent().running()
    agent.on(read(b"one"), StreamLost(detail="", chance=0.0))

    effects = agent.welcomed(Verdict(key=JOB, keep=False, stored={}))
    assert effects[1:-1] == [
        Note(event="job_disowned", facts={"job_id": "job", "attempt": 1}),
        CancelTimer(timer=timer("disconnect")),
        CancelTimer(timer=timer("timeout")),
        KillTree(slot=0),
    ]
    assert agent.on(read(b"two")) == []
    assert agent.on(GONE) == [ForgetJob(key=JOB)]
    assert agent.reactor.flow.memory == 0


def test_room_that_a_disowned_job_leaves_lets_nothing_overtake_what_is_older() -> None:
    agent = Agent().running()
    other = run(JobKey("other", 1), log_policy=LogPolicy.DROP_OLDEST)
    theirs = StreamKey(other.key, LogStream.STDOUT)
    agent.on(RunJobReceived(run=other, wall_ns=1), Spawned(key=other.key, pid=43, wall_ns=5))
    agent.on(read(b"m" * 99), read(b"1", theirs), read(b"2" * 101, theirs))
    agent.on(GONE, *ENDED, StreamLost(detail="", chance=0.0))

    effects = agent.welcomed(
        Verdict(key=JOB, keep=False, stored={}), Verdict(key=other.key, keep=True, stored={})
    )
    sent = [effect for effect in effects if isinstance(effect, Send)]
    assert sent == [chunk(0, b"1", theirs), chunk(1, dropped_notice(1), theirs)]


def test_a_disowned_job_that_has_ended_is_forgotten_at_once() -> None:
    agent = Agent().running()
    agent.on(GONE, *ENDED, StreamLost(detail="", chance=0.0))

    effects = agent.welcomed(Verdict(key=JOB, keep=False, stored={}))
    assert ForgetJob(key=JOB) in effects


def test_a_result_that_was_discarded_as_stale_is_forgotten_and_noted() -> None:
    agent = Agent().running()
    agent.on(GONE, *ENDED)

    assert agent.on(ResultAcked(key=JOB, recorded=False)) == [
        Note(
            event="result_discarded_as_stale",
            facts={"job_id": "job", "attempt": 1},
            is_warning=True,
        ),
        ForgetJob(key=JOB),
    ]


def test_an_answer_to_a_result_that_was_not_sent_ends_the_job_only_when_it_disowns_it() -> None:
    agent = Agent().running()

    assert agent.on(ResultAcked(key=JOB, recorded=True)) == []
    assert KillTree(slot=0) in agent.on(ResultAcked(key=JOB, recorded=False))


def test_a_job_without_a_server_for_too_long_is_ended_with_a_short_grace() -> None:
    agent = Agent().running(run(disconnect_timeout_s=30.0, grace_s=3600.0))
    assert ArmTimer(timer=timer("disconnect"), at=1030.0) in agent.on(
        StreamLost(detail="", chance=0.0)
    )
    agent.now += 30
    assert agent.fire(timer("disconnect")) == [
        CancelTimer(timer=timer("timeout")),
        SignalTree(slot=0),
        ArmTimer(timer=timer("grace"), at=1040.0),
    ]
    agent.on(replace(GONE, exit_code=None, signal=15), *ENDED)
    agent.fire(RECONNECT)
    sent = agent.welcomed(Verdict(key=JOB, keep=True, stored={}))[-2]
    assert sent == result(
        exit_code=None,
        signal=15,
        reason_code="SERVER_UNREACHABLE",
        message="its worker had no server for longer than the limit of 30s",
    )


def test_a_server_in_time_takes_that_limit_away() -> None:
    agent = Agent().running()
    agent.on(StreamLost(detail="", chance=0.0))

    assert CancelTimer(timer=timer("disconnect")) in agent.welcomed(
        Verdict(key=JOB, keep=True, stored={})
    )


def test_an_agent_without_a_server_for_too_long_ends_its_jobs_then_itself_with_4() -> None:
    agent = Agent().running()
    agent.on(StreamLost(detail="", chance=0.0))
    agent.now += 300

    assert agent.fire(SERVERLESS) == [
        Note(event="no_server", facts={"for_s": 300.0}, is_warning=True),
        CancelTimer(timer=timer("timeout")),
        CancelTimer(timer=timer("disconnect")),
        SignalTree(slot=0),
        ArmTimer(timer=timer("grace"), at=1310.0),
    ]
    assert agent.on(GONE) == [CancelTimer(timer=timer("grace")), Exit(code=4)]


def test_a_server_that_comes_back_in_that_last_moment_is_told_everything() -> None:
    agent = Agent().running()
    agent.on(StreamLost(detail="", chance=0.0))
    agent.fire(SERVERLESS)
    agent.welcomed(Verdict(key=JOB, keep=True, stored={}))

    sent = agent.on(*ENDED, GONE)[-1]
    assert isinstance(sent, Send)
    assert isinstance(sent.message, Result)
    assert sent.message.reason_code == "SERVER_UNREACHABLE"


def test_an_agent_stays_for_as_long_as_one_of_its_jobs_may_wait() -> None:
    agent = Agent().running(run(disconnect_timeout_s=1000.0))

    assert ArmTimer(timer=SERVERLESS, at=2000.0) in agent.on(StreamLost(detail="", chance=0.0))


# --- Leaving ------------------------------------------------------------------------------------


def test_a_drain_of_an_idle_agent_ends_it() -> None:
    agent = Agent()
    agent.enrolled()
    agent.welcomed()

    assert agent.on(DrainReceived(terminate=True, reconnect_after_s=0.0)) == [
        Note(event="draining", facts={"reason": "asked by the server"}),
        Exit(code=0),
    ]


def test_a_drain_waits_for_the_last_result_to_be_acknowledged() -> None:
    agent = Agent().running()
    agent.on(DrainReceived(terminate=True, reconnect_after_s=0.0))

    assert result() in agent.on(*ENDED, GONE)
    assert agent.on(ResultAcked(key=JOB, recorded=True)) == [ForgetJob(key=JOB), Exit(code=0)]


def test_sigterm_drains_and_says_so_also_on_the_next_stream() -> None:
    agent = Agent().running()
    draining = Send(message=Draining(reason="SIGTERM"))

    assert agent.on(SigTerm(wall_ns=8)) == [
        Note(event="draining", facts={"reason": "SIGTERM"}),
        draining,
    ]
    agent.on(StreamLost(detail="", chance=0.0))
    assert draining in agent.welcomed(Verdict(key=JOB, keep=True, stored={}))


def test_a_second_sigterm_ends_the_jobs_at_once_and_tells_their_results() -> None:
    agent = Agent().running()
    agent.on(SigTerm(wall_ns=8))

    assert agent.on(SigTerm(wall_ns=8)) == [
        Note(event="ending_at_once", facts={"jobs": 1}, is_warning=True),
        ArmTimer(timer=FORCED, at=1000.0 + FORCED_WITHIN_S),
        CancelTimer(timer=timer("timeout")),
        KillTree(slot=0),
    ]
    sent = agent.on(*ENDED, replace(GONE, exit_code=None, signal=9))
    assert sent == [
        result(
            exit_code=None,
            signal=9,
            reason_code="CANCELLED",
            message="its worker was told to end",
        )
    ]
    assert agent.on(ResultAcked(key=JOB, recorded=True)) == [ForgetJob(key=JOB), Exit(code=143)]


def test_a_second_sigterm_does_not_wait_long_for_a_server() -> None:
    agent = Agent().running()
    agent.on(SigTerm(wall_ns=8), SigTerm(wall_ns=8))
    assert agent.fire(FORCED) == [Exit(code=143)]

    agent = Agent().running()
    agent.on(StreamLost(detail="", chance=0.0), SigTerm(wall_ns=8), SigTerm(wall_ns=8))
    assert agent.on(GONE) == [Exit(code=143)]


# --- Output: memory, spool, pipe ------------------------------------------------------------------


def spooling(policy: LogPolicy = LogPolicy.HOLD, **rooms: int) -> Agent:
    """An agent whose memory is full of 100 bytes that were sent and not acknowledged."""
    agent = Agent(**rooms).running(run(log_policy=policy))
    agent.on(read(b"m" * 100))
    return agent


def written(data: bytes, wall_ns: int = 6) -> Spooled:
    return Spooled(key=OUT, size=len(data), wall_ns=wall_ns)


def write(data: bytes, wall_ns: int = 6) -> list[Effect]:
    return [PauseReading(key=OUT), WriteSpool(key=OUT, data=data, wall_ns=wall_ns)]


def test_past_the_room_in_memory_output_goes_to_the_spool_one_piece_at_a_time() -> None:
    agent = spooling()

    assert agent.on(read(b"1234")) == write(b"1234")
    assert agent.on(written(b"1234")) == [ResumeReading(key=OUT)]


def test_an_acknowledgement_makes_room_and_the_spool_moves_up() -> None:
    agent = spooling()
    agent.on(read(b"1234"), written(b"1234"))

    assert agent.on(Acked(key=OUT, offset=100)) == [ReadSpool(key=OUT, size=4)]
    assert agent.on(Unspooled(key=OUT, data=b"1234")) == [chunk(100, b"1234")]
    assert agent.on(read(b"5")) == [chunk(104, b"5")]


def test_what_is_read_while_older_bytes_are_in_the_spool_goes_behind_them() -> None:
    agent = spooling()
    agent.on(read(b"1"), written(b"1"), Acked(key=OUT, offset=100))

    assert agent.on(read(b"2")) == write(b"2")
    assert agent.on(Unspooled(key=OUT, data=b"1"), written(b"2")) == [
        chunk(100, b"1"),
        ResumeReading(key=OUT),
        ReadSpool(key=OUT, size=1),
    ]


def test_bytes_that_were_read_at_different_times_keep_them_through_the_spool() -> None:
    agent = spooling()
    later = 6 + MARK_NS
    agent.on(read(b"1"), written(b"1"), read(b"2", wall_ns=later), written(b"2", later))

    agent.on(Acked(key=OUT, offset=100))
    assert agent.on(Unspooled(key=OUT, data=b"1")) == [
        chunk(100, b"1"),
        ReadSpool(key=OUT, size=1),
    ]
    assert agent.on(Unspooled(key=OUT, data=b"2")) == [chunk(101, b"2", wall_ns=later)]


def test_the_result_waits_for_what_is_in_the_spool() -> None:
    agent = spooling()
    agent.on(read(b"1"), written(b"1"), *ENDED, GONE)

    assert agent.on(Acked(key=OUT, offset=100)) == [ReadSpool(key=OUT, size=1)]
    final = {LogStream.STDOUT: 101, LogStream.STDERR: 0}
    assert agent.on(Unspooled(key=OUT, data=b"1")) == [
        chunk(100, b"1"),
        result(final_offsets=final),
    ]


def test_hold_leaves_the_job_waiting_when_the_spool_is_full_and_loses_nothing() -> None:
    agent = spooling(spool=4)
    agent.on(read(b"1234"), written(b"1234"))

    assert agent.on(read(b"56")) == [PauseReading(key=OUT)]
    assert agent.on(Acked(key=OUT, offset=100)) == [
        ReadSpool(key=OUT, size=4),
        WriteSpool(key=OUT, data=b"56", wall_ns=6),
    ]
    assert agent.on(written(b"56")) == [ResumeReading(key=OUT)]
    assert agent.on(Unspooled(key=OUT, data=b"1234")) == [
        chunk(100, b"1234"),
        ReadSpool(key=OUT, size=2),
    ]


def test_hold_without_any_spool_goes_on_when_memory_has_room() -> None:
    agent = spooling(spool=0)

    assert agent.on(read(b"56")) == [PauseReading(key=OUT)]
    assert agent.on(Acked(key=OUT, offset=100)) == [chunk(100, b"56"), ResumeReading(key=OUT)]


def test_drop_oldest_drops_as_much_as_it_must_and_says_so_in_its_place() -> None:
    agent = spooling(LogPolicy.DROP_OLDEST, spool=4)
    agent.on(read(b"1234"), written(b"1234"))

    assert agent.on(read(b"56")) == [DropSpool(key=OUT, size=2), *write(b"56")]
    agent.on(written(b"56"))
    notice = dropped_notice(2)
    assert agent.on(Acked(key=OUT, offset=100)) == [
        chunk(100, notice),
        ReadSpool(key=OUT, size=4),
    ]
    assert agent.on(Unspooled(key=OUT, data=b"3456")) == [chunk(100 + len(notice), b"3456")]
    beat = agent.fire(HEARTBEAT)[0]
    assert beat == Send(message=Heartbeat(job_ids=("job",), is_draining=False, dropped_bytes=2))


def test_drop_oldest_keeps_the_end_of_a_piece_that_is_larger_than_the_spool() -> None:
    agent = spooling(LogPolicy.DROP_OLDEST, spool=4)
    agent.on(read(b"12"), written(b"12"))

    assert agent.on(read(b"abcdef")) == [DropSpool(key=OUT, size=2), *write(b"cdef")]
    agent.on(written(b"cdef"))
    assert agent.on(Acked(key=OUT, offset=100))[0] == chunk(100, dropped_notice(4))


def test_drop_oldest_tells_of_a_loss_even_when_nothing_came_after_it() -> None:
    agent = spooling(LogPolicy.DROP_OLDEST, spool=0)

    assert agent.on(read(b"lost")) == []
    agent.on(*ENDED, GONE)
    notice = dropped_notice(4)
    final = {LogStream.STDOUT: 100 + len(notice), LogStream.STDERR: 0}
    assert agent.on(Acked(key=OUT, offset=100)) == [
        chunk(100, notice),
        result(final_offsets=final),
    ]


def test_a_disk_that_takes_nothing_holds_the_job_until_something_has_changed() -> None:
    agent = spooling()
    agent.on(read(b"1" * 60))

    assert agent.on(SpoolFailed(key=OUT, data=b"1" * 60, wall_ns=6)) == []
    assert agent.on(Acked(key=OUT, offset=50)) == [WriteSpool(key=OUT, data=b"1" * 60, wall_ns=6)]
    assert agent.on(SpoolFailed(key=OUT, data=b"1" * 60, wall_ns=6)) == []
    assert agent.on(Acked(key=OUT, offset=100)) == [
        chunk(100, b"1" * 60),
        ResumeReading(key=OUT),
    ]


def test_a_disk_that_takes_nothing_loses_what_may_be_dropped_and_says_so() -> None:
    agent = spooling(LogPolicy.DROP_OLDEST)
    agent.on(read(b"12"), written(b"12"), read(b"34"))

    assert agent.on(SpoolFailed(key=OUT, data=b"34", wall_ns=6)) == [
        DropSpool(key=OUT, size=2),
        ResumeReading(key=OUT),
    ]
    assert agent.on(Acked(key=OUT, offset=100)) == [chunk(100, dropped_notice(4))]


def test_a_disk_that_gives_nothing_back_is_told_of_in_the_log() -> None:
    agent = spooling()
    agent.on(read(b"1234"), written(b"1234"), Acked(key=OUT, offset=100))

    assert agent.on(Unspooled(key=OUT, data=b"12")) == [
        chunk(100, b"12"),
        chunk(102, dropped_notice(2)),
    ]


def test_a_quiet_stream_may_send_although_another_fills_the_memory() -> None:
    agent = spooling()

    assert agent.on(read(b"error", ERR)) == [chunk(0, b"error", ERR)]


def test_a_job_that_is_forgotten_gives_its_room_to_others() -> None:
    agent = Agent().running()
    other = run(JobKey("other", 1))
    agent.on(RunJobReceived(run=other, wall_ns=1), Spawned(key=other.key, pid=43, wall_ns=5))
    agent.on(read(b"m" * 100), *ENDED, GONE)
    theirs = StreamKey(other.key, LogStream.STDOUT)
    agent.on(read(b"1", theirs), read(b"2", theirs))
    agent.on(Spooled(key=theirs, size=1, wall_ns=6))

    assert agent.on(ResultAcked(key=JOB, recorded=True)) == [
        ForgetJob(key=JOB),
        ReadSpool(key=theirs, size=1),
    ]


def test_news_of_a_forgotten_job_is_ignored() -> None:
    agent = spooling()
    agent.on(read(b"1"), *ENDED, GONE)
    agent.on(ResultAcked(key=JOB, recorded=False))
    late: list[Callable[[], Event]] = [
        lambda: written(b"1"),
        lambda: Unspooled(key=OUT, data=b"1"),
        lambda: Acked(key=OUT, offset=1),
        lambda: ResultAcked(key=JOB, recorded=True),
        lambda: TimerFired(timer=timer("timeout"), wall_ns=1),
    ]
    assert [agent.on(event()) for event in late] == [[]] * len(late)
    assert agent.reactor.flow.spool == 0
