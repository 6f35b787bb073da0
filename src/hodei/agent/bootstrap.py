"""What an agent is told at its start: one JSON document, or the environment."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard, cast

from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from hodei.kernel.ids import ID_RULE, is_valid_id

MAX_SLOTS: Final = 256
"""Jobs at once; a slot is a process of its own."""

_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TAINT: Final = re.compile(r"[^=:\s]+(=[^=:\s]*)?:[A-Za-z]+")
_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/]+):(\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Contains a secret: never log it, never put it in argv."""

    worker_id: str
    cluster_id: str = ""
    enroll_address: str
    """host:port of the enrolment listener; of several, with commas between, the next is tried when
    one does not answer."""
    worker_address: str = ""
    """host:port of the listener for streams, or several as above; empty means what the enrolment
    says."""
    ca_fingerprint: str
    """`sha256:` and the hex SHA-256 of the root certificate in DER."""
    ca_pem: str = ""
    """Certificates, of which the root is one; where it is not, the server is asked to show it."""
    otp: str = field(repr=False)
    name: str = ""
    slots: int = 1
    """Jobs at once; 1 to 256."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    taints: tuple[str, ...] = ()
    """Each as key=value:effect."""
    custom_resources: dict[str, int] = field(default_factory=dict[str, int])


def parse_document(document: bytes) -> Bootstrap:
    """Reads a bootstrap document.

    Raises:
        InvalidFieldsError: It is none, or fields of it are not allowed; names each, and repeats
            no value that may be secret.
    """
    try:
        values: object = json.loads(document)
    except ValueError as error:
        raise InvalidFieldsError.of(
            "bootstrap", f"is not JSON ({error}); give the document that the server made"
        ) from None
    if not _is_object(values):
        raise InvalidFieldsError.of("bootstrap", "is not a JSON object")
    return _checked(values)


def from_environment(environment: Mapping[str, str]) -> Bootstrap:
    """Reads the bootstrap from the variables that an operator may choose to set instead.

    Raises:
        InvalidFieldsError: One is missing or not allowed.
    """
    names = {
        "HODEI_WORKER_ID": "worker_id",
        "HODEI_WORKER_NAME": "name",
        "HODEI_SERVER_ADDRESS": "enroll_address",
        "HODEI_OTP_TOKEN": "otp",
        "HODEI_CA_FINGERPRINT": "ca_fingerprint",
    }
    values: dict[str, object] = {
        names[variable]: environment[variable] for variable in names if environment.get(variable)
    }
    try:
        return _checked(values)
    except InvalidFieldsError as error:
        variables = {field_name: variable for variable, field_name in names.items()}
        raise InvalidFieldsError(
            [
                FieldViolation(field=variables[each.field], description=each.description)
                for each in error.violations
            ]
        ) from None


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an address such as `127.0.0.1:50053` or `[::1]:50053`."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def split_addresses(text: str) -> tuple[str, ...]:
    """The addresses of a text that lists them with commas between."""
    return tuple(filter(None, text.split(",")))


def _checked(values: dict[str, object]) -> Bootstrap:
    violations = [
        FieldViolation(field=name, description=description)
        for name, (is_allowed, description) in _FIELDS.items()
        if (name in values or name in _REQUIRED) and not is_allowed(values.get(name))
    ]
    known = {name: value for name, value in values.items() if name in _FIELDS}
    if violations:
        # What is not known is a slip of the pen then, as a rule; else it is of a newer server.
        violations += [
            FieldViolation(field=name, description=f"is not known; known are {', '.join(_FIELDS)}")
            for name in values
            if name not in known
        ]
        raise InvalidFieldsError(violations)
    taints = tuple(cast("list[str]", known.pop("taints", [])))
    return Bootstrap(**cast("dict[str, Any]", known), taints=taints)


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)  # JSON has no other keys than text


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def _are_addresses(value: object) -> bool:
    matches = [_ADDRESS.fullmatch(each) for each in value.split(",")] if _is_text(value) else [None]
    return all(match is not None and 0 < int(match[1]) < 65536 for match in matches)


def _is_texts_by_name(value: object) -> bool:
    return _is_object(value) and all(isinstance(each, str) for each in value.values())


def _is_counts_by_name(value: object) -> bool:
    return _is_object(value) and all(_is_count(each) for each in value.values())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_slots(value: object) -> bool:
    return _is_count(value) and value in range(1, MAX_SLOTS + 1)


def _is_taints(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, str) and _TAINT.fullmatch(each) is not None
        for each in value  # pyright: ignore[reportUnknownVariableType] - that is what is asked
    )


_REQUIRED: Final = frozenset({"worker_id", "enroll_address", "ca_fingerprint", "otp"})

_FIELDS: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "worker_id": (
        lambda value: isinstance(value, str) and is_valid_id(value),
        f"must be {ID_RULE}",
    ),
    "cluster_id": (_is_text, "must be text"),
    "enroll_address": (
        _are_addresses,
        "must be host:port, with a port from 1 to 65535; several have commas between",
    ),
    "worker_address": (
        lambda value: not value or _are_addresses(value),
        "must be host:port, with a port from 1 to 65535; several have commas between",
    ),
    "ca_fingerprint": (
        lambda value: isinstance(value, str) and _FINGERPRINT.fullmatch(value) is not None,
        "must be sha256: and 64 lower-case hex digits",
    ),
    "ca_pem": (_is_text, "must be text"),
    "otp": (
        lambda value: isinstance(value, str) and bool(value),
        "must be the one-time password that the server made for this worker",
    ),
    "name": (_is_text, "must be text"),
    "slots": (_is_slots, f"must be a whole number from 1 to {MAX_SLOTS}"),
    "labels": (_is_texts_by_name, "must be an object of text by name"),
    "taints": (_is_taints, "must be a list of key=value:effect"),
    "custom_resources": (_is_counts_by_name, "must be an object of whole numbers by name"),
}
