"""Makes the current-state tables again from the events."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from hodei.ports.stores import StoredEvent
from hodei.wire.store_group import GroupPlan
from hodei.wire.store_history import put_history

from .connection import connect, transaction, translated_errors
from .event_reads import stored_events
from .job_writes import write_plan
from .named_sql import load

_SQL: Final = load("rebuild.sql")

_STREAMS_AT_ONCE: Final = 1000
"""So many jobs and workers are held in memory."""


def rebuild(data_dir: Path) -> None:
    """Empties the tables of jobs and workers and fills them from the events, in one transaction.

    For migrations, and for whoever doubts the tables. No server may run on the database.

    Raises:
        BrokenError: The events are not a history of ours.
        StoreUnavailableError: It cannot be read or written; nothing was changed.
    """
    with translated_errors():
        connection = connect(data_dir)
        try:
            with transaction(connection):
                _rebuild(connection)
        finally:
            connection.close()


def _rebuild(connection: sqlite3.Connection) -> None:
    for table in ("attempts", "job_labels", "job_tags", "jobs", "demands", "workers"):
        connection.execute(_SQL[f"empty_{table}"])
    streams = _streams(connection.execute(_SQL["all_events"]))
    while chunk := list(islice(streams, _STREAMS_AT_ONCE)):
        plan = GroupPlan(last_position=0, jobs={}, workers={})
        for history in chunk:
            put_history(plan, history)
        write_plan(connection, plan)


def _streams(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[StoredEvent]]:
    for _, history in groupby(rows, key=itemgetter(1)):
        yield stored_events(history)
