"""Lets go of runs that have ended for long."""

import json
import sqlite3
from datetime import datetime
from typing import Final

from hodei.ports.durable import RunsLetGo
from hodei.wire.ended_runs import OUTBOX_ROWS, ended_runs
from hodei.wire.instants import to_micros

from .named_sql import load

_SQL: Final = load("runs.sql")


def let_runs_go(
    connection: sqlite3.Connection, closed_before: datetime, after: int, at_most: int
) -> RunsLetGo:
    """See `RunKeeping.let_runs_go`; within a transaction of the caller."""
    found = connection.execute(_SQL["ended_runs"], {"after": after, "limit": at_most})
    ended = ended_runs(found, closed_before=closed_before, at_most=at_most)
    ids = json.dumps(ended.run_ids)
    for statement in ("remove_histories", "remove_inboxes", "remove_runs"):
        connection.execute(_SQL[statement], (ids,))
    old = {"at": to_micros(closed_before), "limit": OUTBOX_ROWS * at_most}
    connection.execute(_SQL["remove_old_outbox"], old)
    return RunsLetGo(runs=len(ended.run_ids), next=ended.next)
