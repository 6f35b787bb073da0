"""An event in its place."""

from dataclasses import dataclass
from datetime import datetime

from hodei.durable import codec
from hodei.durable.events import Event
from hodei.ports.durable_rows import HistoryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event of a history."""

    seq: int
    at: datetime
    event: Event


def recorded(row: HistoryRow) -> Recorded:
    """The event that a row holds.

    Raises:
        UnreadableEventError: A newer Hodei has written it, or it is damaged.
    """
    return Recorded(seq=row.seq, at=row.at, event=codec.decode(row.kind, row.data))
