"""Structs derived from the domain's dataclasses, for what msgspec cannot decode by itself.

A mirror has the fields of its dataclass, so that none is forgotten when one is added there; some
may be left out, or have another type as they are stored.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

import msgspec


def mirror(
    cls: type, *, leave_out: Iterable[str] = (), stored_as: Mapping[str, Any] | None = None
) -> type[msgspec.Struct]:
    """A struct with the fields of the dataclass `cls`, their types and their defaults."""
    hints = get_type_hints(cls) | dict(stored_as or {})
    return msgspec.defstruct(
        f"Stored{cls.__name__}",
        [
            _field(each, hints[each.name])
            for each in dataclasses.fields(cls)
            if each.name not in frozenset(leave_out)
        ],
        kw_only=True,
        # Most fields of most objects have their defaults: this halves what is stored.
        omit_defaults=True,
    )


def _field(field: "dataclasses.Field[Any]", hint: object) -> tuple[str, Any] | tuple[str, Any, Any]:
    if field.default is not dataclasses.MISSING:
        return field.name, hint, field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.name, hint, msgspec.field(default_factory=field.default_factory)
    return field.name, hint
