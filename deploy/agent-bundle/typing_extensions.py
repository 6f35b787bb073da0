"""What the agent's libraries take of typing_extensions: Python 3.11 has all of it but one.

The whole of it costs every start of a container 8 ms, most of them for the inspect module.
"""

from collections.abc import Callable
from typing import LiteralString, Self, TypeVar, dataclass_transform

__all__ = ["LiteralString", "Self", "dataclass_transform", "override"]

_Method = TypeVar("_Method", bound=Callable)


def override(method: _Method) -> _Method:
    """Marks a method, for who reads it."""
    return method
