"""Errors go out as `google.rpc.Status` with details and come back as the same errors."""

from collections.abc import Iterable
from datetime import UTC, datetime

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from hodei.domain.logs import LogChunk, LogGapError, LogStream
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
from hodei.kernel.ids import JobId
from hodei.ports.providers import ProviderUnavailableError, ProvisioningRefusedError
from hodei.ports.stores import StoreUnavailableError
from hodei.wire.errors import DETAILS_KEY, abort_arguments, from_rpc_error, to_status


class Failure:
    """A call that failed, as grpc shows it."""

    def __init__(
        self,
        code: grpc.StatusCode,
        details: str | None = None,
        trailing: Iterable[tuple[str, str | bytes]] | None = None,
    ) -> None:
        self._code, self._details, self._trailing = code, details, trailing

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        return self._trailing


def there_and_back(error: HodeiError) -> HodeiError:
    return from_rpc_error(Failure(*abort_arguments(error)))


def unpacked(status: status_pb2.Status) -> dict[str, object]:
    found: dict[str, object] = {}
    for detail in status.details:
        for kind in (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        ):
            if detail.Unpack(kind):
                found[type(kind).__name__] = kind
    return found


SAME = [
    AlreadyExistsError("job 'a' exists"),
    WrongStateError("it has ended"),
    StaleAttemptError("discard it"),
    UnauthenticatedError("who are you?"),
    PermissionDeniedError("not you"),
    LimitExceededError("at most 5"),
    NotFoundError("job", "o'neil", "list them with hodei jobs list"),
    RefusedError("no"),
    UnavailableError("later"),
    BrokenError("a defect"),
]


@pytest.mark.parametrize("error", SAME, ids=lambda error: error.code)
def test_an_error_comes_back_the_same(error: HodeiError):
    back = there_and_back(error)
    assert (type(back), back.code, str(back)) == (type(error), error.code, str(error))


def test_violations_come_back_field_by_field():
    violations = [
        FieldViolation(field="name", description="too long"),
        FieldViolation(field="tags[3]", description="empty"),
    ]
    back = there_and_back(InvalidFieldsError(violations))
    assert isinstance(back, InvalidFieldsError)
    assert list(back.violations) == violations


def test_what_was_not_found_is_named_for_programs_too():
    back = there_and_back(NotFoundError("worker", "w9", "list them"))
    assert isinstance(back, NotFoundError)
    assert (back.kind, back.name) == ("worker", "w9")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidFieldsError.of("a", "b"), grpc.StatusCode.INVALID_ARGUMENT),
        (NotFoundError("job", "x", "y"), grpc.StatusCode.NOT_FOUND),
        (AlreadyExistsError("x"), grpc.StatusCode.ALREADY_EXISTS),
        (WrongStateError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (StaleAttemptError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (UnauthenticatedError("x"), grpc.StatusCode.UNAUTHENTICATED),
        (PermissionDeniedError("x"), grpc.StatusCode.PERMISSION_DENIED),
        (LimitExceededError("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (StoreUnavailableError("x"), grpc.StatusCode.UNAVAILABLE),
        (ProviderUnavailableError("x"), grpc.StatusCode.UNAVAILABLE),
        (ProvisioningRefusedError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (BrokenError("x"), grpc.StatusCode.INTERNAL),
    ],
    ids=lambda value: value.code if isinstance(value, HodeiError) else value.name,
)
def test_each_error_has_its_status(error: HodeiError, code: grpc.StatusCode):
    sent, message, trailing = abort_arguments(error)
    assert (sent, message) == (code, str(error))
    assert [key for key, _ in trailing] == [DETAILS_KEY]
    info = unpacked(to_status(error))["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.domain, info.reason) == ("hodei", error.code)


def test_an_error_of_an_adapter_comes_back_as_its_root():
    back = there_and_back(StoreUnavailableError("the disk is full"))
    assert (type(back), str(back)) == (UnavailableError, "the disk is full")
    chunk = LogChunk(
        job_id=JobId("j"),
        attempt=1,
        stream=LogStream.STDOUT,
        offset=9,
        data=b"x",
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert type(there_and_back(LogGapError(chunk, 5))) is BrokenError


def test_what_may_be_tried_again_says_when():
    retry = unpacked(to_status(UnavailableError("x")))["RetryInfo"]
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.seconds == 1
    assert "RetryInfo" not in unpacked(to_status(RefusedError("x")))


def test_a_long_list_of_violations_is_cut_and_says_so():
    violations = [FieldViolation(field=f"f[{n}]", description="x" * 100) for n in range(100)]
    back = there_and_back(InvalidFieldsError(violations))
    assert isinstance(back, InvalidFieldsError)
    shown = back.violations[:-1]
    assert list(shown) == violations[: len(shown)]
    assert len(shown) >= 10
    assert back.violations[-1].description == f"and {100 - len(shown) - 1} more are not allowed"


@pytest.mark.parametrize("letter", ["x", "%", "é", "漢", "\n"])
def test_no_error_grows_past_what_grpc_lets_through(letter: str):
    violations = [FieldViolation(field=letter * 500, description=letter * 5000)] * 100
    _, message, ((_, data),) = abort_arguments(InvalidFieldsError(violations))
    in_base64 = (len(data) + 2) // 3 * 4
    percent_encoded = 3 * len(message.encode())
    assert in_base64 + percent_encoded < 8000


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, UnavailableError),
        (grpc.StatusCode.CANCELLED, UnavailableError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, LimitExceededError),
        (grpc.StatusCode.UNAUTHENTICATED, UnauthenticatedError),
        (grpc.StatusCode.UNIMPLEMENTED, RefusedError),
        (grpc.StatusCode.NOT_FOUND, RefusedError),
        (grpc.StatusCode.INTERNAL, BrokenError),
        (grpc.StatusCode.UNKNOWN, BrokenError),
    ],
    ids=lambda value: value.name if isinstance(value, grpc.StatusCode) else value.__name__,
)
def test_a_failure_without_details_of_ours_is_taken_by_its_status(
    code: grpc.StatusCode, kind: type[HodeiError]
):
    error = from_rpc_error(Failure(code, "connection refused"))
    assert (type(error), str(error)) == (kind, "connection refused")
    assert str(from_rpc_error(Failure(code))) == f"the call failed: {code.name}"


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xff",
        status_pb2.Status(code=5, message="gone").SerializeToString(),
        status_pb2.Status().SerializeToString(),
    ],
)
def test_details_that_are_not_ours_do_no_harm(value: bytes):
    error = from_rpc_error(Failure(grpc.StatusCode.UNAVAILABLE, "gone", [(DETAILS_KEY, value)]))
    assert (type(error), str(error)) == (UnavailableError, "gone")
