"""Takes a worker down for good, and gives its jobs back once nothing of it can run any more."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime

import structlog

from hodei.application.fleet import Fleet, Member
from hodei.application.give_back_orphans import GiveBackOrphans
from hodei.application.journal import ConflictError, Journal, job_write, worker_write
from hodei.domain.jobs import decide as job_decisions
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import Reason, ReasonCode, reason
from hodei.domain.workers import decide
from hodei.domain.workers.events import WorkerEvent, WorkerStopped
from hodei.domain.workers.worker import Worker
from hodei.kernel.clock import IdSource
from hodei.kernel.errors import UnavailableError
from hodei.kernel.ids import ProviderName, WorkerId
from hodei.ports.providers import Handle, InstanceStopped, Provider
from hodei.ports.stores import JobWrite, WorkerStore

log = structlog.get_logger()

_RETRY_AFTER_S = 1.0
"""Wait before a provider or a store that was not available is asked again."""
_CONFIRM_WITHIN_S = 60.0
"""A provider gets at least this long to confirm a destruction."""
_HEARD_WITHIN_S = 2.0
"""A stream whose writer hangs may not end; what it brought is then recorded as it goes on."""


class EndWorker:
    """The use case of every end of a worker: idle, drained, lost, never come."""

    def __init__(
        self,
        *,
        journal: Journal,
        workers: WorkerStore,
        fleet: Fleet,
        providers: Mapping[ProviderName, Provider],
        ids: IdSource,
        lease_s: float,
    ) -> None:
        self._standing = fleet.standing
        self._journal = journal
        self._workers = workers
        self._fleet = fleet
        self._providers = providers
        self._ids = ids
        self._lease_s = lease_s
        self._orphans = GiveBackOrphans(journal=journal, fleet=fleet, ids=ids)
        self._in_progress: dict[WorkerId, asyncio.Event] = {}

    async def end(
        self,
        worker_id: WorkerId,
        *,
        why: Reason | None,
        message: str,
        stopped: InstanceStopped | None = None,
    ) -> None:
        """Ends the worker: closes its stream, has its instance destroyed, then records it.

        Its jobs are queued again, or end, in the same commit as the worker's end; not before the
        provider has confirmed that the whole tree of processes is gone. Idempotent: a second call
        waits for the first. Cancelled, it may be begun again.

        Args:
            worker_id: The worker.
            why: Set when nobody asked for it.
            message: What happened, for the histories of worker and jobs.
            stopped: What the provider saw, where it did. What is written down of that already
                goes before it and the message: a server that died over this end knew more.
        """
        while (in_progress := self._in_progress.get(worker_id)) is not None:
            await in_progress.wait()
        member = self._fleet.get(worker_id)
        if member is None:
            return
        if why is not None and (first := member.worker.stopped) is not None:
            why, message = reason(why.code, first.reason), first.reason
            stopped = _as_told(worker_id, first)
        with self._ending(member):
            # Whoever waits for its jobs is told first: to remove many instances at once takes long.
            if stopped is not None and why is not None:
                await _insist(lambda: self.note_stop(stopped))
            await self._destroy(member, message)
            await self.record(worker_id, why=why, message=message, stopped=stopped)

    async def note_stop(self, stopped: InstanceStopped) -> None:
        """Writes down what the provider saw. Idempotent.

        Raises:
            StoreUnavailableError: It is not known whether it is written.
        """
        await self._journal.change_worker(
            stopped.worker_id,
            lambda worker: decide.stop(worker, _as_written(stopped)),
        )

    async def take_down(
        self, worker_id: WorkerId, provider_name: ProviderName, *, message: str
    ) -> None:
        """The first half of `end`: returns once nothing of the worker can run any more. Idempotent.

        For one that has ended already too: its instance may have been made after that.
        """
        while (in_progress := self._in_progress.get(worker_id)) is not None:
            await in_progress.wait()
        if (member := self._fleet.get(worker_id)) is not None:
            with self._ending(member):
                await self._destroy(member, message)
        elif (provider := self._providers.get(provider_name)) is not None:
            handle = Handle(provider=provider_name, worker_id=worker_id, data={})
            await _destroy_within(provider, handle, _CONFIRM_WITHIN_S)

    async def record(
        self,
        worker_id: WorkerId,
        *,
        why: Reason | None,
        message: str,
        stopped: InstanceStopped | None = None,
    ) -> None:
        """The second half of `end`. Idempotent."""
        await _insist(lambda: self._record(worker_id, why, message, stopped))
        await _insist(self._orphans.give_back)
        note = log.info if why is None else log.warning
        note("worker_ended", worker_id=worker_id, message=message)

    @contextmanager
    def _ending(self, member: Member) -> Generator[None]:
        worker_id = member.worker.id
        over = self._in_progress[worker_id] = asyncio.Event()
        member.is_ending = True
        try:
            self._fleet.changed()
            yield
        finally:
            member.is_ending = False
            del self._in_progress[worker_id]
            over.set()

    async def _destroy(self, member: Member, message: str) -> None:
        """Cuts the worker's stream; returns once nothing of the worker can run any more.

        By its provider's word; where that does not come, by its agent's rule to end each job that
        has had no server for too long. What it had said until then is recorded too: an attempt
        that was known to run is not taken for one that never began.
        """
        if member.link is not None:
            member.link.close(f"the worker is being taken down: {message}")
        await self._destroy_instance(member)
        if not await member.recording.over_within(_HEARD_WITHIN_S):
            log.warning("last_words_not_recorded", worker_id=member.worker.id)

    async def _destroy_instance(self, member: Member) -> None:
        worker = member.worker
        provider = self._providers.get(worker.provider)
        if provider is None or not self._standing.reaches(worker):
            return
        # Without a row that tells of an instance there may be one all the same: the provider
        # made it and the server died before it could write that down.
        handle = Handle(provider=worker.provider, worker_id=worker.id, data=worker.handle or {})
        agent_gives_up_s = self._lease_s + self._fleet.outlives_server_s(member)
        left_s = max(_CONFIRM_WITHIN_S, agent_gives_up_s - self._fleet.silence_s(member))
        await _destroy_within(provider, handle, left_s)

    async def _record(
        self,
        worker_id: WorkerId,
        why: Reason | None,
        message: str,
        stopped: InstanceStopped | None,
    ) -> None:
        while True:
            worker = await self._workers.load_worker(worker_id)
            if worker is None or worker.has_ended:
                return
            at = self._journal.now()
            events: list[WorkerEvent] = []
            if stopped is not None:
                events += decide.stop(worker, _as_written(stopped))
            events += decide.end(worker, why=why, message=message)
            held = self._journal.held_by(worker_id)
            is_oom = stopped is not None and stopped.out_of_memory
            code = ReasonCode.OUT_OF_MEMORY if is_oom else ReasonCode.WORKER_LOST
            try:
                await self._journal.commit(
                    at=at,
                    workers=[worker_write(worker, events, at)],
                    jobs=[self._lost(job, worker, code, message, at) for job in held.values()],
                    correlation_id=worker.for_job or worker_id,
                )
            except ConflictError:
                # A result that was on its way, or a cancellation, came first.
                continue
            return

    def _lost(
        self, job: Job, worker: Worker, code: ReasonCode, message: str, at: datetime
    ) -> JobWrite:
        events = job_decisions.lose(
            job,
            attempt=job.attempts[-1].number,
            message=f"worker {worker.id} was lost: {message}",
            now=at,
            draw=self._ids.fraction(),
            code=code,
        )
        return job_write(job, events, at)


def _as_written(stopped: InstanceStopped) -> WorkerStopped:
    return WorkerStopped(
        reason=stopped.reason, exit_code=stopped.exit_code, out_of_memory=stopped.out_of_memory
    )


def _as_told(worker_id: WorkerId, written: WorkerStopped) -> InstanceStopped:
    return InstanceStopped(
        worker_id=worker_id,
        reason=written.reason,
        exit_code=written.exit_code,
        out_of_memory=written.out_of_memory,
    )


async def _destroy_within(provider: Provider, handle: Handle, left_s: float) -> None:
    try:
        async with asyncio.timeout(left_s):
            await _insist(lambda: provider.destroy(handle))
    except TimeoutError:
        log.error("destroy_unconfirmed", worker_id=handle.worker_id, waited_s=left_s)  # noqa: TRY400 - expected


async def _insist(step: Callable[[], Awaitable[None]]) -> None:
    """Tries until what it needs is there."""
    while True:
        try:
            return await step()
        except UnavailableError as error:
            log.warning("end_of_worker_delayed", code=error.code, message=str(error))
            await asyncio.sleep(_RETRY_AFTER_S)
