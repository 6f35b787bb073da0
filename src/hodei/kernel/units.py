"""Durations and sizes as people write them."""

import re
from decimal import Decimal
from typing import Final

from hodei.kernel.errors import InvalidFieldsError

_SECONDS_PER: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
# ASCII: other scripts' digits would be read too, and never be written.
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)

_BYTES_PER: Final = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|K|M|G|T|)B?", re.ASCII)


class ByteSize(int):
    """A number of bytes, which is shown as people write it."""

    __slots__ = ()

    def __str__(self) -> str:
        for unit in ("Ti", "Gi", "Mi", "Ki"):
            count, rest = divmod(self, _BYTES_PER[unit])
            if count and not rest:
                return f"{count}{unit}"
        return str(int(self))


def parse_duration_s(text: str, *, field: str) -> float:
    """Seconds of a duration such as `500ms`, `1s`, `2m` or `1h30m`.

    Raises:
        InvalidFieldsError: `text` is not one; the error names `field`.
    """
    if _DURATION.fullmatch(text) is None:
        raise InvalidFieldsError.of(
            field, f"{text!r} is not a duration; write for example 500ms, 1s, 2m or 1h30m"
        )
    parts = _DURATION_PART.findall(text)
    return float(sum(Decimal(number) * _SECONDS_PER[unit] for number, unit in parts))


def format_duration(seconds: float) -> str:
    """The shortest way to write a duration: `500ms`, `1.25s`, `2m`, `1h30m`."""
    seconds = round(seconds, 3)
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    left = round(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def format_size(size: int) -> str:
    """A size in bytes as people read it, such as `7.6 GiB`: not to be read again."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size >= _BYTES_PER[unit]:
            return f"{size / _BYTES_PER[unit]:.1f} {unit}B"
    return f"{size} B"


def parse_size_bytes(text: str, *, field: str) -> int:
    """Bytes of a size such as `512Mi`, `2G` or `1048576`.

    Raises:
        InvalidFieldsError: `text` is not one; the error names `field`.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidFieldsError.of(
            field, f"{text!r} is not a size; write for example 512Mi, 2G or 1048576"
        )
    return int(Decimal(match[1]) * _BYTES_PER[match[2]])
