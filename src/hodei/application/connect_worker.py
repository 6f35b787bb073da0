"""Opens and closes the streams of workers: who they are, what they hold, what becomes of it."""

from dataclasses import dataclass, replace

import structlog

from hodei.application.enroll_worker import check_identity
from hodei.application.journal import ConflictError, job_write
from hodei.application.links import (
    Cancel,
    DrainOrder,
    HeldAttempt,
    Hello,
    Link,
    Run,
    Started,
    Verdict,
    Welcome,
)
from hodei.application.session import SessionParts, WorkerSession
from hodei.domain.jobs import decide as job_decisions
from hodei.domain.jobs.job import Attempt, Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.states import AttemptState
from hodei.domain.workers import decide
from hodei.domain.workers.events import WorkerEvent
from hodei.domain.workers.states import WorkerState
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import WrongStateError
from hodei.kernel.ids import JobId
from hodei.ports.pki import WorkerIdentity

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often workers report, and how long they may be silent."""

    heartbeat_interval_s: float
    lease_s: float


class ConnectWorker:
    """The use case behind `WorkerStream`."""

    def __init__(self, parts: SessionParts, rhythm: Rhythm) -> None:
        self._parts = parts
        self._rhythm = rhythm

    async def open(self, identity: WorkerIdentity, hello: Hello, link: Link) -> WorkerSession:
        """Makes `link` the worker's stream; an older one is closed.

        Raises:
            UnauthenticatedError: The certificate is not a current one of the worker.
            WrongStateError: The worker has ended, or is being taken down.
            NotFoundError: There never was such a worker.
        """
        member = self._parts.fleet.get(identity.worker_id)
        if member is None or member.is_ending:
            raise WrongStateError(f"worker {identity.worker_id} has ended or is being taken down")

        def connect(worker: Worker) -> list[WorkerEvent]:
            check_identity(worker, identity)
            ready = replace(hello.ready, session_epoch=worker.session_epoch + 1)
            return decide.connect(worker, ready)

        worker = await self._parts.journal.change_worker(identity.worker_id, connect)
        if member.link is not None:
            member.link.close("superseded by a newer stream of the same worker")
        member.link = link
        member.last_seen = self._parts.clock.monotonic()
        session = WorkerSession(self._parts, member, link, worker.session_epoch)
        await self._settle(session, hello.held)
        if worker.state is WorkerState.DRAINING:
            link.send(DrainOrder(terminate=True))
        log.info("worker_connected", worker_id=worker.id, session_epoch=worker.session_epoch)
        self._parts.fleet.changed()
        return session

    async def close(self, session: WorkerSession, *, message: str) -> None:
        """Says that the stream is down. The worker's lease runs from its last word."""
        member = self._parts.fleet.get(session.worker_id)
        if member is None or member.link is not session.link:
            return
        member.link = None
        self._parts.fleet.changed()
        log.info("worker_disconnected", worker_id=session.worker_id, message=message)
        await self._parts.journal.change_worker(
            session.worker_id,
            lambda worker: decide.disconnect(worker, session_epoch=session.epoch, message=message),
        )

    async def _settle(self, session: WorkerSession, held: tuple[HeldAttempt, ...]) -> None:
        """Compares what the agent holds with what the store says it holds."""
        jobs = await self._parts.journal.held_by(session.worker_id)
        verdicts: list[Verdict] = []
        kept: dict[JobId, tuple[Job, Attempt]] = {}
        for each in held:
            job = jobs.get(each.job_id)
            current = job.current if job is not None else None
            keep = (
                current is not None
                and current.number == each.attempt
                and current.token == each.token
            )
            stored = await self._parts.logs.ends(each.job_id, each.attempt) if keep else {}
            verdicts.append(
                Verdict(job_id=each.job_id, attempt=each.attempt, keep=keep, stored=stored)
            )
            if keep and job is not None and current is not None:
                session.resume(each.job_id, each.attempt, stored)
                kept[job.id] = (job, current)
                if each.started:
                    await session.receive(
                        Started(job_id=job.id, attempt=each.attempt, token=each.token)
                    )
        session.link.send(
            Welcome(
                session_epoch=session.epoch,
                verdicts=tuple(verdicts),
                heartbeat_interval_s=self._rhythm.heartbeat_interval_s,
                lease_s=self._rhythm.lease_s,
            )
        )
        for job, current in kept.values():
            if job.cancel_requested is not None:
                session.link.send(
                    Cancel(job_id=job.id, attempt=current.number, reason_code=ReasonCode.CANCELLED)
                )
        for job in jobs.values():
            if job.id not in kept:
                await self._settle_unknown(session, job)

    async def _settle_unknown(self, session: WorkerSession, job: Job) -> None:
        """The store says that the worker holds the job, and the agent does not know of it."""
        current = job.current
        if current is None:
            return
        if current.state is AttemptState.ASSIGNED and job.cancel_requested is None:
            # The order was lost with the stream before; it is ignored where it was not.
            session.link.send(Run(job=job))
            return
        at = self._parts.journal.now()
        events = job_decisions.lose(
            job,
            attempt=current.number,
            message=f"worker {session.worker_id} came back without it",
            now=at,
            draw=self._parts.ids.fraction(),
        )
        try:
            await self._parts.journal.commit(
                at=at, jobs=[job_write(job, events, at)], correlation_id=job.id
            )
        except ConflictError:
            # It ended meanwhile, by a result that the stream before had brought.
            log.info("attempt_settled_elsewhere", job_id=job.id)
