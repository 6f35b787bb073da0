"""A client's connection: finds a server that answers, and stays with it while it does."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, cast

import grpc
import grpc.aio

from hodei.kernel.errors import HodeiError, UnavailableError
from hodei.sdk.calls import GET_SERVER_INFO, AnswerT, Call, RequestT
from hodei.sdk.endpoint import Endpoint
from hodei.sdk.rpc_failures import ServerGoneError, to_error
from hodei.wire import hodei_all_in_one_pb2 as pb

_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_CONNECT_TIMEOUT_S: Final = 5.0
_FIRST_BACKOFF_S: Final = 0.05
_MAX_BACKOFF_S: Final = 1.0

_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    # A follower may hear nothing for hours; this is how it notices that the other side is gone.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Despite its name this is how long one attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", int(_CONNECT_TIMEOUT_S * 1000)),
    ("grpc.initial_reconnect_backoff_ms", int(_FIRST_BACKOFF_S * 1000)),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Retries are this class's; two layers of them would multiply.
    ("grpc.enable_retries", 0),
)


class _Answers(Protocol):
    """A stream of answers under way."""

    def __aiter__(self) -> AsyncIterator[Any]: ...
    def cancel(self) -> bool: ...


class _Channel(Protocol):
    """What is used of a channel of grpc, whose own types say little."""

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
    ) -> Callable[..., Awaitable[Any]]: ...
    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
    ) -> Callable[..., _Answers]: ...
    async def close(self) -> None: ...


class Connection:
    """Calls of one client, to one of its servers at a time.

    When a server is gone the next one is tried. A stream that breaks is opened again for up to
    `reconnect_within_s`, since a server that is started again takes a moment.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], *, call_timeout_s: float, reconnect_within_s: float
    ) -> None:
        self._endpoints = list(endpoints)
        self._call_timeout_s = call_timeout_s
        self._reconnect_within_s = reconnect_within_s
        self._channels: dict[Endpoint, _Channel] = {}
        self._has_answered = False

    async def unary(
        self, call: Call[RequestT, AnswerT], request: RequestT, *, is_patient: bool = False
    ) -> AnswerT:
        """Asks the first server that is there, once.

        With `is_patient`, a client that has reached a server before waits for one, as a stream
        does; else the call fails once every server was tried.

        Raises:
            HodeiError: What the server refused, or `UnavailableError` when none is there.
        """
        if not call.is_repeatable and not self._has_answered:
            # So that the call itself has to be sent once only.
            await self.unary(GET_SERVER_INFO, pb.GetServerInfoRequest())
        patience_s = self._reconnect_within_s if is_patient else 0.0
        outage = _Outage(patience_s, servers=len(self._endpoints))
        while True:
            endpoint = self._endpoints[0]
            try:
                return await self._ask(endpoint, call, request)
            except UnavailableError as error:
                if not (is_patient or isinstance(error, ServerGoneError)):
                    raise
                self._turn_away_from(endpoint)
                if not call.is_repeatable:
                    raise
                await outage.pause_or_raise(error, was_reached=self._has_answered)

    async def stream(
        self, call: Call[RequestT, AnswerT], next_request: Callable[[], RequestT]
    ) -> AsyncGenerator[AnswerT, None]:
        """Yields the answers of a stream, opened again where it breaks.

        Args:
            call: The call.
            next_request: Makes the request that goes on after the last answer taken.

        Raises:
            HodeiError: What the server refused, or `UnavailableError` when none was there for
                `reconnect_within_s`.
        """
        outage = _Outage(self._reconnect_within_s, servers=len(self._endpoints))
        while True:
            endpoint = self._endpoints[0]
            try:
                async with aclosing(self._listen(endpoint, call, next_request())) as answers:
                    async for answer in answers:
                        outage.is_over()
                        yield answer
            except UnavailableError as error:
                self._turn_away_from(endpoint)
                await outage.pause_or_raise(error, was_reached=self._has_answered)
            else:
                return

    async def close(self) -> None:
        """Lets go of the servers. Idempotent."""
        while self._channels:
            _, channel = self._channels.popitem()
            await channel.close()

    async def _ask(
        self, endpoint: Endpoint, call: Call[RequestT, AnswerT], request: RequestT
    ) -> AnswerT:
        ask = self._channel_to(endpoint).unary_unary(
            call.path,
            request_serializer=call.request.SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        timeout_s = max(self._call_timeout_s, call.least_timeout_s)
        try:
            answer: AnswerT = await ask(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self._translate(error) from error
        self._has_answered = True
        return answer

    async def _listen(
        self, endpoint: Endpoint, call: Call[RequestT, AnswerT], request: RequestT
    ) -> AsyncGenerator[AnswerT, None]:
        listen = self._channel_to(endpoint).unary_stream(
            call.path,
            request_serializer=call.request.SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        answers = listen(request)
        try:
            async for answer in answers:
                self._has_answered = True
                yield answer
        except grpc.aio.AioRpcError as error:
            raise self._translate(error) from error
        finally:
            answers.cancel()

    def _channel_to(self, endpoint: Endpoint) -> _Channel:
        if endpoint not in self._channels:
            self._channels[endpoint] = _open_channel(endpoint)
        return self._channels[endpoint]

    def _translate(self, error: grpc.aio.AioRpcError) -> HodeiError:
        return to_error(error, [endpoint.address for endpoint in self._endpoints])

    def _turn_away_from(self, endpoint: Endpoint) -> None:
        """Goes on to the next server, unless another call has done so already.

        Channels stay open until `close`: other calls may be under way on them.
        """
        if self._endpoints[0] == endpoint:
            self._endpoints.append(self._endpoints.pop(0))


class _Outage:
    """How long a stream has been without a server."""

    def __init__(self, within_s: float, *, servers: int) -> None:
        self._within_s = within_s
        self._servers = servers
        self.is_over()

    def is_over(self) -> None:
        """Counts from here on again."""
        self._since: float | None = None
        self._failures = 0

    async def pause_or_raise(self, error: UnavailableError, *, was_reached: bool) -> None:
        """Waits until it is time to try again, or raises `error` once it has lasted too long.

        A client that never reached a server tries each one once: a wrong address is told at once.
        """
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        self._failures += 1
        patience_s = self._within_s if was_reached else 0.0
        if self._failures < self._servers:
            return
        if now - self._since >= patience_s:
            raise error
        await asyncio.sleep(min(_FIRST_BACKOFF_S * 2 ** min(self._failures, 10), _MAX_BACKOFF_S))


def _open_channel(endpoint: Endpoint) -> _Channel:
    # A proxy of the environment is for the world outside.
    options = [*_OPTIONS, ("grpc.enable_http_proxy", 0 if endpoint.is_loopback else 1)]
    if endpoint.is_plaintext:
        return cast("_Channel", grpc.aio.insecure_channel(endpoint.address, options=options))
    roots = endpoint.ca_file.read_bytes() if endpoint.ca_file else None
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    channel = grpc.aio.secure_channel(endpoint.address, credentials, options=options)
    return cast("_Channel", channel)
