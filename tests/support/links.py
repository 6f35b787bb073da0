"""The server's end of a stream that writes down what it is given."""

from collections.abc import Callable
from typing import TypeVar

from hodei.application.links import ToWorker

T = TypeVar("T", bound=ToWorker)


class RecordingLink:
    """A `Link` whose messages a test reads."""

    def __init__(self) -> None:
        self.sent: list[ToWorker] = []
        self.closed: str | None = None
        self.on_close: Callable[[], object] = lambda: None

    def send(self, message: ToWorker) -> None:
        if self.closed is None:
            self.sent.append(message)

    def close(self, why: str) -> None:
        self.closed = self.closed or why
        self.on_close()

    def of(self, kind: type[T]) -> list[T]:
        """Messages of one kind, in their order."""
        return [message for message in self.sent if isinstance(message, kind)]
