"""How events are written down: the name of the type and msgpack. Payloads inside stay as they are."""

from typing import Any, Final

import msgspec

from hodei.durable.events import EVENT_TYPES, Event
from hodei.durable.failures import Failure
from hodei.kernel.errors import BrokenError

_TYPES: Final[dict[str, type[Event]]] = {each.__name__: each for each in EVENT_TYPES}
_DECODERS: Final[dict[str, msgspec.msgpack.Decoder[Any]]] = {
    name: msgspec.msgpack.Decoder(each) for name, each in _TYPES.items()
}
_ENCODER: Final = msgspec.msgpack.Encoder()
_FAILURES: Final = msgspec.msgpack.Decoder(Failure)


class UnreadableEventError(BrokenError):
    """A stored event is of a type that this version does not know, or is damaged."""

    code = "UNREADABLE_EVENT"


def encode(event: Event) -> bytes:
    """The event as it is stored; its kind is stored beside it."""
    return _ENCODER.encode(event)


def decode(kind: str, data: bytes) -> Event:
    """The event that was stored.

    Raises:
        UnreadableEventError: A newer Hodei has written it, or it is damaged.
    """
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise UnreadableEventError(
            f"event {kind!r} is not known here: a newer Hodei has written it"
        )
    try:
        return decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise UnreadableEventError(f"event {kind!r} is damaged: {error}") from error


def encode_delivery(event: Event) -> bytes:
    """A notification as it lies in an inbox, its kind with it."""
    return _ENCODER.encode((type(event).__name__, _ENCODER.encode(event)))


def decode_delivery(data: bytes) -> Event:
    """The notification that lay in an inbox.

    Raises:
        UnreadableEventError: A newer Hodei has written it, or it is damaged.
    """
    try:
        kind, inner = msgspec.msgpack.decode(data, type=tuple[str, bytes])
    except msgspec.MsgspecError as error:
        raise UnreadableEventError(f"a delivery is damaged: {error}") from error
    return decode(kind, inner)


def encode_failure(failure: Failure) -> bytes:
    """A failure as it is kept with a task."""
    return _ENCODER.encode(failure)


def decode_failure(data: bytes) -> Failure | None:
    """The failure that was kept; None where there was none."""
    return _FAILURES.decode(data) if data else None
