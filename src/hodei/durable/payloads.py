"""Values of users as bytes: how they are written down, and how large they may be."""

from functools import lru_cache
from typing import Any, Final

import msgspec

from hodei.kernel.errors import BrokenError, RefusedError
from hodei.ports.durable_rows import Payload

MAX_PAYLOAD_BYTES: Final = 2 * 2**20
"""Of one value. Larger ones belong in a file or an object store, and their address in the value."""

JSON: Final = "json"

# Deterministic: sets and dictionaries are written in one order, so that a replay that builds the
# same value another way gives the same bytes.
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


class PayloadTooLargeError(RefusedError):
    """A value is larger than `MAX_PAYLOAD_BYTES`. Store it elsewhere and pass its address."""

    code = "PAYLOAD_TOO_LARGE"


class UnencodableError(RefusedError):
    """A value cannot be written as JSON, or what was written is not of the type that is asked for."""

    code = "UNENCODABLE"


class UnreadablePayloadError(BrokenError):
    """A stored value is in an encoding that this version does not know."""

    code = "UNREADABLE_PAYLOAD"


def encode(value: object, *, what: str) -> Payload:
    """The value as it is stored.

    Args:
        value: Of any type that msgspec writes as JSON: dataclasses, times, enums, bytes and so on.
        what: Names it in an error, such as `result of activity send`.

    Raises:
        UnencodableError: It is of another type.
        PayloadTooLargeError: It is too large.
    """
    try:
        data = _ENCODER.encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise UnencodableError(
            f"{what}: {error}; use dataclasses, plain containers, numbers, text and times"
        ) from error
    if len(data) > MAX_PAYLOAD_BYTES:
        raise PayloadTooLargeError(
            f"{what} has {len(data)} bytes, {MAX_PAYLOAD_BYTES} are allowed: store it elsewhere and "
            "pass its address"
        )
    return Payload(codec=JSON, data=data)


def decode(payload: Payload, wanted: Any, *, what: str) -> Any:
    """The value that was stored, as an instance of the type `wanted`.

    Raises:
        UnencodableError: It is not of that type.
        UnreadablePayloadError: Its encoding is not known here.
    """
    if payload.codec != JSON:
        raise UnreadablePayloadError(f"{what}: encoding {payload.codec!r} is not known here")
    try:
        return _decoder(wanted).decode(payload.data)
    except msgspec.MsgspecError as error:
        raise UnencodableError(f"{what}: {error}") from error


@lru_cache(maxsize=512)
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)
