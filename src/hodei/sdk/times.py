"""Times between Python and JSON, and durations as callers may give them."""

from datetime import UTC, datetime
from typing import Final

from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.units import parse_duration_s

_MAX_SECONDS: Final = 315_576_000_000.0
"""Ten thousand years: the longest duration that the wire can carry."""


def rfc3339(at: datetime) -> str:
    """RFC 3339 in UTC, such as `2026-11-25T22:47:00.123456Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def rfc3339_or_none(at: datetime | None) -> str | None:
    """As `rfc3339`; None stays None."""
    return None if at is None else rfc3339(at)


def seconds_of(value: float | str, *, field: str) -> float:
    """Seconds of a number of them or of a duration such as `500ms`.

    Raises:
        InvalidFieldsError: The text is no duration, or the number is negative or past all bounds.
    """
    seconds = parse_duration_s(value, field=field) if isinstance(value, str) else float(value)
    if not 0 <= seconds <= _MAX_SECONDS:
        raise InvalidFieldsError.of(field, f"{value!r} is not a time of 0 s or more")
    return seconds
