"""Tells the bus what is stored: every event once, in the order of the store, whoever stored it.

What this server commits is told at once, out of its hands. What it misses is brought along by the
commit, or read: events of other servers, and those of its own commits whose answer was lost. Positions
say which is which: where an own event is not the next one after what was told, something before it
has not been heard of.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from hodei.application.bus import EventBus
from hodei.application.held_jobs import HeldJobs
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.states import JobState
from hodei.kernel.errors import HodeiError
from hodei.kernel.ids import BEFORE_THE_FIRST, Position
from hodei.lifecycle.service import TaskSet
from hodei.ports.signals import Signals, Topic
from hodei.ports.stores import EventStore, OthersEvents, StoredEvent, StoreUnavailableError

log = structlog.get_logger()

_NAME = "event feed"
_PAGE = 500
_RETRY_AFTER_S = 0.5
"""Wait before a store that was not available is read again."""
_ACTIVE_S = 1.0
"""Between looks while something happens."""
_IDLE_S = 5.0
"""Between looks while nothing does."""
_COMMITS_OFTEN_S = 0.05
"""Whoever has committed so long ago is taken to do it again soon."""


@dataclass(slots=True, eq=False)
class _Own:
    """Events that this server has committed and that may have to wait for others before them."""

    events: Sequence[StoredEvent]
    jobs: Sequence[Job]
    """The jobs of these events, after them."""
    are_told: asyncio.Event = field(default_factory=asyncio.Event)


class EventFeed:
    """Between the store and the bus.

    Args:
        store: Where the events are.
        bus: Who is told.
        held: Is brought up to each event before it is told.
        signals: To and from the others that write to the store. None where there are none: a gap
            before an own event is then another own one, whose answer is on its way, and nothing is
            read for it.
        on_failure: Told of a defect after which some part of this server has missed events, or will
            miss all that come: nothing that it does is right any more. Ends the process.
    """

    def __init__(
        self,
        store: EventStore,
        bus: EventBus,
        held: HeldJobs,
        *,
        signals: Signals | None,
        on_failure: Callable[[str, BaseException], None],
    ) -> None:
        self._store = store
        self._bus = bus
        self._held = held
        self._signals = signals
        self._on_failure = on_failure
        if signals is not None:
            signals.listen(Topic.EVENTS, self._hear)
        self._told = BEFORE_THE_FIRST
        self._own: dict[Position, _Own] = {}
        """What waits for events before it, by its first position."""
        self._brought: list[OthersEvents] = []
        """What own commits have brought along, in order, and was not told yet."""
        self._hinted = BEFORE_THE_FIRST
        """Others have said that something is stored at this position."""
        self._under_way = 0
        self._looks = 0
        """How often it was said that something may be stored that was not told."""
        self._answered_looks = 0
        """Which of them the store has been read to its end since."""
        self._committed_at = float("-inf")
        self._others_committed_at = float("-inf")
        self._doubt = 0
        """The newest look that an own commit was the reason of."""
        self._look_every_s = _ACTIVE_S
        self._is_closed = False
        self._catching_up = asyncio.Lock()
        self._tasks = TaskSet()

    @property
    def told(self) -> Position:
        """Up to here, everything was told."""
        return self._told

    @property
    def is_unsure(self) -> bool:
        """Whether an own commit may be stored whose answer was lost."""
        return self._doubt > self._answered_looks

    async def start(self) -> None:
        """Begins with what is stored from now on."""
        self._told = await self._store.last_position()

    async def close(self) -> None:
        """Leaves what was not told to the next start."""
        self._is_closed = True
        await self._tasks.close()
        for own in self._own.values():
            own.are_told.set()

    @contextmanager
    def commit_under_way(self) -> Generator[None]:
        """Around a commit, until its events are known, or it is known that there are none."""
        self._under_way += 1
        try:
            yield
        except BaseException:
            self.look()
            self._doubt = self._looks
            raise
        finally:
            self._under_way -= 1
            if not self._under_way and self._must_read():
                self._catch_up_soon()

    async def tell(
        self,
        events: Sequence[StoredEvent],
        jobs: Sequence[Job],
        others: OthersEvents | None = None,
    ) -> None:
        """Tells what this server has committed; returns once it is told, and all before it.

        Args:
            events: Of one commit.
            jobs: Those that the events are of, after them.
            others: What the commit has brought along.
        """
        own = _Own(events, jobs)
        if others is not None and others.until > self._told:
            self._brought.append(others)
        if self._signals is not None:
            can_wait = self._others_commit(others) and not _is_waited_for(events, jobs)
            self._signals.send(Topic.EVENTS, [str(events[-1].position)], can_wait=can_wait)
        if events[0].position == self._told + 1 and not self._catching_up.locked():
            self._publish_own(own)
            self._publish_next()
        elif events[-1].position > self._told and not self._is_closed:
            self._own[events[0].position] = own
            self._catch_up_soon()
            await own.are_told.wait()

    async def run(self, chance: Callable[[], float]) -> None:
        """Looks now and then, until it is cancelled: signals may be lost.

        Args:
            chance: Gives numbers in [0, 1), so that servers do not all look at once.
        """
        while True:
            told = self._told
            await asyncio.sleep(self._look_every_s * (0.75 + 0.5 * chance()))
            self._look_every_s = _IDLE_S if self._told == told else _ACTIVE_S
            self.look()

    def look(self) -> None:
        """Says that others may have stored something."""
        self._looks += 1
        self._catch_up_soon()

    async def refresh(self) -> None:
        """Tells whatever other servers have committed by now.

        Raises:
            StoreUnavailableError: It cannot be read just now.
        """
        if self._signals is not None:
            self._looks += 1
            await self.catch_up()

    async def catch_up(self) -> None:
        """Tells everything that is stored by now.

        Raises:
            StoreUnavailableError: It cannot be read just now.
        """
        async with self._catching_up:
            self._publish_next()
            while self._must_read():
                looks = self._looks
                ends_before_own = bool(self._own)
                is_last_page = await self._read_on()
                if is_last_page and not ends_before_own:
                    self._answered_looks = looks
                self._publish_next()

    def _others_commit(self, others: OthersEvents | None) -> bool:
        """Whether others have committed a moment ago: soon they hear by their next commit."""
        before, self._committed_at = self._committed_at, asyncio.get_running_loop().time()
        if others is not None and others.events:
            # At the earliest.
            self._others_committed_at = before
        return self._committed_at - self._others_committed_at < _COMMITS_OFTEN_S

    def _hear(self, names: Sequence[str]) -> None:
        if not names:
            self.look()
            return
        self._hinted = max(self._hinted, *(Position(int(name)) for name in names))
        if self._is_hinted():
            self._catch_up_soon()

    def _is_hinted(self) -> bool:
        # A commit that is under way brings it along, or ends soon.
        return self._hinted > self._told and not self._under_way

    def _must_read(self) -> bool:
        is_gap_of_others = bool(self._own) and (self._signals is not None or not self._under_way)
        return self._looks > self._answered_looks or is_gap_of_others or self._is_hinted()

    async def _read_on(self) -> bool:
        """Tells a page of what comes next in the store; returns whether that was the last."""
        if (brought := self._next_brought()) is not None:
            news = [each for each in brought.events if each.position > self._told]
            await self._held.follow(news)
            self._told = brought.until
            self._publish(news)
            return False
        hinted = self._hinted
        gap = min(self._own, default=self._told + _PAGE + 1) - self._told - 1
        limit = min(_PAGE, gap)
        page = await self._store.read_events(after=self._told, limit=limit)
        # What has been committed here since is at hand, and need not be made of what was read.
        until = min(self._own, default=None)
        news = [each for each in page if until is None or each.position < until]
        await self._held.follow(news)
        if news:
            self._told = news[-1].position
            self._publish(news)
        elif page and until is not None:
            # Positions before an own event that nothing has: they were given to a commit that failed.
            self._told = Position(until - 1)
        is_last = len(page) < limit
        if is_last and hinted == self._hinted:
            # It may have been deleted since.
            self._hinted = BEFORE_THE_FIRST
        return is_last

    def _next_brought(self) -> OthersEvents | None:
        """What was brought along and comes next; what was told meanwhile is let go of."""
        self._brought = [each for each in self._brought if each.until > self._told]
        return next((each for each in self._brought if each.after <= self._told), None)

    def _publish_next(self) -> None:
        """Tells own events for as long as nothing is missing before them."""
        while self._own and (first := min(self._own)) <= self._told + 1:
            self._publish_own(self._own.pop(first))

    def _publish_own(self, own: _Own) -> None:
        # Some may have been read from the store meanwhile, and told.
        rest = [event for event in own.events if event.position > self._told]
        if rest:
            for job in own.jobs:
                self._held.take(job)
            self._told = rest[-1].position
            self._publish(rest)
        own.are_told.set()

    def _publish(self, events: Sequence[StoredEvent]) -> None:
        try:
            self._bus.publish(events)
        except Exception as error:
            # Those who have not heard of it never will, and are wrong from now on.
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        log.error("service_failed", service=_NAME, exc_info=error)
        self._on_failure(_NAME, error)

    def _catch_up_soon(self) -> None:
        if len(self._tasks) == 0 and not self._is_closed:
            self._tasks.start(self._catch_up_at_last(), name="catch up with the store")

    async def _catch_up_at_last(self) -> None:
        while self._must_read():
            try:
                await self.catch_up()
            except StoreUnavailableError:
                await asyncio.sleep(_RETRY_AFTER_S)
            except HodeiError as error:
                log.error("event_unreadable", message=str(error))  # noqa: TRY400 - it says all
                await asyncio.sleep(_RETRY_AFTER_S)
            except Exception as error:  # noqa: BLE001 - commits wait for this task, and would for ever
                self._fail(error)
                return


def _is_waited_for(events: Sequence[StoredEvent], jobs: Sequence[Job]) -> bool:
    """Whether others have to do something about it: jobs that run and end they only show."""
    return any(
        job.state is JobState.QUEUED or (job.cancel_requested is not None and not job.is_terminal)
        for job in jobs
    ) or any(not each.stream.startswith("job:") for each in events)
