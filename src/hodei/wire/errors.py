"""Errors on the wire: `google.rpc.Status` with details, made from ours and turned back.

The details travel in trailing metadata, which grpc lets grow to 8 KiB before it drops the whole
answer; so long lists of violations are cut here, and say that they are.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import (  # pyright: ignore[reportMissingTypeStubs] - it has stubs without a marker
    code_pb2,
    error_details_pb2,
    status_pb2,
)

from hodei.kernel.errors import (
    AlreadyExistsError,
    BrokenError,
    FieldViolation,
    HodeiError,
    InvalidFieldsError,
    LimitExceededError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
    StaleAttemptError,
    UnauthenticatedError,
    UnavailableError,
    WrongStateError,
)

DOMAIN: Final = "hodei"
"""Of `ErrorInfo`: whose words its reasons are."""
DETAILS_KEY: Final = "grpc-status-details-bin"
"""The key under which grpc's own libraries look for a `google.rpc.Status`."""

RETRY_AFTER_S: Final = 1
"""What `RetryInfo` advises: long enough for a restart to get somewhere."""

_MAX_MESSAGE_BYTES: Final = 800
"""Percent-encoding may make three of one, and the message stands in the details once more."""
_MAX_STATUS_BYTES: Final = 3400
"""In base64 and beside the message, this stays under 8 KiB."""
_MAX_DESCRIPTION_BYTES: Final = 600

_CODES: Final[dict[str, int]] = {
    InvalidFieldsError.code: code_pb2.INVALID_ARGUMENT,
    NotFoundError.code: code_pb2.NOT_FOUND,
    AlreadyExistsError.code: code_pb2.ALREADY_EXISTS,
    WrongStateError.code: code_pb2.FAILED_PRECONDITION,
    StaleAttemptError.code: code_pb2.FAILED_PRECONDITION,
    UnauthenticatedError.code: code_pb2.UNAUTHENTICATED,
    PermissionDeniedError.code: code_pb2.PERMISSION_DENIED,
    LimitExceededError.code: code_pb2.RESOURCE_EXHAUSTED,
}
"""By the code of the error; any other gets that of its root."""

_BY_CODE: Final[dict[str, type[HodeiError]]] = {
    each.code: each
    for each in (
        AlreadyExistsError,
        WrongStateError,
        StaleAttemptError,
        UnauthenticatedError,
        PermissionDeniedError,
        LimitExceededError,
        RefusedError,
        UnavailableError,
        BrokenError,
    )
}
"""Errors that are made from a message alone."""

_BY_STATUS: Final[dict[grpc.StatusCode, type[HodeiError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: RefusedError,
    grpc.StatusCode.NOT_FOUND: RefusedError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.FAILED_PRECONDITION: WrongStateError,
    grpc.StatusCode.OUT_OF_RANGE: RefusedError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitExceededError,
    grpc.StatusCode.UNIMPLEMENTED: RefusedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    grpc.StatusCode.CANCELLED: UnavailableError,
    grpc.StatusCode.ABORTED: UnavailableError,
}
"""What an answer without details of ours is taken for; anything else is a defect."""


class FailedCall(Protocol):
    """What a failed call of grpc tells, of the plain and of the asynchronous kind."""

    def code(self) -> grpc.StatusCode:
        """The status."""
        ...

    def details(self) -> str | None:
        """Its message."""
        ...

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """What came with it."""
        ...


def to_status(error: HodeiError) -> status_pb2.Status:
    """The status that tells of an error, small enough to arrive."""
    status = status_pb2.Status(code=_code_of(error), message=_cut(str(error), _MAX_MESSAGE_BYTES))
    info = error_details_pb2.ErrorInfo(reason=error.code, domain=DOMAIN)
    if isinstance(error, NotFoundError):
        info.metadata.update({"kind": error.kind, "name": _cut(error.name, 200)})
    _add(status, info)
    if isinstance(error, InvalidFieldsError):
        room = _MAX_STATUS_BYTES - status.ByteSize()
        _add(status, _bad_request(error.violations, room))
    elif isinstance(error, UnavailableError):
        _add(status, error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S)))
    return status


def abort_arguments(
    error: HodeiError,
) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """What to give to `context.abort`: code, message and trailing metadata."""
    status = to_status(error)
    code = _STATUS_CODES[status.code]
    return code, status.message, ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc_error(call: FailedCall) -> HodeiError:
    """The error of ours that a failed call tells of."""
    status = _status_of(call)
    message = (
        (status and status.message) or call.details() or f"the call failed: {call.code().name}"
    )
    if status is not None:
        error = _from_details(status, message)
        if error is not None:
            return error
    return _BY_STATUS.get(call.code(), BrokenError)(message)


_STATUS_CODES: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}


def _code_of(error: HodeiError) -> int:
    if error.code in _CODES:
        return _CODES[error.code]
    if isinstance(error, UnavailableError):
        return code_pb2.UNAVAILABLE
    return code_pb2.FAILED_PRECONDITION if isinstance(error, RefusedError) else code_pb2.INTERNAL


def _bad_request(violations: Sequence[FieldViolation], room: int) -> error_details_pb2.BadRequest:
    """As many violations as there is room for, the last saying how many there are besides."""
    bad = error_details_pb2.BadRequest()
    for index, each in enumerate(violations):
        shown = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(each.field, 200),
            description=_cut(each.description, _MAX_DESCRIPTION_BYTES),
        )
        # The rest is for the framing and for the last entry.
        if bad.ByteSize() + shown.ByteSize() > room - 300:
            left = len(violations) - index
            bad.field_violations.add(
                field=_cut(each.field, 200), description=f"and {left - 1} more are not allowed"
            )
            break
        bad.field_violations.append(shown)
    return bad


def _add(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _cut(text: str, max_bytes: int) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= max_bytes:
        return data.decode()
    return data[: max_bytes - 3].decode(errors="ignore") + "…"


def _status_of(call: FailedCall) -> status_pb2.Status | None:
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _from_details(status: status_pb2.Status, message: str) -> HodeiError | None:
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        # Unpacks into the one whose type it is, and into none where it is of another.
        if not detail.Unpack(info):
            detail.Unpack(bad)
    if info.domain != DOMAIN:
        return None
    if info.reason == InvalidFieldsError.code and bad.field_violations:
        return InvalidFieldsError(
            [
                FieldViolation(field=each.field, description=each.description)
                for each in bad.field_violations
            ]
        )
    if info.reason == NotFoundError.code:
        return _not_found(info, message)
    made = _BY_CODE.get(info.reason)
    return made(message) if made is not None else None


def _not_found(info: error_details_pb2.ErrorInfo, message: str) -> NotFoundError:
    kind, name = info.metadata["kind"], info.metadata["name"]
    return NotFoundError(kind, name, message.removeprefix(f"no {kind} {name!r}: "))
