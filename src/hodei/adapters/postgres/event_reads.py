"""Reads of events."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from hodei.kernel.ids import Position
from hodei.ports.stores import StoredEvent
from hodei.wire import event_codec
from hodei.wire.instants import from_micros

from .named_sql import load
from .reader import Readers, decoded

_SQL: Final = load("reads.sql")


async def events_after(
    readers: Readers, after: Position, limit: int, streams: Sequence[str]
) -> list[StoredEvent]:
    """See `EventStore.read_events`."""
    if streams:
        query = _SQL["events_of_streams_after"]
        rows = await readers.fetch(query, after, limit, list(streams))
    else:
        rows = await readers.fetch(_SQL["events_after"], after, limit)
    return await decoded(stored_events, rows)


async def last_position(readers: Readers) -> Position:
    """See `EventStore.last_position`."""
    return Position(await readers.value(_SQL["last_position"]))


def stored_events(rows: Iterable[Iterable[Any]]) -> list[StoredEvent]:
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
