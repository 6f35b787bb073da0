"""Turns our errors into gRPC statuses with details, at the edge of every call."""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn, TypeVar

import grpc.aio
import structlog

from hodei.kernel.errors import BrokenError, HodeiError
from hodei.wire.errors import abort_arguments

log = structlog.get_logger()

Request = TypeVar("Request")
Response = TypeVar("Response")
Service = TypeVar("Service")
Context = grpc.aio.ServicerContext[Any, Any]


async def abort(context: Context, error: HodeiError) -> NoReturn:
    """Ends the call with the status of an error."""
    if isinstance(error, BrokenError):
        log.error("defect", code=error.code, exc_info=error)
    await context.abort(*abort_arguments(error))
    raise AssertionError("abort returned")


def unary(
    method: Callable[[Service, Request, Context], Awaitable[Response]],
) -> Callable[[Service, Request, Context], Awaitable[Response]]:
    """A unary method whose errors become statuses."""

    @functools.wraps(method)
    async def call(self: Service, request: Request, context: Context) -> Response:
        try:
            return await method(self, request, context)
        except HodeiError as error:
            await abort(context, error)

    return call


def streaming(
    method: Callable[[Service, Request, Context], AsyncGenerator[Response, None]],
) -> Callable[[Service, Request, Context], AsyncGenerator[Response, None]]:
    """A method that answers with a stream, whose errors become statuses."""

    @functools.wraps(method)
    async def call(
        self: Service, request: Request, context: Context
    ) -> AsyncGenerator[Response, None]:
        try:
            async with aclosing(method(self, request, context)) as responses:
                async for response in responses:
                    yield response
        except HodeiError as error:
            await abort(context, error)

    return call
