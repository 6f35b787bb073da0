"""The values of settings: read from text, as the environment has it, or from what TOML gives."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.units import ByteSize, format_duration, parse_duration_s, parse_size_bytes

Value = bool | int | float | str | Path | dict[str, str] | dict[str, int] | tuple[str, ...] | None

_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


class Reader(Protocol):
    """Turns what was given into a setting's value."""

    def __call__(self, raw: object, /, *, field: str) -> Value:
        """The value.

        Raises:
            InvalidFieldsError: It is not one; the error names `field`.
        """
        ...


def reader_for(hint: object) -> Reader:
    """How the values of a field of this type are read. Floats are durations in seconds."""
    return _READERS[hint]


def show_value(value: Value) -> str:
    """A value as a person reads it, and may write it in the environment."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return format_duration(value)
        case dict():
            return ",".join(f"{key}={each}" for key, each in value.items())
        case tuple():
            return shlex.join(value)
        case _:
            return str(value)


def without_password(url: str) -> str:
    """A URL of a database as others may see it."""
    hidden = re.sub(r"(?<=[?&]password=)[^&]*", "***", url)
    parts = urlsplit(hidden)
    if parts.password is None:
        return hidden
    user, _, address = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:***@{address}").geturl()


def _read_bool(raw: object, /, *, field: str) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in _YES | _NO:
        return word in _YES
    raise InvalidFieldsError.of(field, f"{raw!r} is neither true nor false; write 1 or 0")


def _read_int(raw: object, /, *, field: str) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().removeprefix("-").isdecimal():
        return int(raw)
    raise InvalidFieldsError.of(field, f"{raw!r} is not a whole number")


def _read_size(raw: object, /, *, field: str) -> ByteSize:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return ByteSize(raw)
    return ByteSize(parse_size_bytes(str(raw).strip(), field=field))


def _read_duration_s(raw: object, /, *, field: str) -> float:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return float(raw)
    return parse_duration_s(str(raw).strip(), field=field)


def _read_text(raw: object, /, *, field: str) -> str:
    if isinstance(raw, str):
        return raw
    raise InvalidFieldsError.of(field, f"{raw!r} is not a text; put it in quotes")


def _read_path(raw: object, /, *, field: str) -> Path:
    text = str(raw) if isinstance(raw, Path) else _read_text(raw, field=field)
    if not text:
        raise InvalidFieldsError.of(field, "is empty; name a path")
    return Path(text).expanduser()


def _read_optional_path(raw: object, /, *, field: str) -> Path | None:
    return _read_path(raw, field=field) if raw else None


def _read_pairs(raw: object, /, *, field: str) -> dict[str, str]:
    if isinstance(raw, Mapping):
        pairs = cast("Mapping[str, object]", raw)
        return {key: _read_text(value, field=f"{field}.{key}") for key, value in pairs.items()}
    found: dict[str, str] = {}
    for each in filter(None, _read_text(raw, field=field).split(",")):
        name, equals, value = each.partition("=")
        if not equals:
            raise InvalidFieldsError.of(field, f"{each!r} is not a pair; write name=value,…")
        found[name] = value
    return found


def _read_counts(raw: object, /, *, field: str) -> dict[str, int]:
    if isinstance(raw, Mapping):
        pairs = cast("Mapping[str, object]", raw)
    else:
        pairs = _read_pairs(raw, field=field)
    return {key: _read_int(value, field=f"{field}.{key}") for key, value in pairs.items()}


def _read_words(raw: object, /, *, field: str) -> tuple[str, ...]:
    if isinstance(raw, list | tuple):
        words = cast("list[object]", raw)
        return tuple(_read_text(each, field=f"{field}[{i}]") for i, each in enumerate(words))
    try:
        return tuple(shlex.split(_read_text(raw, field=field)))
    except ValueError as error:
        raise InvalidFieldsError.of(field, f"{raw!r} is not a command: {error}") from error


_READERS: Final[dict[object, Reader]] = {
    bool: _read_bool,
    int: _read_int,
    ByteSize: _read_size,
    float: _read_duration_s,
    str: _read_text,
    Path: _read_path,
    Path | None: _read_optional_path,
    dict[str, str]: _read_pairs,
    dict[str, int]: _read_counts,
    tuple[str, ...]: _read_words,
}
