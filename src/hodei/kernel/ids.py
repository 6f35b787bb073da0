"""Identifiers, each a type of its own so that one cannot be taken for another."""

import re
from typing import Final, NewType

JobId = NewType("JobId", str)
WorkerId = NewType("WorkerId", str)
ProviderName = NewType("ProviderName", str)
ClusterId = NewType("ClusterId", str)
ServerId = NewType("ServerId", str)

FencingToken = NewType("FencingToken", int)
"""Grows with each attempt of a job and cannot be guessed; a result must carry the current one."""

Position = NewType("Position", int)
"""Of an event in the store's one order. Clients get it as opaque text."""

BEFORE_THE_FIRST: Final = Position(0)
"""The position that precedes every event."""

ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What a job's or a worker's id may look like: it is used in file names, labels and URLs."""

ID_RULE: Final = (
    "1 to 128 letters, digits, dots, underscores or hyphens, the first a letter or a digit"
)


def is_valid_id(text: str) -> bool:
    """Whether `text` can be an id of a job or a worker."""
    return ID_PATTERN.fullmatch(text) is not None
