"""Instants and durations on the wire.

Durations keep microseconds: so a float of seconds comes back as the same float, up to a century.
Written out by hand, since the methods of the well-known types take three times as long.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from hodei.kernel.errors import InvalidFieldsError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(at: datetime) -> Timestamp:
    """The instant on the wire; `at` is aware."""
    since = at - _EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def optional_timestamp(at: datetime | None) -> Timestamp | None:
    """The instant on the wire, or nothing where there is none."""
    return None if at is None else to_timestamp(at)


def from_timestamp(timestamp: Timestamp, *, field: str) -> datetime:
    """The instant in UTC, to the microsecond.

    Raises:
        InvalidFieldsError: It is outside the years 1 to 9999; the error names `field`.
    """
    try:
        return _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)
    except OverflowError:
        raise InvalidFieldsError.of(
            field, f"is {timestamp.seconds} s from 1970: give a time in the years 1 to 9999"
        ) from None


def to_duration(seconds: float) -> Duration:
    """The duration on the wire, to the microsecond."""
    whole, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=microseconds * 1000)


def to_seconds(duration: Duration) -> float:
    """Seconds of a duration, to the microsecond."""
    nanos = duration.nanos
    if not nanos:
        return float(duration.seconds)
    return (duration.seconds * 1_000_000 + nanos // 1000) / 1_000_000


def is_zero(duration: Duration) -> bool:
    """Whether it is no time at all, which several fields take for "not given"."""
    return duration.seconds == 0 and duration.nanos == 0
