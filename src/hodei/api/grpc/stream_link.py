"""The server's end of a worker's stream: one queue, one writer, packed messages."""

from collections import deque
from collections.abc import AsyncIterator, Callable

from hodei.application.links import LogsStored, ResultTaken, ToWorker
from hodei.lifecycle.wake import Wake
from hodei.wire import hodei_all_in_one_pb2 as pb

_MOST_PACKED_BYTES = 4 * 2**20
"""A packed message stays well below what both sides take (64 MiB)."""
_LINGER_S = 0.02
"""What acknowledgements wait for other messages to go with: a worker only frees memory by them."""


class StreamLink:
    """`Link` over gRPC: `send` from anywhere on the loop, `outgoing` for the one writer.

    Concurrent writes on one stream stall it, and each message costs both sides about 0.1 ms of
    CPU; so there is one writer, and it packs whatever waits. Acknowledgements linger for company.
    """

    def __init__(self, encode: Callable[[ToWorker], pb.ServerMessage]) -> None:
        self._encode = encode
        self._waiting: deque[ToWorker] = deque()
        self._wake = Wake()
        self.closed_because: str | None = None

    def send(self, message: ToWorker) -> None:
        """Queues a message."""
        if self.closed_because is not None:
            return
        self._waiting.append(message)
        if isinstance(message, LogsStored | ResultTaken):
            self._wake.notify_within(_LINGER_S)
        else:
            self._wake.notify()

    def close(self, why: str) -> None:
        """Ends the stream once what was queued before is written."""
        if self.closed_because is None:
            self.closed_because = why
            self._wake.notify()

    async def outgoing(self) -> AsyncIterator[pb.ServerMessage]:
        """What is to be written; ends when the link is closed."""
        while True:
            await self._wake.wait()
            while self._waiting:
                yield self._pack()
            if self.closed_because is not None:
                return

    def _pack(self) -> pb.ServerMessage:
        first = self._encode(self._waiting.popleft())
        if not self._waiting:
            return first
        batch = pb.ServerMessageBatch(messages=[first])
        size = first.ByteSize()
        while self._waiting and size < _MOST_PACKED_BYTES:
            message = self._encode(self._waiting.popleft())
            size += message.ByteSize()
            batch.messages.append(message)
        return pb.ServerMessage(batch=batch)
