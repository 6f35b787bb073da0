"""Tells what happened and goes on telling: from the store first, then from the bus."""

from collections.abc import AsyncGenerator

from hodei.application.bus import EventBus, Subscription
from hodei.application.fleet import Fleet
from hodei.application.journal import Journal
from hodei.application.worker_fates import WorkerFates
from hodei.domain.jobs.events import JobAssigned
from hodei.domain.workers.events import WorkerProvisioningRequested
from hodei.kernel.ids import JobId, Position
from hodei.ports.stores import EventStore, StoredEvent

_PAGE = 500


class FollowEvents:
    """The use case behind `StreamJobEvents` and `ExecutionEventStream`.

    Events come in lists, in their order: those that are there at once, and at least one.
    """

    def __init__(
        self, *, journal: Journal, events: EventStore, bus: EventBus, fleet: Fleet
    ) -> None:
        self._journal = journal
        self._events = events
        self._bus = bus
        self._fleet = fleet

    async def follow_job(
        self, job_id: JobId, *, after: Position, follow: bool, with_workers: bool
    ) -> AsyncGenerator[list[StoredEvent], None]:
        """Events of a job and, where asked for, of its workers, as `WorkerFates` has it.

        With `follow` it ends once the job has ended and all is told: for one that is retried by
        hand before its end was told, that is its next end. A job that had ended already gives its
        history and ends.

        Raises:
            NotFoundError: There is no such job.
        """
        await self._journal.job(job_id)
        begin = after
        streams = {f"job:{job_id}"}
        # Before anything is looked up: a worker that is requested meanwhile must not be missed.
        subscription = self._bus.follow(None if with_workers else streams)
        try:
            fates = WorkerFates(await self._journal.job(job_id), with_workers=with_workers)
            if with_workers:
                streams |= await self._worker_streams(job_id)
            async for page in self._told_in_store(after, sorted(streams | fates.streams)):
                after = page[-1].position
                if own := [event for event in page if fates.belongs(event, own=streams)]:
                    yield own
            while follow and not (await self._journal.job(job_id)).is_terminal:
                # Only an event of the job is a reason to look at it again: where its workers are
                # followed too, the subscription brings every event of the server. Whether it was
                # told before does not matter: what was read may have been ahead of the job.
                has_moved = False
                while not has_moved:
                    news, has_moved = await self._live(subscription, after, streams, fates)
                    if news:
                        after = max(after, *map(_by_position, news))
                        yield news
            late: set[str] = set()
            if with_workers:
                # Requested while the history was told, of a job that has ended since.
                late = await self._worker_streams(job_id) - streams
            rest = await self._rest(after, streams | (fates.streams - late))
            rest = sorted(rest + await self._rest(begin, late), key=_by_position)
            if own := [event for event in rest if fates.belongs(event, own=streams | late)]:
                yield own
        finally:
            self._bus.unfollow(subscription)

    async def follow_all(
        self, *, after: Position, follow: bool
    ) -> AsyncGenerator[list[StoredEvent], None]:
        """Every event. With `follow` it never ends."""
        subscription = self._bus.follow(None)
        try:
            async for page in self._told_in_store(after, []):
                after = page[-1].position
                yield page
            while follow:
                events, overflown = await subscription.take()
                if overflown:
                    async for page in self._told_in_store(after, []):
                        after = page[-1].position
                        yield page
                if news := [event for event in events if event.position > after]:
                    after = news[-1].position
                    yield news
        finally:
            self._bus.unfollow(subscription)

    async def _rest(self, after: Position, streams: set[str]) -> list[StoredEvent]:
        """What the store has beyond a position; nothing of no streams, which would mean all."""
        if not streams:
            return []
        return [event async for page in self._from_store(after, sorted(streams)) for event in page]

    async def _from_store(
        self, after: Position, streams: list[str]
    ) -> AsyncGenerator[list[StoredEvent], None]:
        while True:
            page = await self._events.read_events(after=after, limit=_PAGE, streams=streams)
            if page:
                after = page[-1].position
                yield page
            if len(page) < _PAGE:
                return

    async def _told_in_store(
        self, after: Position, streams: list[str]
    ) -> AsyncGenerator[list[StoredEvent], None]:
        """As `_from_store`, up to what this server has told.

        What is stored beyond comes by the subscription. Told from the store, a client could hear
        of an end and then be shown a job that runs.
        """
        async for page in self._from_store(after, streams):
            told = [event for event in page if event.position <= self._journal.position]
            if told:
                yield told
            if len(told) < len(page):
                return

    async def _live(
        self, subscription: Subscription, after: Position, streams: set[str], fates: WorkerFates
    ) -> tuple[list[StoredEvent], bool]:
        """What is new, and whether the job itself may have moved on."""
        events, overflown = await subscription.take()
        if overflown:
            if subscription.streams is None:
                streams |= await self._worker_streams(fates.job_id)
            known = sorted(streams | fates.streams)
            read = [event async for page in self._told_in_store(after, known) for event in page]
            return [event for event in read if fates.belongs(event, own=streams)], True
        taken: list[StoredEvent] = []
        # Not among what was read from the store, which may already have been past their beginning.
        new: set[str] = set()
        for stored in events:
            if stored.stream not in streams and _is_request_for(stored, fates.job_id):
                streams.add(stored.stream)
                new.add(stored.stream)
            is_news = stored.stream in new or stored.position > after
            if is_news and fates.belongs(stored, own=streams):
                taken.append(stored)
        return taken, any(stored.stream == f"job:{fates.job_id}" for stored in events)

    async def _worker_streams(self, job_id: JobId) -> set[str]:
        """Streams of the workers that were or are being provisioned for the job."""
        streams = {
            f"worker:{member.worker.id}"
            for member in self._fleet.members()
            if member.worker.for_job == job_id
        }
        for stored in await self._rest(Position(0), {f"job:{job_id}"}):
            if isinstance(stored.event, JobAssigned):
                worker = f"worker:{stored.event.worker_id}"
                first = await self._events.read_events(after=Position(0), limit=1, streams=[worker])
                if first and _is_request_for(first[0], job_id):
                    streams.add(worker)
        return streams


def _is_request_for(stored: StoredEvent, job_id: JobId) -> bool:
    return isinstance(stored.event, WorkerProvisioningRequested) and stored.event.for_job == job_id


def _by_position(stored: StoredEvent) -> Position:
    return stored.position
