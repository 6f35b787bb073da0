"""Proves that a copy is the same as what it was made from."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from hodei.kernel.errors import BrokenError

_DIGEST_BYTES: Final = 16


def require_same(what: str, told: Mapping[str, object], copied: Mapping[str, object]) -> None:
    """Compares what both sides tell of things, by their ids.

    Raises:
        BrokenError: They tell something else; the message names the first of them.
    """
    if told == copied:
        return
    wrong = sorted(
        each for each in told.keys() | copied.keys() if told.get(each) != copied.get(each)
    )
    raise BrokenError(
        f"the copy has other {what}, first of {wrong[0]} ({len(wrong)} in all): the source is as it "
        "was; empty the other database and report this"
    )


def digest(*parts: bytes) -> bytes:
    """Of parts that are kept apart: other parts, or the same cut elsewhere, have another."""
    total = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.digest()
