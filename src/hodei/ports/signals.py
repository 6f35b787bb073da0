"""Hints between the servers that share a store: look, there is something new."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol


class Topic(StrEnum):
    """What there is something new of."""

    EVENTS = "events"
    LOGS = "logs"
    """Named are jobs."""
    PROVIDERS = "providers"
    """Named are those whose records have changed."""
    SERVERS = "servers"
    """One has joined; nobody is named."""


Listener = Callable[[Sequence[str]], None]
"""Called with the names of what is new; with none when it may be anything. It must not block."""


class Signals(Protocol):
    """Carries hints to the other servers. One may be lost: whoever listens also looks by itself."""

    def send(self, topic: Topic, names: Sequence[str] = (), *, can_wait: bool = False) -> None:
        """Tells the others, soon, and together with what else there is to tell. Never blocks.

        Args:
            topic: What there is something new of.
            names: Of what is new; none when it may be anything.
            can_wait: Whether a tenth of a second does not matter: where much is told, it waits for
                company.
        """
        ...

    def listen(self, topic: Topic, listener: Listener) -> None:
        """Calls `listener` for what others send, and after hints may have been lost."""
        ...
