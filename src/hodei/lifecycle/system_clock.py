"""The real time and real chance."""

import os
import random
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Final

_WORTH_A_STEP: Final = timedelta(milliseconds=100)
"""More than an answer of a database takes: less may be nothing but its way."""


class SystemClock:
    """`Clock` by the operating system."""

    def now(self) -> datetime:
        """The wall-clock time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot, or thereabouts."""
        return time.monotonic()


class FollowingClock:
    """`Clock` whose wall clock follows another's: that of the database which servers share.

    Theirs may differ by minutes, and what one of them writes down another compares.
    """

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The other's wall-clock time in UTC, as far as it was told."""
        return datetime.now(UTC) + self._ahead

    def monotonic(self) -> float:
        """Seconds since boot, or thereabouts; its own."""
        return time.monotonic()

    def follow(self, told: datetime) -> None:
        """Takes note of the other's time, which was told just now."""
        ahead = told - datetime.now(UTC)
        if abs(ahead - self._ahead) > _WORTH_A_STEP:
            self._ahead = ahead


class SystemIdSource:
    """`IdSource` by the operating system."""

    def new(self) -> str:
        """A UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then random ones."""
        number = int.from_bytes(int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10), "big")
        number = number & ~(0xF << 76) | 0x7 << 76
        number = number & ~(0x3 << 62) | 0x2 << 62
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def token_bits(self) -> int:
        """31 random bits."""
        return secrets.randbits(31)

    def secret(self) -> str:
        """256 random bits as URL-safe text."""
        return secrets.token_urlsafe(32)

    def fraction(self) -> float:
        """A number in [0, 1)."""
        return random.random()  # noqa: S311 - for jitter, not for secrets
