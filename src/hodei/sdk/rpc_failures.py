"""What a failed call means to the caller."""

import re
from collections.abc import Sequence
from typing import Final, cast

import grpc
import grpc.aio

from hodei.kernel.errors import HodeiError, UnavailableError
from hodei.wire.errors import DETAILS_KEY, FailedCall, from_rpc_error

_CAUSES: Final = (
    (re.compile(r"Connection refused"), "connection refused"),
    (re.compile(r"(?i)DNS|name resolution|getaddrinfo"), "the name does not resolve"),
    (re.compile(r"(?i)certificate_verify_failed"), "its certificate is not trusted"),
    (re.compile(r"(?i)handshake|ssl"), "the TLS handshake failed"),
    (re.compile(r"(?i)cancelled"), "the server stopped before it had answered"),
    (re.compile(r"(?i)timeout|timed out"), "no answer in time"),
    (
        re.compile(r"(?i)socket closed|reset|broken pipe|EOF"),
        "the connection was closed; one that speaks TLS needs HODEI_CA_FILE",
    ),
)

_NOBODY_ANSWERED: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        # Nothing here cancels a call and waits for its answer: a server that stops did.
        grpc.StatusCode.CANCELLED,
    }
)


class ServerGoneError(UnavailableError):
    """No server answers at the addresses that the client was given."""


def to_error(error: grpc.aio.AioRpcError, addresses: Sequence[str]) -> HodeiError:
    """The error of ours that a failed call stands for.

    A server that refuses says so in the details of its status; without them nobody of ours has
    answered.
    """
    call = cast("FailedCall", error)
    has_answered = any(key == DETAILS_KEY for key, _ in call.trailing_metadata() or ())
    if has_answered or call.code() not in _NOBODY_ANSWERED:
        return from_rpc_error(call)
    if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ServerGoneError(_no_answer(addresses))
    return ServerGoneError(_no_server(addresses, _cause(call.details() or "")))


def _cause(details: str) -> str:
    for pattern, cause in _CAUSES:
        if pattern.search(details):
            return cause
    return " ".join(details.split())[:200] or "no details"


def _no_answer(addresses: Sequence[str]) -> str:
    # A server may be there all the same, and at work on what it was asked.
    where = " or ".join(sorted(addresses))
    return (
        f"no answer in time from the Hodei server at {where}: it cannot be reached, or what was "
        "asked still goes on; ask again, or name another with --server or HODEI_SERVER_ADDRESS"
    )


def _no_server(addresses: Sequence[str], cause: str) -> str:
    where = " or ".join(sorted(addresses))
    return (
        f"no Hodei server answers at {where} ({cause}): start one with `hodei dev`, "
        "or name another with --server or HODEI_SERVER_ADDRESS"
    )
