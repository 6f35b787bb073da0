"""The agent's one state machine: every event goes in here, every effect comes out."""

from dataclasses import dataclass
from typing import Final, assert_never

from hodei.agent.reactor.attempts import Attempts
from hodei.agent.reactor.effects import (
    ArmTimer,
    CancelTimer,
    Connect,
    Effect,
    Exit,
    KnowServers,
    Note,
    RenewCertificate,
    Send,
)
from hodei.agent.reactor.events import (
    Acked,
    CancelReceived,
    CertificateRenewed,
    DrainReceived,
    Enrolled,
    Event,
    JobEvent,
    OutputEnded,
    OutputEvent,
    OutputRead,
    ProcessGone,
    RenewalFailed,
    ResultAcked,
    RunJobReceived,
    ServersKnown,
    SessionEvent,
    SigTerm,
    SlotLost,
    Spawned,
    SpawnFailed,
    Spooled,
    SpoolFailed,
    StreamLost,
    StreamRefused,
    TimerFired,
    TimerKey,
    Unspooled,
    Welcomed,
)
from hodei.agent.reactor.job import Stop, unreachable
from hodei.agent.reactor.messages import Draining, Heartbeat, Hello
from hodei.agent.reactor.output import Flow, Output
from hodei.agent.reactor.session import (
    EXIT_BROKEN,
    EXIT_FORCED,
    EXIT_OK,
    EXIT_REFUSED,
    EXIT_SERVERLESS,
    Leaving,
    Session,
)
from hodei.domain.jobs.reasons import ReasonCode

RECONNECT: Final = TimerKey("reconnect")
MOVE: Final = TimerKey("move")
HEARTBEAT: Final = TimerKey("heartbeat")
RENEW: Final = TimerKey("renew")
SERVERLESS: Final = TimerKey("serverless")
FORCED: Final = TimerKey("forced")

FORCED_WITHIN_S: Final = 5.0
"""How long a second SIGTERM waits for processes to go and for the server to take the results."""
FIRST_HEARTBEAT_S: Final = 1.0
"""After a welcome: by then there are metrics to tell. The hello was a sign of life itself."""
RENEWAL_RETRY_S: Final = (1.0, 60.0)
"""The shortest and the longest wait before a failed renewal is tried again."""

_SIGTERM: Final = Stop(reason_code=ReasonCode.CANCELLED, message="its worker was told to end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds an agent."""

    memory_bytes: int = 8 * 2**20
    """Output in memory that the server has not acknowledged."""
    spool_bytes: int = 256 * 2**20
    """Output on disk beyond that."""
    agent_timeout_s: float = 300.0
    """An agent ends after this long without any server, or later when a job of its may wait on."""


class Reactor:
    """Turns events into effects. Holds the agent's whole state, and touches nothing else."""

    def __init__(self, *, slots: int, limits: Limits, now: float) -> None:
        self._effects: list[Effect] = []
        self.flow = Flow(
            memory_limit=limits.memory_bytes,
            spool_limit=limits.spool_bytes,
            effects=self._effects,
        )
        self.attempts = Attempts(slots=slots, flow=self.flow, effects=self._effects)
        self.session = Session(lost_at=now)
        self._limits = limits
        self._has_exited = False

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What is to be done about an event that happened at the monotonic time `now`.

        Effects are to be performed in order. After an `Exit` nothing has any effect.
        """
        if self._has_exited:
            return []
        self._take(event, now)
        self._end_if_done()
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    def check(self) -> None:
        """Raises AssertionError where the books do not balance; for tests."""
        outputs = [output for job in self.attempts for output in job.outputs.values()]
        rooms = [output.rooms() for output in outputs]
        assert self.flow.memory == sum(memory for memory, _ in rooms)
        assert self.flow.spool == sum(spool for _, spool in rooms)
        assert self.flow.spool <= max(self.flow.spool_limit, 0)
        assert all(output.acked <= output.sent <= output.end for output in outputs)
        assert self.flow.is_open == self.session.is_welcomed
        if self.flow.is_open:
            shown = [job for job in self.attempts if not job.is_discarded]
            assert all(o.sent == o.end for job in shown for o in job.outputs.values())

    def _take(self, event: Event, now: float) -> None:
        # The events of each branch are told apart by the function it calls.
        match event:
            case OutputRead() | OutputEnded() | Acked() | Spooled() | SpoolFailed() | Unspooled():
                self._on_output(event)
            case TimerFired():
                self._on_timer(event, now)
            case (
                RunJobReceived()
                | CancelReceived()
                | ResultAcked()
                | Spawned()
                | SpawnFailed()
                | ProcessGone()
                | SlotLost()
            ):
                self._on_job(event, now)
            case _:
                self._on_session(event, now)

    # --- Output ---------------------------------------------------------------------------------

    def _on_output(self, event: OutputEvent) -> None:
        output = self.attempts.output(event.key)
        if output is None:
            return
        self._move_bytes(output, event)
        job = self.attempts.find(event.key.job)
        if job is not None and job.ending is not None:
            self.attempts.settle(job)

    def _move_bytes(self, output: Output, event: OutputEvent) -> None:
        match event:
            case OutputRead():
                output.take(event.data, event.wall_ns)
            case OutputEnded():
                output.is_ended = True
            case Acked():
                output.acknowledge(event.offset)
                self.attempts.refill()
            case Spooled():
                output.spooled(event.size, event.wall_ns)
            case SpoolFailed():
                output.spool_failed(event.data, event.wall_ns)
            case Unspooled():
                output.unspooled(event.data)
            case _:
                assert_never(event)

    # --- Jobs -----------------------------------------------------------------------------------

    def _on_job(self, event: JobEvent, now: float) -> None:
        match event:
            case RunJobReceived():
                self._run(event)
            case CancelReceived():
                job = self.attempts.find(event.key)
                if job is not None:
                    stop = Stop(reason_code=event.reason_code, message="ended on request")
                    self.attempts.stop(job, stop, now, event.wall_ns, force=event.force)
            case ResultAcked():
                self._acknowledge_result(event)
            case Spawned():
                self.attempts.spawned(event, now)
            case SpawnFailed():
                self.attempts.spawn_failed(event)
            case ProcessGone():
                self.attempts.process_gone(event)
            case SlotLost():
                self._note("slot_lost", is_warning=True, slot=event.slot)
                self._exit(EXIT_BROKEN)
            case _:
                assert_never(event)

    def _run(self, event: RunJobReceived) -> None:
        run = event.run
        job = self.attempts.add(run)
        if job is None:
            self._note("job_held_already", job_id=run.key.job_id, attempt=run.key.attempt)
        elif run.refusal:
            code = ReasonCode.PROCESS_SPAWN_FAILED
            self.attempts.end_unstarted(job, code, run.refusal, event.wall_ns)
        elif self.session.leaving is Leaving.FORCED:
            code = _SIGTERM.reason_code
            self.attempts.end_unstarted(job, code, _SIGTERM.message, event.wall_ns)
        else:
            self.attempts.start(job)

    def _acknowledge_result(self, event: ResultAcked) -> None:
        job = self.attempts.find(event.key)
        if job is None:
            return
        if not event.recorded:
            self._note(
                "result_discarded_as_stale",
                is_warning=True,
                job_id=event.key.job_id,
                attempt=event.key.attempt,
            )
        if job.result is not None:
            self.attempts.forget(job)
        elif not event.recorded:
            self.attempts.disown(job)

    # --- The session ----------------------------------------------------------------------------

    def _on_session(self, event: SessionEvent, now: float) -> None:
        match event:
            case Enrolled():
                self.session.renew_after_s = event.renew_after_s
                self._arm(RENEW, now + event.renew_after_s)
                self._wait_for_a_server(now)
                self._connect()
            case Welcomed():
                self._welcome(event, now)
            case ServersKnown():
                self._effects.append(KnowServers(worker_addresses=event.worker_addresses))
            case StreamLost():
                self._lose(now)
                delay = self.session.next_retry_s(event.chance)
                self._note("stream_lost", detail=event.detail, retry_in_s=round(delay, 3))
                self._arm(RECONNECT, now + delay)
            case StreamRefused():
                self._lose(now)
                self._note("refused_by_server", is_warning=True, detail=event.detail)
                self._give_up(EXIT_REFUSED)
            case DrainReceived():
                self._drain(event, now)
            case SigTerm():
                self._on_sigterm(event, now)
            case CertificateRenewed():
                self.session.renew_after_s = event.renew_after_s
                self._arm(RENEW, now + event.renew_after_s)
                self._move(now, elsewhere=False)
            case RenewalFailed():
                shortest, longest = RENEWAL_RETRY_S
                delay = min(max(self.session.renew_after_s / 20, shortest), longest)
                self._note("renewal_failed", is_warning=True, detail=event.detail)
                self._arm(RENEW, now + delay * (0.5 + event.chance))
            case _:
                assert_never(event)

    def _welcome(self, event: Welcomed, now: float) -> None:
        session = self.session
        session.epoch = event.session_epoch
        session.heartbeat_interval_s = event.heartbeat_interval_s
        session.is_welcomed = True
        session.welcomed_at = now
        if session.last_resort == EXIT_SERVERLESS:
            session.last_resort = None
        self._effects.append(CancelTimer(timer=SERVERLESS))
        self.attempts.welcomed(event.verdicts)
        if session.leaving is not Leaving.NO and session.leaving_reason:
            self._send_draining()
        self._arm(HEARTBEAT, now + min(FIRST_HEARTBEAT_S, session.heartbeat_interval_s))
        if session.is_renewal_due:
            session.is_renewal_due = False
            self._effects.append(RenewCertificate())

    def _lose(self, now: float) -> None:
        """Takes note that there is no stream; jobs and agent now have their time without one."""
        if not self.session.is_welcomed:
            return
        self.session.lose(now)
        self.flow.is_open = False
        self._effects += [CancelTimer(timer=HEARTBEAT), CancelTimer(timer=MOVE)]
        self.attempts.lost(now)
        self._wait_for_a_server(now)

    def _wait_for_a_server(self, now: float) -> None:
        patience_s = max(self._limits.agent_timeout_s, self.attempts.longest_patience_s())
        self._arm(SERVERLESS, now + patience_s)

    def _connect(self, *, elsewhere: bool = False) -> None:
        hello = Hello(session_epoch=self.session.epoch, held=self.attempts.held())
        self._effects.append(Connect(hello=hello, elsewhere=elsewhere))

    def _move(self, now: float, *, elsewhere: bool) -> None:
        """Goes on over a new stream."""
        self._lose(now)
        self._effects.append(CancelTimer(timer=RECONNECT))
        self._connect(elsewhere=elsewhere)

    def _beat(self, now: float) -> None:
        message = Heartbeat(
            job_ids=self.attempts.active_ids(),
            is_draining=self.session.leaving is not Leaving.NO,
            dropped_bytes=self.flow.dropped,
        )
        self._effects.append(Send(message=message))
        self._arm(HEARTBEAT, now + self.session.heartbeat_interval_s)

    # --- Leaving --------------------------------------------------------------------------------

    def _drain(self, event: DrainReceived, now: float) -> None:
        if not event.terminate:
            self._arm(MOVE, now + event.reconnect_after_s)
        elif self.session.leaving is Leaving.NO:
            self._note("draining", reason="asked by the server")
            self.session.leaving = Leaving.DRAINING

    def _on_sigterm(self, event: SigTerm, now: float) -> None:
        session = self.session
        if not session.leaving_reason:
            # The first one. A drain by the server may be under way; this one is told of.
            session.leaving_reason = "SIGTERM"
            if session.leaving is Leaving.NO:
                session.leaving = Leaving.DRAINING
            self._note("draining", reason="SIGTERM")
            if session.is_welcomed:
                self._send_draining()
        elif session.leaving is Leaving.DRAINING:
            session.leaving = Leaving.FORCED
            self._note("ending_at_once", is_warning=True, jobs=len(self.attempts))
            self._arm(FORCED, now + FORCED_WITHIN_S)
            for job in list(self.attempts):
                self.attempts.stop(job, _SIGTERM, now, event.wall_ns, force=True)

    def _send_draining(self) -> None:
        self._effects.append(Send(message=Draining(reason=self.session.leaving_reason)))

    def _give_up(self, code: int) -> None:
        """Ends what runs, and the agent after it, whatever is still to be told."""
        self.session.last_resort = code
        for job in list(self.attempts):
            self.attempts.disown(job)

    def _give_up_on_servers(self, event: TimerFired, now: float) -> None:
        """Ends as above, but with each job's grace; a server that comes back meanwhile counts."""
        self._note("no_server", is_warning=True, for_s=round(now - self.session.lost_at, 1))
        self.session.last_resort = EXIT_SERVERLESS
        for job in list(self.attempts):
            self.attempts.stop(job, unreachable(job.run), now, event.wall_ns)

    def _end_if_done(self) -> None:
        session = self.session
        if self._has_exited:
            return
        if session.last_resort is not None:
            if not self.attempts.has_processes:
                self._exit(session.last_resort)
        elif session.leaving is Leaving.DRAINING and not len(self.attempts):
            self._exit(EXIT_OK)
        elif session.leaving is Leaving.FORCED:
            is_told = not len(self.attempts)
            if is_told or not (session.is_welcomed or self.attempts.has_processes):
                self._exit(EXIT_FORCED)

    def _exit(self, code: int) -> None:
        if not self._has_exited:
            self._has_exited = True
            self._effects.append(Exit(code=code))

    # --- Timers ---------------------------------------------------------------------------------

    def _on_timer(self, event: TimerFired, now: float) -> None:
        if event.timer.job is not None:
            self.attempts.timer_fired(event.timer, now, event.wall_ns)
        elif event.timer == HEARTBEAT:
            if self.session.is_welcomed:
                self._beat(now)
        elif event.timer == RECONNECT:
            self._connect()
        elif event.timer == MOVE:
            self._move(now, elsewhere=True)
        elif event.timer == RENEW:
            self._renew()
        elif event.timer == SERVERLESS:
            self._give_up_on_servers(event, now)
        elif event.timer == FORCED:
            self._exit(EXIT_FORCED)

    def _renew(self) -> None:
        if self.session.is_welcomed:
            self._effects.append(RenewCertificate())
        else:
            self.session.is_renewal_due = True

    def _arm(self, timer: TimerKey, at: float) -> None:
        self._effects.append(ArmTimer(timer=timer, at=at))

    def _note(self, event: str, *, is_warning: bool = False, **facts: object) -> None:
        self._effects.append(Note(event=event, facts=facts, is_warning=is_warning))
