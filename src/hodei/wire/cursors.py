"""Cursors of lists: the position of the last row shown, in a form that nobody reads more into."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from hodei.kernel.errors import InvalidFieldsError

BEYOND_THE_NEWEST: Final = 2**63 - 1


def encode_cursor(kind: str, position: int) -> str:
    """The cursor of a list of `kind` after the row at `position`."""
    return urlsafe_b64encode(f"{kind}:{position}".encode()).decode()


def decode_cursor(kind: str, cursor: str) -> int:
    """The position before which the next page begins.

    Raises:
        InvalidFieldsError: It is not a cursor of such a list; it names `page_token`.
    """
    if not cursor:
        return BEYOND_THE_NEWEST
    try:
        found, _, position = urlsafe_b64decode(cursor.encode()).decode().partition(":")
        if found == kind and 0 <= int(position) <= BEYOND_THE_NEWEST:
            return int(position)
    except ValueError:
        # Bad base64, bad UTF-8 and bad numbers are all of this kind.
        pass
    raise InvalidFieldsError.of(
        "page_token", "give the token of the page before unchanged, or none for the first page"
    )
