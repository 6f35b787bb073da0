"""A plan's rows as the arrays that the statement `write` takes."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from hodei.wire.store_group import GroupPlan

_WIDTHS: Final = (9, 3, 2, 12, 6, 3, 3, 2, 5)
"""The columns of the tables that `write` fills, in its order."""

_ROWS_AT_ONCE: Final = 1000
"""Of each table. The client encodes arrays on the event loop: about 10 ms for so many."""

_CHANGING: Final = (0, 2, 5, 9, 10, 11)
"""Of the columns of a job, those that change: position, version, state, due_at, worker_id, data."""


def write_arguments(plan: GroupPlan, *, last_position: int) -> Iterator[list[Any]]:
    """The arguments of each `write` that the plan takes, one for all but very large groups.

    Args:
        plan: What to write.
        last_position: The last that was given before it: jobs beyond that are new.
    """
    new_jobs = [row for position, row in plan.jobs.items() if position > last_position]
    changed_jobs = [
        tuple(row[each] for each in _CHANGING)
        for position, row in plan.jobs.items()
        if position <= last_position
    ]
    tables: list[Sequence[tuple[Any, ...]]] = [
        plan.events,
        [(id_, data, plan.queued[id_]) for id_, data in plan.demands.items()],
        [(id_, by) for id_, by in plan.queued.items() if by and id_ not in plan.demands],
        new_jobs,
        changed_jobs,
        list(plan.attempts.values()),
        plan.labels,
        plan.tags,
        list(plan.workers.values()),
    ]
    given = plan.last_position
    for start in range(0, max(map(len, tables)), _ROWS_AT_ONCE):
        arguments: list[Any] = []
        for table, width in zip(tables, _WIDTHS, strict=True):
            rows = islice(table, start, start + _ROWS_AT_ONCE)
            arguments += list(zip(*rows, strict=True)) or [()] * width
        yield [*arguments, given]
