"""Lets go of jobs and workers that have ended for long."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from hodei.kernel.ids import Position
from hodei.ports.stores import EndedPage, Removed
from hodei.wire.ended_streams import ENDED_STATES, Found, ids_of, page_of
from hodei.wire.instants import to_micros
from hodei.wire.store_rows import JOB_STREAM, WORKER_STREAM

from .named_sql import load

_SQL: Final = load("history.sql")
_STATES: Final = json.dumps(ENDED_STATES)


def ended_before(
    connection: sqlite3.Connection, limit: datetime, after: Position, at_most: int
) -> EndedPage:
    """See `HistoryStore.ended_before`."""
    parameters = {"after": after, "states": _STATES, "at_most": at_most}
    rows = connection.execute(_SQL["ended"], parameters)
    return page_of([Found(*row) for row in rows], to_micros(limit), at_most)


def remove(connection: sqlite3.Connection, streams: Sequence[str], limit: datetime) -> Removed:
    """See `HistoryStore.remove`; within a transaction of the caller."""
    jobs, workers = ids_of(streams)
    parameters = {
        "jobs": json.dumps(jobs),
        "workers": json.dumps(workers),
        "states": _STATES,
        "limit": to_micros(limit),
    }
    jobs = [id_ for (id_,) in connection.execute(_SQL["ended_jobs"], parameters)]
    workers = [id_ for (id_,) in connection.execute(_SQL["ended_workers"], parameters)]
    gone = [JOB_STREAM + id_ for id_ in jobs] + [WORKER_STREAM + id_ for id_ in workers]
    connection.execute(_SQL["remove_jobs"], [json.dumps(jobs)])
    connection.execute(_SQL["remove_workers"], [json.dumps(workers)])
    events = connection.execute(_SQL["remove_events"], [json.dumps(gone)]).rowcount
    return Removed(jobs=len(jobs), workers=len(workers), events=events)
