"""The three roots of every error of ours: who is at fault decides what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class HodeiError(Exception):
    """The root. Raise one of its three children or a subclass of theirs.

    Attributes:
        code: A stable word in UPPER_SNAKE_CASE that clients may act on.
    """

    code: ClassVar[str] = "INTERNAL"


class RefusedError(HodeiError):
    """The caller asked for something that cannot be; asking again unchanged changes nothing."""

    code = "REFUSED"


class UnavailableError(HodeiError):
    """Something outside is not there just now; the same call may succeed later."""

    code = "UNAVAILABLE"


class BrokenError(HodeiError):
    """A rule of ours does not hold: a defect. Stop rather than go on with a wrong state."""

    code = "BROKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One field of a request that is not allowed."""

    field: str
    """Its path in the request, such as `timeout.execution_timeout` or `arguments[3]`."""
    description: str
    """What is allowed, and what to do."""


class InvalidFieldsError(RefusedError):
    """A request has fields that are not allowed; nothing was changed.

    Attributes:
        violations: At least one.
    """

    code = "INVALID_ARGUMENT"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{each.field}: {each.description}" for each in violations))

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidFieldsError":
        """The error of one field."""
        return cls([FieldViolation(field=field, description=description)])


class NotFoundError(RefusedError):
    """What was named does not exist."""

    code = "NOT_FOUND"

    def __init__(self, kind: str, name: str, advice: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"no {kind} {name!r}: {advice}")


class AlreadyExistsError(RefusedError):
    """The name is taken by something else."""

    code = "ALREADY_EXISTS"


class WrongStateError(RefusedError):
    """The thing is not in a state in which this can be done."""

    code = "FAILED_PRECONDITION"


class StaleAttemptError(RefusedError):
    """A worker spoke of an attempt that is no longer its own; it must discard what it has."""

    code = "STALE_ATTEMPT"


class UnauthenticatedError(RefusedError):
    """The caller did not prove who it is."""

    code = "UNAUTHENTICATED"


class PermissionDeniedError(RefusedError):
    """The caller is known, and may not do this."""

    code = "PERMISSION_DENIED"


class LimitExceededError(RefusedError):
    """More than is taken at once; the message names the limit."""

    code = "LIMIT_EXCEEDED"
