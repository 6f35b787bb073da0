"""How events are written down for good, and read again by every later version of Hodei.

An event is stored as the name of its type, the version of its shape, and msgpack. A field may be
added with a default without more ado. Any other change of an event, or of what it contains, takes a
new version and an upcaster from the one before. `tests/replay/events` keeps stored events of every
release and shows that they can still be read.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast, get_args

import msgspec

from hodei.domain.jobs.events import JobCreated, JobEvent
from hodei.domain.jobs.spec import Command, Exec, JobSpec, Script
from hodei.domain.workers.events import WorkerEvent
from hodei.kernel.errors import BrokenError
from hodei.wire.mirror import mirror

Event = JobEvent | WorkerEvent

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the fields of one version into those of the next."""


class EncodedEvent(NamedTuple):
    """An event as it is stored."""

    type: str
    version: int
    data: bytes


class UnreadableEventError(BrokenError):
    """A stored event is of a type or version that this code does not know, or is damaged."""

    code = "UNREADABLE_EVENT"


class EventCodec:
    """Encodes events of their current version and decodes those of every version.

    Args:
        event_types: What can be encoded.
        versions: The current version of those that are no longer at 1, by the type's name.
        upcasters: For each older version of a type, what leads to the next one.
    """

    def __init__(
        self,
        event_types: tuple[type, ...],
        *,
        versions: Mapping[str, int],
        upcasters: Mapping[tuple[str, int], Upcaster],
    ) -> None:
        self._versions = {each.__name__: versions.get(each.__name__, 1) for each in event_types}
        self._upcasters = upcasters
        self._shapes: dict[str, Any] = {
            each.__name__: _StoredJobCreated if each is JobCreated else each for each in event_types
        }
        self._decoders = {
            name: msgspec.msgpack.Decoder(shape) for name, shape in self._shapes.items()
        }
        self._encoder = msgspec.msgpack.Encoder()

    def encode(self, event: Event) -> EncodedEvent:
        """The event as it is to be stored."""
        name = type(event).__name__
        return EncodedEvent(name, self._versions[name], self._encoder.encode(event))

    def decode(self, name: str, version: int, data: bytes) -> Event:
        """The event that was stored.

        Raises:
            UnreadableEventError: A newer Hodei has written it, or it is damaged.
        """
        current = self._versions.get(name)
        if current is None or version > current:
            raise UnreadableEventError(
                f"event {name} version {version} is not known here: "
                "use the version of Hodei that wrote it, or a newer one"
            )
        try:
            stored = (
                self._decoders[name].decode(data)
                if version == current
                else self._upcast(name, version, data)
            )
        except msgspec.MsgspecError as error:
            raise UnreadableEventError(
                f"event {name} version {version} is damaged: {error}"
            ) from error
        return (
            _job_created(stored) if isinstance(stored, _StoredJobCreated) else cast("Event", stored)
        )

    def _upcast(self, name: str, version: int, data: bytes) -> object:
        fields = msgspec.msgpack.decode(data)
        for each in range(version, self._versions[name]):
            fields = self._upcasters[name, each](fields)
        return msgspec.convert(fields, self._shapes[name])


class _StoredCommand(msgspec.Struct):
    # msgspec tells the members of a union apart by a tag, which plain dataclasses do not have.
    argv: tuple[bytes, ...] | None = None
    interpreter: str = ""
    content: str = ""


_StoredSpec = mirror(JobSpec, stored_as={"command": _StoredCommand})
_StoredJobCreated = mirror(JobCreated, stored_as={"spec": _StoredSpec})


def _job_created(stored: msgspec.Struct) -> JobCreated:
    fields = msgspec.structs.asdict(stored)
    spec = msgspec.structs.asdict(fields.pop("spec"))
    command = _command(spec.pop("command"))
    return JobCreated(spec=JobSpec(command=command, **spec), **fields)


def _command(stored: _StoredCommand) -> Command:
    if stored.argv is not None:
        return Exec(argv=stored.argv)
    return Script(interpreter=stored.interpreter, content=stored.content)


EVENT_TYPES: Final = cast("tuple[type, ...]", get_args(JobEvent) + get_args(WorkerEvent))

_CODEC: Final = EventCodec(EVENT_TYPES, versions={}, upcasters={})

encode: Final = _CODEC.encode
decode: Final = _CODEC.decode
