"""A plan's rows as the arguments of the function that writes them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, LiteralString, NamedTuple, cast

from hodei.wire.store_group import GroupPlan

from .named_sql import load

_WIDTHS: Final = (9, 3, 2, 12, 6, 4, 3, 2, 5, 4)
"""The columns of each table's rows, in the order of the arguments."""
_BEFORE: Final = 8
"""Arguments before those."""
COMMIT: Final[LiteralString] = load("writes.sql")["commit"].replace(
    "{arguments}",
    ", ".join(cast("LiteralString", f"${number + 1}") for number in range(_BEFORE + sum(_WIDTHS))),
)

_ROWS_AT_ONCE: Final = 1000
"""Of each table. The client encodes arrays on the event loop: about 10 ms for so many."""

_CHANGING: Final = (1, 2, 5, 9, 10, 11)
"""Of the columns of a job, those that change: id, version, state, due_at, worker_id, data."""


class Call(NamedTuple):
    """The arguments of one call but for those that only its moment knows."""

    given: int
    """How many positions the plan takes."""
    facts: tuple[Sequence[Any] | None, ...]
    """Ids and versions of jobs, then of workers; nothing where there are none."""
    rows: tuple[Sequence[Any] | None, ...]
    """The columns of each table, as above."""

    def arguments(self, *, begun: int | None, member: str | None, heard: int | None) -> list[Any]:
        """All of them.

        Args:
            begun: The last position before the plan, where a call before has begun to write it.
            member: The server that commits; nothing where nobody asks.
            heard: Events of others after this position are brought along.
        """
        return [begun, member, heard, self.given, *self.facts, *self.rows]


def calls(
    plan: GroupPlan, *, jobs: Mapping[str, int], workers: Mapping[str, int]
) -> Iterator[Call]:
    """The calls that write a plan, one for all but very large ones.

    Args:
        plan: What to write. Its positions are offsets; of what is stored already they are negative.
        jobs: The versions that must be stored, by id; 0 where there must be none.
        workers: The same of workers.
    """
    given = plan.last_position
    tables: list[Sequence[tuple[Any, ...]]] = [
        plan.events,
        [(id_, data, plan.queued[id_]) for id_, data in plan.demands.items()],
        [(id_, by) for id_, by in plan.queued.items() if by and id_ not in plan.demands],
        [row for offset, row in plan.jobs.items() if offset > 0],
        [tuple(row[each] for each in _CHANGING) for offset, row in plan.jobs.items() if offset < 0],
        [_attempt(plan, row) for row in plan.attempts.values()],
        plan.labels,
        plan.tags,
        [row for offset, row in plan.workers.items() if offset > 0],
        [row[1:] for offset, row in plan.workers.items() if offset < 0],
    ]
    facts = tuple(
        column
        for of in (jobs, workers)
        for column in ((list(of), list(of.values())) if of else (None, None))
    )
    for start in range(0, max(1, *map(len, tables)), _ROWS_AT_ONCE):
        rows: list[Sequence[Any] | None] = []
        for table, width in zip(tables, _WIDTHS, strict=True):
            part = islice(table, start, start + _ROWS_AT_ONCE)
            # NULL for a table without rows: the client takes its time over each array.
            rows += list(zip(*part, strict=True)) or [None] * width
        yield Call(given, facts, tuple(rows))


def _attempt(plan: GroupPlan, row: tuple[Any, ...]) -> tuple[Any, ...]:
    offset, number, data = row
    if offset > 0:
        return (offset, "", number, data)
    return (None, plan.jobs[offset][1], number, data)
