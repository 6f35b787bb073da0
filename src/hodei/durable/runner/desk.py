"""What a server has in memory of a run: its live instance, its row, its local steps."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hodei.durable.loop.instance import Instance
from hodei.durable.runner.steps import Steps
from hodei.ports.durable_rows import RunId, RunRow, ShardId


@dataclass(slots=True, kw_only=True)
class Desk:
    """A run in the hands of its owner. At most one round of it is under way."""

    run_id: RunId
    shard_id: ShardId
    steps: Steps
    instance: Instance | None = None
    row: RunRow | None = None
    """As of the last commit; known while there is an instance."""
    is_counted: bool = False
    """The row's count of crashes holds one for what this process does: it has not died since."""
    has_mail: bool = True
    """Something may be in its inbox. A result of a local step needs no look there."""
    is_busy: bool = False
    look_again: bool = False
    """Something came while a round was under way."""
    is_leaving: bool = False
    """It is removed once the round is over that is under way."""


class Desks:
    """The runs that this server works on; the longest unused instances go first.

    Args:
        capacity: How many live instances are kept.
        wind_up: Takes an instance that is of no use any more.
    """

    def __init__(self, *, capacity: int, wind_up: Callable[[Instance], None]) -> None:
        self._capacity = capacity
        self._wind_up = wind_up
        self._desks: OrderedDict[RunId, Desk] = OrderedDict()

    def get(self, run_id: RunId) -> Desk | None:
        """The desk of a run, if there is one."""
        return self._desks.get(run_id)

    def put(self, desk: Desk) -> None:
        """Keeps a desk."""
        self._desks[desk.run_id] = desk

    def used(self, desk: Desk) -> None:
        """A round is over: the desk counts as the last used, and others may have to go."""
        if desk.is_leaving:
            self.remove(desk)
        if self._desks.get(desk.run_id) is desk:
            self._desks.move_to_end(desk.run_id)
        surplus = len(self._desks) - self._capacity
        if surplus > 0:
            idle = [each for each in self._desks.values() if _is_idle(each)]
            for each in idle[:surplus]:
                self.remove(each)

    def drop_instance(self, desk: Desk) -> None:
        """Throws a live instance away; the next round makes one from what is stored."""
        instance, desk.instance, desk.row = desk.instance, None, None
        desk.has_mail = True
        if instance is not None:
            self._wind_up(instance)

    def remove(self, desk: Desk) -> None:
        """Forgets a run: it is over, idle, or another's."""
        if self._desks.get(desk.run_id) is desk:
            del self._desks[desk.run_id]
        desk.steps.drop()
        desk.is_leaving = True
        if not desk.is_busy:
            self.drop_instance(desk)

    def of_shards(self, shards: Iterable[ShardId]) -> list[Desk]:
        """The desks of some shards."""
        wanted = set(shards)
        return [each for each in self._desks.values() if each.shard_id in wanted]

    def __len__(self) -> int:
        return len(self._desks)


def _is_idle(desk: Desk) -> bool:
    return not desk.is_busy and not desk.steps.are_running and not desk.steps.results()
