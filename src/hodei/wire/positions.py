"""Positions in the order of all events, as opaque text for clients."""

import re
from typing import Final

from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import BEFORE_THE_FIRST, Position

_DECIMAL: Final = re.compile(r"[0-9]{1,19}")
_MAX_POSITION: Final = 2**63 - 1


def encode_position(position: Position) -> str:
    """The text that clients get, and give back to go on from there."""
    return str(position)


def decode_position(text: str, *, field: str) -> Position:
    """The position that a client gave back; none means before the first event.

    Raises:
        InvalidFieldsError: It is none that a server gave; the error names `field`.
    """
    if not text:
        return BEFORE_THE_FIRST
    if _DECIMAL.fullmatch(text) is None or int(text) > _MAX_POSITION:
        raise InvalidFieldsError.of(
            field,
            f"{text[:40]!r} is no position: give back one that a server gave, or leave it out to "
            "begin with the first event",
        )
    return Position(int(text))
