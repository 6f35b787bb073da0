"""The attempts that an agent holds, and what becomes of them."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from hodei.agent.reactor.effects import (
    ArmTimer,
    CancelTimer,
    Effect,
    ForgetJob,
    KillTree,
    Note,
    Send,
    SignalTree,
    StartProcess,
)
from hodei.agent.reactor.events import (
    JobKey,
    ProcessGone,
    RunJob,
    Spawned,
    SpawnFailed,
    StreamKey,
    TimerKey,
    Verdict,
)
from hodei.agent.reactor.job import Ending, Job, Phase, Stop, judge, timed_out, unreachable
from hodei.agent.reactor.messages import Held, Started
from hodei.agent.reactor.output import Flow, Output
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.logs import LogStream

TIMEOUT: Final = "timeout"
GRACE: Final = "grace"
DISCONNECT: Final = "disconnect"

UNREACHABLE_GRACE_S: Final = 10.0
"""The longest grace of a job that is ended for want of a server. The server runs it again after its
lease (60 s) and the job's `disconnect_timeout`; the agent may have noticed 40 s late."""

STREAMS: Final = (LogStream.STDOUT, LogStream.STDERR)


class Attempts:
    """Every attempt from its `run_job` until the server has dealt with its result."""

    def __init__(self, *, slots: int, flow: Flow, effects: list[Effect]) -> None:
        self._flow = flow
        self._effects = effects
        self._jobs: dict[JobKey, Job] = {}
        self._waiting: deque[JobKey] = deque()
        # Taken from the end: a warm worker runs one job after another on slot 0.
        self._free = list(reversed(range(slots)))

    # --- What others ask ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def find(self, key: JobKey) -> Job | None:
        """The attempt, if it is held."""
        return self._jobs.get(key)

    def output(self, key: StreamKey) -> Output | None:
        """The stream of an attempt that is held and not disowned."""
        job = self._jobs.get(key.job)
        return None if job is None or job.is_discarded else job.outputs[key.stream]

    @property
    def has_processes(self) -> bool:
        """Whether anything runs, or is about to."""
        return any(job.is_alive for job in self._jobs.values())

    def active_ids(self) -> tuple[str, ...]:
        """The jobs that have not ended."""
        return tuple(job.run.key.job_id for job in self._jobs.values() if job.phase != Phase.GONE)

    def longest_patience_s(self) -> float:
        """The longest time that any job may go on, or keep its result, without a server."""
        return max((job.run.disconnect_timeout_s for job in self._jobs.values()), default=0.0)

    # --- A job begins ---------------------------------------------------------------------------

    def add(self, run: RunJob) -> Job | None:
        """Takes a job. None: it was held already."""
        if run.key in self._jobs:
            return None
        outputs = {
            stream: Output(key=StreamKey(run.key, stream), policy=run.log_policy, flow=self._flow)
            for stream in STREAMS
        }
        job = self._jobs[run.key] = Job(run=run, outputs=outputs)
        return job

    def start(self, job: Job) -> None:
        """Runs it on a free slot, or as soon as one is free."""
        if not self._free:
            self._waiting.append(job.run.key)
            return
        job.slot = self._free.pop()
        job.phase = Phase.STARTING
        self._effects.append(StartProcess(run=job.run, slot=job.slot))

    def end_unstarted(self, job: Job, reason_code: ReasonCode, message: str, wall_ns: int) -> None:
        """Ends a job of which nothing ran: it has no output, only a result."""
        ending = Ending(reason_code=reason_code, message=message, ended_ns=wall_ns)
        for output in job.outputs.values():
            output.is_ended = True
        self._end(job, ending)

    def spawned(self, event: Spawned, now: float) -> None:
        """Its main process runs."""
        job = self._jobs[event.key]
        job.phase = Phase.RUNNING
        job.pid = event.pid
        job.started_ns = event.wall_ns
        if job.is_discarded:
            self._kill(job)
            return
        self.tell_started(job)
        if job.stop is not None:
            self._bring_down(job, now)
        else:
            self._arm(job, TIMEOUT, now + job.run.timeout_s)

    def spawn_failed(self, event: SpawnFailed) -> None:
        """It could not be started."""
        job = self._jobs[event.key]
        stop = job.stop or Stop(reason_code=event.reason_code, message=event.message)
        self.end_unstarted(job, stop.reason_code, stop.message, event.wall_ns)

    # --- A job ends -----------------------------------------------------------------------------

    def process_gone(self, event: ProcessGone) -> None:
        """Nothing of it runs any more."""
        job = self._jobs[event.key]
        self._end(job, judge(event, job.stop))

    def stop(self, job: Job, stop: Stop, now: float, wall_ns: int, *, force: bool = False) -> None:
        """Ends a job for a reason; the first reason stays. `force` leaves out the grace."""
        if job.phase is Phase.GONE:
            return
        if job.stop is None:
            job.stop = stop
            job.is_killed = force
            self._disarm(job, TIMEOUT)
            self._disarm(job, DISCONNECT)
            if job.phase is Phase.WAITING:
                self._waiting.remove(job.run.key)
                self.end_unstarted(job, stop.reason_code, stop.message, wall_ns)
            elif job.phase is Phase.RUNNING:
                self._bring_down(job, now)
        elif force and not job.is_killed:
            job.is_killed = True
            if job.phase is Phase.RUNNING:
                self._kill(job)

    def disown(self, job: Job) -> None:
        """Ends a job that is no longer this worker's, and forgets it with its log."""
        job.is_discarded = True
        self._disarm_all(job)
        if job.phase is Phase.RUNNING:
            self._kill(job)
        elif not job.is_alive:
            if job.phase is Phase.WAITING:
                self._waiting.remove(job.run.key)
            self.forget(job)

    def forget(self, job: Job) -> None:
        """Lets go of a job of which nothing runs."""
        del self._jobs[job.run.key]
        for output in job.outputs.values():
            output.release()
        self._effects.append(ForgetJob(key=job.run.key))
        self.refill()

    def timer_fired(self, timer: TimerKey, now: float, wall_ns: int) -> None:
        """Acts on a timer of a job."""
        job = self._jobs.get(timer.job) if timer.job else None
        if job is None or timer.name not in job.timers:
            return
        job.timers.discard(timer.name)
        if timer.name == TIMEOUT:
            self.stop(job, timed_out(job.run), now, wall_ns)
        elif timer.name == DISCONNECT:
            self.stop(job, unreachable(job.run), now, wall_ns)
        else:
            self._kill(job)

    def _end(self, job: Job, ending: Ending) -> None:
        job.phase = Phase.GONE
        job.ending = ending
        self._disarm_all(job)
        if job.slot is not None:
            self._free.append(job.slot)
            job.slot = None
        if job.is_discarded:
            self.forget(job)
        else:
            self.settle(job)
        while self._waiting and self._free:
            self.start(self._jobs[self._waiting.popleft()])

    def _bring_down(self, job: Job, now: float) -> None:
        """SIGTERM, then SIGKILL after the grace; at once when it is forced or has no grace."""
        assert job.slot is not None
        grace_s = job.run.grace_s
        if job.stop is not None and job.stop.reason_code is ReasonCode.SERVER_UNREACHABLE:
            grace_s = min(grace_s, UNREACHABLE_GRACE_S)
        if job.is_killed or grace_s <= 0:
            self._kill(job)
        else:
            self._effects.append(SignalTree(slot=job.slot))
            self._arm(job, GRACE, now + grace_s)

    def _kill(self, job: Job) -> None:
        assert job.slot is not None
        self._disarm(job, GRACE)
        job.is_killed = True
        self._effects.append(KillTree(slot=job.slot))

    # --- Towards the server ---------------------------------------------------------------------

    def held(self) -> tuple[Held, ...]:
        """What the hello lists; it tells the server of every job that has started."""
        for job in self._jobs.values():
            job.is_start_told = job.started_ns is not None
        return tuple(job.held() for job in self._jobs.values() if not job.is_discarded)

    def welcomed(self, verdicts: Iterable[Verdict]) -> None:
        """Goes on with what the server lets the agent keep, from where the server is."""
        by_key = {verdict.key: verdict for verdict in verdicts}
        for verdict in by_key.values():
            job = self._jobs.get(verdict.key)
            if not verdict.keep and job is not None and not job.is_discarded:
                self._effects.append(Note(event="job_disowned", facts=_facts(job)))
                self.disown(job)
        # Only now: the room of a job that was let go moves other output up, none of which may be
        # sent before what is older.
        self._flow.is_open = True
        for job in self._jobs.values():
            if not job.is_discarded:
                verdict = by_key.get(job.run.key)
                self._disarm(job, DISCONNECT)
                self._tell_again(job, {} if verdict is None else verdict.stored)
        self.refill()

    def _tell_again(self, job: Job, stored: dict[LogStream, int]) -> None:
        if not job.is_start_told:
            self.tell_started(job)
        for stream, output in job.outputs.items():
            output.send_again(stored.get(stream, 0))
        job.is_result_sent = False
        self.settle(job)

    def lost(self, now: float) -> None:
        """Gives every job that has not ended its time without a server."""
        for job in self._jobs.values():
            if job.phase is not Phase.GONE and job.stop is None and not job.is_discarded:
                self._arm(job, DISCONNECT, now + job.run.disconnect_timeout_s)

    def tell_started(self, job: Job) -> None:
        """Says that it runs, where that has not been said yet."""
        if self._flow.is_open and job.started_ns is not None:
            job.is_start_told = True
            message = Started(
                key=job.run.key, token=job.run.token, pid=job.pid, started_ns=job.started_ns
            )
            self._effects.append(Send(message=message))

    def settle(self, job: Job) -> None:
        """Sends the result once all of the output has its offsets, and so was sent before."""
        job.settle()
        if job.result is not None and self._flow.is_open and not job.is_result_sent:
            job.is_result_sent = True
            self._effects.append(Send(message=job.result))

    def refill(self) -> None:
        """Moves on what waits for room."""
        for job in self._jobs.values():
            if job.is_discarded:
                continue
            for output in job.outputs.values():
                if output.is_waiting:
                    output.refill()
                    self.settle(job)

    # --- Timers ---------------------------------------------------------------------------------

    def _arm(self, job: Job, name: str, at: float) -> None:
        job.timers.add(name)
        self._effects.append(ArmTimer(timer=TimerKey(name, job.run.key), at=at))

    def _disarm(self, job: Job, name: str) -> None:
        if name in job.timers:
            job.timers.discard(name)
            self._effects.append(CancelTimer(timer=TimerKey(name, job.run.key)))

    def _disarm_all(self, job: Job) -> None:
        for name in sorted(job.timers):
            self._disarm(job, name)


def _facts(job: Job) -> dict[str, object]:
    return {"job_id": job.run.key.job_id, "attempt": job.run.key.attempt}
