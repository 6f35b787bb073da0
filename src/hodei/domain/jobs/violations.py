"""Rules of single values: how long a text may be, what is in it, in which range a number lies.

They know nothing of jobs; `limits` says which rule holds for which field.
"""

from collections.abc import Collection
from re import compile as pattern
from typing import Final

from hodei.kernel.errors import FieldViolation
from hodei.kernel.units import format_duration

MAX_VIOLATIONS: Final = 100
"""So many faults of one definition are told at once; nobody mends more in one go."""

_CONTROL: Final = pattern(r"[\x00-\x1f\x7f]")
_SHOWN_CHARS: Final = 40
"""How much of a refused value a message repeats."""


class Violations:
    """Collects what is not allowed, each under the path of its field."""

    def __init__(self, prefix: str = "") -> None:
        self.found: list[FieldViolation] = []
        self._prefix = f"{prefix}." if prefix else ""

    def add(self, field: str, description: str) -> None:
        """One more, unless there are `MAX_VIOLATIONS` already."""
        if len(self.found) < MAX_VIOLATIONS:
            self.found.append(FieldViolation(field=self._prefix + field, description=description))

    def check_line(self, field: str, text: str, *, max_chars: int) -> None:
        """A text of one line, as a list shows it."""
        if not text:
            return
        if len(text) > max_chars:
            self.add(field, f"has {len(text)} characters: at most {max_chars}; shorten it")
        elif _CONTROL.search(text):
            self.add(field, f"is {shown(text)}: control characters are not allowed; remove them")
        elif not _is_unicode(text):
            self.add(field, "is not UTF-8: write it in Unicode")

    def check_text(self, field: str, text: str, *, max_bytes: int) -> None:
        """A text of many lines, or a path."""
        if not text:
            return
        size = size_of(text)
        if size > max_bytes:
            self.add(field, f"has {size} bytes: at most {max_bytes}; shorten it")
        elif "\0" in text:
            self.add(field, "has a NUL byte: remove it")
        elif not _is_unicode(text):
            self.add(field, "is not UTF-8: write it in Unicode")

    def check_count(self, field: str, items: Collection[object], *, at_most: int) -> None:
        """How many entries there are."""
        if len(items) > at_most:
            self.add(field, f"has {len(items)} entries: at most {at_most}; leave some out")

    def check_words(
        self, field: str, words: Collection[str], *, at_most: int, max_chars: int
    ) -> None:
        """A list of short texts, none of them empty."""
        self.check_count(field, words, at_most=at_most)
        for index, word in enumerate(words):
            if not word:
                self.add(f"{field}[{index}]", "is empty: remove it")
            self.check_line(f"{field}[{index}]", word, max_chars=max_chars)

    def check_seconds(self, field: str, seconds: float, *, least: float, most: float) -> None:
        """A duration."""
        # Written so that NaN is refused too.
        if not least <= seconds <= most:
            allowed = f"{format_duration(least)} to {format_duration(most)}"
            self.add(field, f"is {seconds:g} s: {allowed}")

    def check_number(self, field: str, number: float, *, least: float, most: float) -> None:
        """A number; NaN is in no range."""
        if not least <= number <= most:
            self.add(field, f"is {number:.15g}: {least:.15g} to {most:.15g}")


def shown(text: str) -> str:
    """The beginning of a text, quoted, for a message."""
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")


def size_of(text: str) -> int:
    """Bytes of the text in UTF-8; half a surrogate pair counts too, and is found elsewhere."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are a text in UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_unicode(text: str) -> bool:
    """Whether the text can be written in UTF-8.

    It cannot where Python took other bytes for surrogates, as it does with arguments and names
    of files.
    """
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
