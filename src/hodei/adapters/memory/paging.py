"""Pages of what is kept in order of creation."""

from collections.abc import Sequence
from typing import TypeVar

from hodei.kernel.errors import InvalidFieldsError

T = TypeVar("T")


def newest_first(
    numbered: Sequence[tuple[int, T]], *, kind: str, limit: int, cursor: str, offset: int = 0
) -> tuple[list[T], str]:
    """A page, newest first, and the cursor of the next one.

    Args:
        numbered: Everything that matches, each with its number of creation, oldest first.
        kind: What they are: a cursor of one list does not fit another.
        limit: How many are shown.
        cursor: Of this page; empty for the first.
        offset: How many are left out before it.

    Raises:
        InvalidFieldsError: The cursor is not one of ours.
    """
    before = _number(kind, cursor) if cursor else None
    older = [each for each in reversed(numbered) if before is None or each[0] < before][offset:]
    next_cursor = f"{kind}-{older[limit - 1][0]}" if len(older) > limit else ""
    return [each for _, each in older[:limit]], next_cursor


def _number(kind: str, cursor: str) -> int:
    digits = cursor.removeprefix(f"{kind}-")
    if digits == cursor or not digits.isdecimal():
        raise InvalidFieldsError.of("page_token", "give the token of the page before unchanged")
    return int(digits)
