"""Opens and closes the streams of workers: who they are, what they hold, what becomes of it."""

from dataclasses import dataclass, replace

import structlog

from hodei.application.doors import Doors
from hodei.application.enroll_worker import check_identity
from hodei.application.fleet import Member
from hodei.application.links import (
    SUPERSEDED,
    Cancel,
    DrainOrder,
    HeldAttempt,
    Hello,
    Link,
    Run,
    Servers,
    Verdict,
    Welcome,
)
from hodei.application.session import SessionParts, WorkerSession
from hodei.domain.jobs import decide as job_decisions
from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.job import Attempt, Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.states import AttemptState
from hodei.domain.logs import LogStream
from hodei.domain.workers import decide
from hodei.domain.workers.events import WorkerEvent
from hodei.domain.workers.states import WorkerState
from hodei.domain.workers.versions import Release, check_new, compare
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import UnavailableError, WrongStateError
from hodei.kernel.ids import JobId, WorkerId
from hodei.kernel.version import VERSION
from hodei.ports.pki import WorkerIdentity

log = structlog.get_logger()

_TORN = "a part of its output is gone: this server was restored from a backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often workers report, and how long they may be silent."""

    heartbeat_interval_s: float
    lease_s: float


class ConnectWorker:
    """The use case behind `WorkerStream`."""

    def __init__(
        self, parts: SessionParts, rhythm: Rhythm, doors: Doors, *, version: str = VERSION
    ) -> None:
        self._parts = parts
        self._rhythm = rhythm
        self._doors = doors
        self._version = version
        parts.fleet.standing.on_others(self._tell_all_where_to_go)

    async def open(self, identity: WorkerIdentity, hello: Hello, link: Link) -> WorkerSession:
        """Makes `link` the worker's stream; an older one is closed.

        Raises:
            UnauthenticatedError: The certificate is not a current one of the worker.
            WrongStateError: The worker has ended, or is being taken down.
            AgentVersionError: Its agent is too old for this server.
            UnavailableError: A store is away, this server has no place among the others, or the
                agent is newer than it; nothing has become of `link`.
        """
        self._parts.fleet.standing.require_place()
        release = self._release(identity.worker_id, hello.ready.agent_version)
        if self._parts.fleet.get(identity.worker_id) is None:
            # Another server may have asked for it this very moment.
            await self._parts.journal.feed.refresh()
        member = self._living(identity.worker_id)
        member.opening += 1
        try:
            return await self._open(member, identity, hello, link, release)
        finally:
            member.opening -= 1

    async def _open(
        self, member: Member, identity: WorkerIdentity, hello: Hello, link: Link, release: Release
    ) -> WorkerSession:
        held = _Held(hello.held)
        server = self._parts.fleet.standing.me

        def connect(worker: Worker) -> list[WorkerEvent]:
            check_identity(worker, identity)
            ready = replace(hello.ready, session_epoch=worker.session_epoch + 1, server=server)
            return decide.connect(worker, ready, is_outdated=release is Release.BEFORE)

        worker = await self._parts.journal.change_worker(identity.worker_id, connect)
        # From here on this server knows whatever the agent may know of any other server: what was
        # committed before is told before.
        stored = await self._stored_ends(worker.id, held)
        self._let_go_of_torn(worker.id, held, stored)
        await self._settle_forgotten(worker.id, held)
        # It may have been given up while all this was written.
        self._living(worker.id)
        session = WorkerSession(self._parts, member, link, worker.session_epoch)
        if member.worker.session_epoch != worker.session_epoch:
            link.close(SUPERSEDED)
            return session
        # Without an await from here on, so that no order of others comes before the welcome, and
        # none is sent twice or not at all.
        if member.link is not None:
            member.link.close(SUPERSEDED)
        self._welcome(session, held, stored)
        member.link = link
        self._tell_where_to_go(member, link)
        member.last_seen = self._parts.clock.monotonic()
        if member.worker.state is WorkerState.DRAINING:
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
        silent_s = self._parts.fleet.silence_s(member)
        self._parts.fleet.changed()
        log.info("worker_disconnected", worker_id=session.worker_id, message=message)
        await self._parts.journal.change_worker(
            session.worker_id,
            lambda worker: decide.disconnect(
                worker, session_epoch=session.epoch, message=message, silent_s=silent_s
            ),
        )

    def _release(self, worker_id: WorkerId, agent_version: str) -> Release:
        release = compare(agent_version, self._version)
        if release is Release.NEWER:
            # It was enrolled by a newer server, and may hold jobs: it looks for one again.
            raise UnavailableError(
                f"agent {agent_version} of worker {worker_id} is newer than this server"
                f" ({self._version}): upgrade this one too"
            )
        return release if release is not Release.OLDER else check_new(agent_version, self._version)

    def _tell_all_where_to_go(self) -> None:
        for member in self._parts.fleet.members():
            if member.link is not None:
                self._tell_where_to_go(member, member.link)

    def _tell_where_to_go(self, member: Member, link: Link) -> None:
        if not self._parts.fleet.standing.is_alone:
            addresses = self._doors.of(member.worker.provider).worker_addresses().split(",")
            link.send(Servers(worker_addresses=tuple(addresses)))

    def _living(self, worker_id: WorkerId) -> Member:
        member = self._parts.fleet.get(worker_id)
        if member is None or member.is_ending:
            raise WrongStateError(f"worker {worker_id} has ended or is being taken down")
        return member

    async def _stored_ends(
        self, worker_id: WorkerId, held: "_Held"
    ) -> dict[JobId, dict[LogStream, int]]:
        """Up to where the output of the attempts that the worker may keep is stored.

        An older stream may store more of it meanwhile; what is sent twice is stored once.
        """
        return {
            job.id: await self._parts.logs.ends(job.id, current.number)
            for job in self._parts.journal.held_by(worker_id).values()
            if (current := job.current) is not None and held.has(job.id, current)
        }

    def _let_go_of_torn(
        self, worker_id: WorkerId, held: "_Held", stored: dict[JobId, dict[LogStream, int]]
    ) -> None:
        """Gives up attempts whose output has a hole that nobody can fill.

        It was acknowledged and is not stored: the stores are those of a backup. Such an attempt is
        lost, as one that the agent does not know any more, and the agent is told to forget it.
        """
        for each in held.attempts:
            ends = stored.get(each.job_id)
            if ends is None or not held.is_torn(each, ends):
                continue
            log.warning("output_lost", worker_id=worker_id, job_id=each.job_id)
            self._parts.counters.add("attempts_torn")
            held.drop(each)
            del stored[each.job_id]

    async def _settle_forgotten(self, worker_id: WorkerId, held: "_Held") -> None:
        """Loses attempts that the worker had started and that its agent does not know."""

        def lose(job: Job) -> list[JobEvent]:
            current = job.current
            if current is None or current.worker_id != worker_id or held.has(job.id, current):
                return []
            is_torn = job.id in held.torn
            is_for_it = current.state is AttemptState.ASSIGNED and job.cancel_requested is None
            if is_for_it and not is_torn:
                return []
            return job_decisions.lose(
                job,
                attempt=current.number,
                message=_TORN if is_torn else f"worker {worker_id} came back without it",
                now=self._parts.journal.now(),
                draw=self._parts.ids.fraction(),
            )

        for job_id in self._parts.journal.held_by(worker_id):
            await self._parts.journal.change_job(job_id, lose)

    def _welcome(
        self, session: WorkerSession, held: "_Held", stored: dict[JobId, dict[LogStream, int]]
    ) -> None:
        """Says what becomes of each attempt that either side knows."""
        jobs = self._parts.journal.held_by(session.worker_id)
        verdicts: list[Verdict] = []
        for each in held.attempts:
            job = jobs.get(each.job_id)
            current = None if job is None else job.current
            keep = current is not None and _is(current, each) and each.job_id in stored
            ends = stored[each.job_id] if keep else {}
            verdicts.append(
                Verdict(job_id=each.job_id, attempt=each.attempt, keep=keep, stored=ends)
            )
            if keep:
                session.resume(each, ends)
        session.link.send(
            Welcome(
                session_epoch=session.epoch,
                verdicts=tuple(verdicts),
                heartbeat_interval_s=self._rhythm.heartbeat_interval_s,
                lease_s=self._rhythm.lease_s,
            )
        )
        for job in jobs.values():
            current = job.current
            if current is None:
                continue
            if not held.has(job.id, current):
                # The order was lost with the stream before.
                session.link.send(Run(job=job))
            if job.cancel_requested is not None:
                session.link.send(
                    Cancel(job_id=job.id, attempt=current.number, reason_code=ReasonCode.CANCELLED)
                )


class _Held:
    """What the agent says that it holds."""

    def __init__(self, attempts: tuple[HeldAttempt, ...]) -> None:
        self.attempts = attempts
        self._by_key = {(each.job_id, each.attempt): each.token for each in attempts}
        self.torn: set[JobId] = set()
        """Whose attempts go on from beyond what is stored."""

    def is_torn(self, held: HeldAttempt, stored: dict[LogStream, int]) -> bool:
        """Whether an attempt that it may keep has let go of output that is not stored."""
        is_known = self._by_key.get((held.job_id, held.attempt)) == held.token
        return is_known and any(
            end > stored.get(stream, 0) for stream, end in held.acknowledged.items()
        )

    def drop(self, held: HeldAttempt) -> None:
        """Takes an attempt for one that it does not hold."""
        self._by_key.pop((held.job_id, held.attempt))
        self.torn.add(held.job_id)

    def has(self, job_id: JobId, attempt: Attempt) -> bool:
        """Whether an attempt is among it, with the right token."""
        return self._by_key.get((job_id, attempt.number)) == attempt.token


def _is(attempt: Attempt, held: HeldAttempt) -> bool:
    return attempt.number == held.attempt and attempt.token == held.token
