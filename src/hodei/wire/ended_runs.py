"""Which of the ended runs that a store has found are to be let go of, and where it looks on."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from hodei.wire.run_rows import decode_run

OUTBOX_ROWS = 10
"""Of the outbox, for each run that is looked at: more than runs say."""


class EndedRuns(NamedTuple):
    """A page of them."""

    run_ids: list[str]
    next: int | None


def ended_runs(
    rows: Iterable[tuple[Any, ...]], *, closed_before: datetime, at_most: int
) -> EndedRuns:
    """Those that ended before, of rows with the number, the id and the data of runs, by number."""
    found = list(rows)
    run_ids: list[str] = []
    for _, run_id, data in found:
        closed_at = decode_run(data).closed_at
        if closed_at is not None and closed_at < closed_before:
            run_ids.append(run_id)
    return EndedRuns(run_ids, found[-1][0] if len(found) == at_most else None)
