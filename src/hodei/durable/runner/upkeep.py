"""What time brings: timers that fire, tasks whose time is up."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from hodei.durable import codec, tasks
from hodei.durable.events import TimerFired
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.shards import Shards
from hodei.durable.runner.store_clock import StoreClock
from hodei.lifecycle.wake import Wake
from hodei.ports.durable import Batch, Committed, DurableStore, Fence, Fenced, TimerFiring
from hodei.ports.durable_rows import Delivery, DeliveryKind, ShardId, TimerRow

POLL_S: Final = 1.0
"""Between two looks when nobody gives a hint."""

_SHORTEST_WAIT_S: Final = 0.005
"""What is due by this server's clock may be due a moment later by the store's."""

_PAGE: Final = 500


class Upkeep:
    """Fires timers and ends what took too long, for the shards that this server owns.

    Each method returns when there will be something to do next, None for never. Raises in all:
        StoreUnavailableError: Nothing is known to have happened; the next look finds it again.
    """

    def __init__(
        self,
        store: DurableStore,
        *,
        clock: StoreClock,
        shards: Shards,
        hints: Hints,
        poll_s: float = POLL_S,
    ) -> None:
        self._poll_s = poll_s
        self._store = store
        self._clock = clock
        self._shards = shards
        self._hints = hints

    async def fire_timers(self) -> datetime | None:
        """Tells runs of their timers that are due: late perhaps, never early, once."""
        owned = self._shards.owned()
        due = await self._store.timers_due(owned, limit=_PAGE)
        by_shard: dict[ShardId, list[TimerRow]] = defaultdict(list)
        for each in due:
            by_shard[each.shard_id].append(each)
        for shard, timers in by_shard.items():
            if (fence := self._shards.fence(shard)) is not None:
                await self._fire(fence, timers)
        return self._clock.now() if len(due) == _PAGE else await self._store.next_timer(owned)

    async def end_overdue_tasks(self) -> datetime | None:
        """Ends attempts whose time is up, and lets workers know of those that may begin."""
        owned = self._shards.owned()
        for task in await self._store.overdue_tasks(owned, limit=_PAGE):
            decision = tasks.expire(task, self._clock.now())
            if decision is not None:
                deliveries = () if decision.delivery is None else (decision.delivery,)
                batch = Batch(at=self._clock.now(), tasks=(decision.write,), deliveries=deliveries)
                # Refused when its worker was faster: then there is nothing to end.
                if isinstance(await self._store.commit(batch), Committed):
                    self._hints.committed(batch)
        self._hints.tasks.notify()
        return await self._store.next_task_time(owned)

    async def wait(self, wake: Wake, until: datetime | None) -> None:
        """Waits for a hint, a time, or the next look that nobody asked for."""
        wait_s = self._poll_s
        if until is not None:
            wait_s = min(wait_s, (until - self._clock.now()).total_seconds())
        await wake.wait_up_to(max(wait_s, _SHORTEST_WAIT_S))

    async def _fire(self, fence: Fence, timers: Sequence[TimerRow]) -> None:
        batch = Batch(
            at=self._clock.now(),
            fence=fence,
            timers_fired=tuple(
                TimerFiring(timer=each.key, delivery=_told(each)) for each in timers
            ),
        )
        outcome = await self._store.commit(batch)
        if isinstance(outcome, Committed):
            self._hints.committed(batch)
        elif isinstance(outcome, Fenced):
            self._shards.lost(outcome.shard_id)


def _told(timer: TimerRow) -> Delivery:
    command_id = timer.key.command_id
    return Delivery(
        run_id=timer.key.run_id,
        key=f"timer:{command_id}",
        kind=DeliveryKind.TIMER,
        data=codec.encode_delivery(TimerFired(command_id=command_id)),
    )
