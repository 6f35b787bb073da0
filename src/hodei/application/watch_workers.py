"""Notices workers that are gone: by their provider's word, by their silence, or at the start."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from hodei.application.clean_up_orphans import CleanUpOrphans
from hodei.application.end_worker import EndWorker
from hodei.application.fleet import Fleet, Member
from hodei.application.invite_worker import STATIC_PROVIDER
from hodei.application.journal import Journal
from hodei.domain.cluster.duties import Duty
from hodei.domain.jobs.reasons import Reason, ReasonCode, reason
from hodei.domain.workers import decide
from hodei.domain.workers.states import WorkerState
from hodei.domain.workers.worker import Worker
from hodei.kernel.clock import Clock
from hodei.kernel.errors import UnavailableError
from hodei.kernel.ids import ProviderName, WorkerId
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.wake import Wake
from hodei.ports.providers import Handle, InstanceStopped, Provider, SightChanged, WatchGap
from hodei.ports.stores import StoreUnavailableError

log = structlog.get_logger()

_LONGEST_NAP_S = 5.0
"""Between two looks at the leases when nothing falls due."""
_RECONCILE_EVERY_S = 300.0
"""Between two looks at a provider's instances when nothing has happened."""
_PAUSE_S = 0.01
"""Between two looks at the leases: under load each job asks for one."""
_RETRY_AFTER_S = 1.0
"""Wait before a provider that could not be asked is asked again."""
_SAGA_GRACE_S = 120.0
"""A worker that comes up is the matter of its saga, which gives up long before that; one whose saga
an operator has terminated, or that is older than sagas, is nobody's."""
_DRAINED_GRACE_S = 30.0
"""A drained worker without jobs that has not ended by then is taken down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long workers are waited for."""

    lease_s: float
    """A silent worker is lost after it."""
    enroll_timeout_s: Callable[[ProviderName], float | None]
    """A provider's worker that has not connected by then never will. None means that the provider
    is not here: then the lease counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchHands:
    """What carries out what follows from what is seen."""

    ender: EndWorker
    cleaner: CleanUpOrphans


class WatchWorkers:
    """The instance watches, the leases, and the sweeping of what no row tells of."""

    def __init__(
        self,
        *,
        journal: Journal,
        fleet: Fleet,
        hands: WatchHands,
        providers: Mapping[ProviderName, Provider],
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._standing = fleet.standing
        self._standing.on_gain(self._gained)
        self._journal = journal
        self._fleet = fleet
        self._ender = hands.ender
        self._cleaner = hands.cleaner
        self._providers = providers
        self._clock = clock
        self._lease_s = patience.lease_s
        self._enroll_timeout_s = patience.enroll_timeout_s
        self._wake = Wake()
        self._tasks = TaskSet()
        self._on_return: list[Callable[[ProviderName], None]] = []

    def notify(self) -> None:
        """Says that workers may have come or gone."""
        self._wake.notify()

    def on_return(self, listener: Callable[[ProviderName], None]) -> None:
        """Calls `listener` when a provider that was gone is there again."""
        self._on_return.append(listener)

    async def close(self) -> None:
        """Gives up what is being taken down; the next start goes on with it."""
        await self._tasks.close()

    async def watch(self, provider: Provider) -> None:
        """Follows one provider's instances until it is cancelled."""
        regularly = self._tasks.start(
            self._reconcile_regularly(provider), name=f"regular look at {provider.name}"
        )
        try:
            async for event in provider.watch():
                match event:
                    case InstanceStopped():
                        self._stopped(event)
                    case SightChanged():
                        if event.is_seen:
                            for listener in self._on_return:
                                listener(provider.name)
                        self._tasks.start(
                            self._note_sight(provider, event), name=f"sight of {provider.name}"
                        )
                    case WatchGap():
                        self._reconcile_soon(provider)
        finally:
            regularly.cancel()

    async def reconcile(self, provider: Provider) -> None:
        """Compares the provider's instances with the rows, both ways.

        Raises:
            ProviderUnavailableError: It cannot be asked.
            StoreUnavailableError: Nor can the store.
        """
        owned = {handle.worker_id: handle for handle in await provider.list_owned()}
        # Another server may have asked for one of them this very moment.
        await self._journal.feed.refresh()
        orphans = [each for each in owned if self._fleet.get(each) is None]
        if orphans:
            log.warning("orphans_detected", provider=provider.name, worker_ids=orphans)
            await self._cleaner.begin(provider)
        for member in self._fleet.members():
            worker = member.worker
            if worker.provider != provider.name or member.is_ending or not self._may_see(worker):
                continue
            if worker.handle is None and worker.state is WorkerState.REQUESTED:
                # Being made just now; or nobody makes it, and its time to enrol will be up.
                continue
            unwritten = Handle(provider=provider.name, worker_id=worker.id, data={})
            await self._look_at(provider, worker, owned.get(worker.id, unwritten))

    def _may_see(self, worker: Worker) -> bool:
        return self._standing.judges(worker) and self._standing.reaches(worker)

    async def _look_at(self, provider: Provider, worker: Worker, handle: Handle) -> None:
        if not await provider.is_running(handle):
            self._stopped(
                InstanceStopped(worker_id=worker.id, reason="its agent is not there any more")
            )
        elif worker.handle is None:
            # It came up while its server died, before what the provider said was written down.
            await self._journal.change_worker(
                worker.id, lambda current: decide.provisioned(current, handle.data)
            )

    async def _note_sight(self, provider: Provider, event: SightChanged) -> None:
        """Writes into the workers' histories that nobody sees them, or that somebody does again.

        Nothing else follows: their streams show whether they run, and their leases hold.
        """
        note = log.info if event.is_seen else log.warning
        note("provider_sight", provider=provider.name, is_seen=event.is_seen, message=event.message)
        for member in self._fleet.members():
            worker = member.worker
            if worker.provider != provider.name or member.is_ending or not self._may_see(worker):
                continue
            try:
                await self._journal.change_worker(
                    worker.id,
                    lambda current: decide.see(
                        current, is_seen=event.is_seen, message=event.message
                    ),
                )
            except StoreUnavailableError as error:
                log.warning("provider_sight_not_noted", worker_id=worker.id, message=str(error))

    def _gained(self, duties: frozenset[Duty]) -> None:
        """What happened while they were another's was that one's to see."""
        for provider in self._providers.values():
            if duties & {self._standing.duty_at(provider)}:
                self._reconcile_soon(provider)
        self._wake.notify()

    def _reconcile_soon(self, provider: Provider) -> None:
        # Beside the watch: leftovers may take long to die, and the next event is somebody's lost
        # worker.
        if self._standing.keeps(provider):
            self._tasks.start(self._reconcile_at_last(provider), name=f"reconcile {provider.name}")

    async def _reconcile_regularly(self, provider: Provider) -> None:
        """The safety net under the provider's events."""
        while True:
            await asyncio.sleep(_RECONCILE_EVERY_S)
            if self._standing.keeps(provider):
                await self._reconcile_at_last(provider)

    async def _reconcile_at_last(self, provider: Provider) -> None:
        while self._providers.get(provider.name) is provider:
            try:
                await self.reconcile(provider)
            except UnavailableError as error:
                log.warning("reconcile_delayed", provider=provider.name, message=str(error))
                await asyncio.sleep(_RETRY_AFTER_S)
            else:
                return

    async def run(self) -> None:
        """Judges leases until it is cancelled."""
        while True:
            self._fleet.forgive_pause()
            now = self._clock.monotonic()
            next_s = _LONGEST_NAP_S
            for member in self._fleet.members():
                if member.is_ending:
                    continue
                left_s = self._deadline(member) - now
                if left_s > 0:
                    next_s = min(next_s, left_s)
                elif self._standing.judges(member.worker):
                    why, message = self._verdict(member)
                    self._end(member.worker.id, why, message)
                elif member.link is not None:
                    # For whoever judges it: its lease runs from its last word.
                    member.link.close(f"it was silent for its lease of {self._lease_s:g} s")
            await asyncio.sleep(_PAUSE_S)
            await self._wake.wait_up_to(next_s)

    def _deadline(self, member: Member) -> float:
        """When, by the monotonic clock, the worker is given up."""
        worker = member.worker
        if worker.provider == STATIC_PROVIDER and worker.state is WorkerState.REQUESTED:
            left = worker.offer.expires_at - self._clock.now()
            return self._clock.monotonic() + left.total_seconds()
        if _is_its_sagas(worker):
            timeout_s = self._enroll_timeout_s(worker.provider)
            enroll_s = self._lease_s if timeout_s is None else timeout_s
            return member.last_seen + enroll_s + _SAGA_GRACE_S
        if worker.state is WorkerState.DRAINING and not member.jobs:
            if worker.provider == STATIC_PROVIDER and not member.is_connected:
                # Nobody watches its process: its stream's end is the word of its end.
                return self._clock.monotonic()
            return max(member.idle_since, member.draining_since or 0.0) + _DRAINED_GRACE_S
        if member.is_elsewhere:
            return math.inf
        return member.last_seen + self._lease_s + self._unconfirmed_s(member)

    def _unconfirmed_s(self, member: Member) -> float:
        """What is added where nobody can confirm that the worker's processes are gone.

        There its agent ends each job by itself once it has had no server for so long.
        """
        provider = self._providers.get(member.worker.provider)
        if (
            provider is not None
            and provider.capabilities().confirms_destroy
            and self._standing.reaches(member.worker)
        ):
            return 0.0
        return self._fleet.outlives_server_s(member)

    def _verdict(self, member: Member) -> tuple[Reason | None, str]:
        state = member.worker.state
        if _is_its_sagas(member.worker) or state is WorkerState.REQUESTED:
            message = "it did not enrol in time"
            return reason(ReasonCode.PROVISIONING_FAILED, message), message
        if state is WorkerState.DRAINING and not member.jobs:
            return None, "drained"
        message = f"it was silent for its lease of {self._lease_s:g} s"
        return reason(ReasonCode.WORKER_LOST, message), message

    def _stopped(self, event: InstanceStopped) -> None:
        member = self._fleet.get(event.worker_id)
        if member is None or member.is_ending or not self._standing.judges(member.worker):
            return
        log.info(
            "worker_stopped",
            worker_id=event.worker_id,
            reason=event.reason,
            exit_code=event.exit_code,
        )
        if _is_its_sagas(member.worker):
            # Which hears of it, and undoes it.
            self._tasks.start(self._note_stop(event), name=f"stop of {event.worker_id}")
            return
        if member.worker.state is WorkerState.DRAINING and not member.jobs:
            self._end(event.worker_id, None, "drained", event)
            return
        why = reason(ReasonCode.WORKER_LOST, event.reason)
        self._end(event.worker_id, why, event.reason, event)

    async def _note_stop(self, event: InstanceStopped) -> None:
        try:
            await self._ender.note_stop(event)
        except StoreUnavailableError as error:
            # It does not enrol: its time is up some day.
            log.warning("worker_stop_not_noted", worker_id=event.worker_id, message=str(error))

    def _end(
        self,
        worker_id: WorkerId,
        why: Reason | None,
        message: str,
        stopped: InstanceStopped | None = None,
    ) -> None:
        self._tasks.start(
            self._ender.end(worker_id, why=why, message=message, stopped=stopped),
            name=f"end {worker_id}",
        )


def _is_its_sagas(worker: Worker) -> bool:
    """Whether a worker is the matter of the saga that brings it up: it has never been there yet."""
    return worker.ready_at is None and worker.provider != STATIC_PROVIDER
