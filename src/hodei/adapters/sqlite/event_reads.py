"""Reads of events."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from hodei.kernel.ids import Position
from hodei.ports.stores import StoredEvent
from hodei.wire import event_codec
from hodei.wire.instants import from_micros

from .named_sql import load

_SQL: Final = load("reads.sql")


def events_after(
    connection: sqlite3.Connection, after: Position, limit: int, streams: Sequence[str]
) -> list[StoredEvent]:
    """See `EventStore.read_events`."""
    query = _SQL["events_of_streams_after"] if streams else _SQL["events_after"]
    parameters = {"after": after, "limit": limit, "streams": json.dumps(streams)}
    return stored_events(connection.execute(query, parameters))


def last_position(connection: sqlite3.Connection) -> Position:
    """See `EventStore.last_position`."""
    return Position(connection.execute(_SQL["last_position"]).fetchone()[0])


def stored_events(rows: Iterable[tuple[Any, ...]]) -> list[StoredEvent]:
    """Rows of `events` as events."""
    return [
        StoredEvent(
            position=Position(position),
            stream=stream,
            version=version,
            event=event_codec.decode(name, type_version, data),
            at=from_micros(at),
            correlation_id=correlation_id,
            causation_id=causation_id,
        )
        for position, stream, version, name, type_version, data, at, correlation_id, causation_id in rows
    ]
