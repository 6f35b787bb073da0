"""One stream to the server, over a channel of its own, from its opening to its end."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import grpc
import grpc.aio

from hodei.agent.reactor.events import Event, Welcomed
from hodei.agent.reactor.messages import Chunk, Message, Started
from hodei.agent.wire_messages import UnknownPayload, Vitals, decode, encode
from hodei.lifecycle.race import until_first
from hodei.lifecycle.wake import Wake
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as services

BATCH_BYTES: Final = 2**20
"""Output in one message: large enough that its overhead vanishes, small enough that what comes
behind it, such as a heartbeat, does not wait long."""
BATCH_MESSAGES: Final = 512
LINGER_S: Final = 0.005
LINGER_BYTES: Final = 64 * 1024
WELCOME_WITHIN_S: Final = 10.0
CLOSE_WITHIN_S: Final = 2.0

_FINAL: Final = frozenset({grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAUTHENTICATED})
"""Before the welcome: the server will not have this worker."""


WorkerCall = grpc.aio.StreamStreamCall[pb.WorkerMessage, pb.ServerMessage]


class End(Enum):
    """What the end of a stream means."""

    LOST = auto()
    """Worth another try."""
    REFUSED = auto()
    """No use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """That a stream ended, and why."""

    kind: End
    detail: str


class Connection:
    """A stream. `run` is its whole life; `send` may be called from `run`'s first welcome on.

    One task writes, since writes at the same time stall each other; it packs all that waits into
    one message.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        emit: Callable[[Event], None],
        vitals: Callable[[], Vitals],
        wall_ns: Callable[[], int],
    ) -> None:
        self.channel = channel
        self.unknown_payloads = 0
        self._emit = emit
        self._vitals = vitals
        self._wall_ns = wall_ns
        self._waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._wake = Wake()
        self._is_welcomed = False
        self._is_finishing = False

    def send(self, message: Message) -> None:
        """Sends a message after those before it. Lost when the stream ends first.

        Output and starts may wait for 5 ms: a short job then goes in one message, which costs each
        side a third of the processor time of three.
        """
        self._waiting.append(message)
        if isinstance(message, Chunk):
            self._waiting_bytes += len(message.data)
        if not isinstance(message, Chunk | Started) or self._waiting_bytes >= LINGER_BYTES:
            self._wake.notify()
        else:
            self._wake.notify_within(LINGER_S)

    def finish(self) -> None:
        """Ends the stream once what waits was sent; `run` then returns."""
        self._is_finishing = True
        self._wake.notify()

    async def run(self, hello: pb.WorkerMessage) -> StreamEnd:
        """Opens the stream and serves it until it ends. Cancelled, it closes stream and channel."""
        try:
            call = services.WorkerAgentServiceStub(self.channel).WorkerStream()
            try:
                await call.write(hello)
                await until_first(self._read(call), self._write(call))
                return await self._end_of(call)
            # At the end of a stream grpc.aio raises either of these, from any call.
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return await self._end_of(call)
            except TimeoutError:
                return StreamEnd(kind=End.LOST, detail="no welcome came")
            finally:
                call.cancel()
        finally:
            await self.channel.close(None)

    async def _end_of(self, call: WorkerCall) -> StreamEnd:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                code, details = await call.code(), await call.details()
        except TimeoutError:
            return StreamEnd(kind=End.LOST, detail="it ended without a status")
        is_final = code in _FINAL and not self._is_welcomed
        kind = End.REFUSED if is_final else End.LOST
        return StreamEnd(kind=kind, detail=f"{code.name}: {details}" if details else code.name)

    # --- Reading --------------------------------------------------------------------------------

    async def _read(self, call: WorkerCall) -> None:
        async with asyncio.timeout(WELCOME_WITHIN_S) as until_welcome:
            while True:
                message = await call.read()
                if not isinstance(message, pb.ServerMessage):  # grpc.aio.EOF
                    return
                self._take(message)
                if self._is_welcomed and until_welcome.when() is not None:
                    until_welcome.reschedule(None)

    def _take(self, message: pb.ServerMessage) -> None:
        for event in decode(message, self._wall_ns()):
            if isinstance(event, UnknownPayload):
                self.unknown_payloads += 1
                continue
            self._is_welcomed = self._is_welcomed or isinstance(event, Welcomed)
            self._emit(event)

    # --- Writing --------------------------------------------------------------------------------

    async def _write(self, call: WorkerCall) -> None:
        while True:
            await self._wake.wait()
            while self._waiting:
                await call.write(self._next_batch())
            if self._is_finishing:
                await self._say_goodbye(call)
                return

    async def _say_goodbye(self, call: WorkerCall) -> None:
        """Tells the server that nothing more comes, and gives it a moment to have read it all."""
        await call.done_writing()
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await call.code()

    def _next_batch(self) -> pb.WorkerMessage:
        outgoing = pb.WorkerMessage()
        self._waiting_bytes = 0
        if len(self._waiting) == 1:
            encode(outgoing, self._waiting.popleft(), self._vitals)
            return outgoing
        size, messages = 0, outgoing.batch.messages
        while self._waiting and size < BATCH_BYTES and len(messages) < BATCH_MESSAGES:
            message = self._waiting.popleft()
            if isinstance(message, Chunk):
                size += len(message.data)
            encode(messages.add(), message, self._vitals)
        return outgoing
