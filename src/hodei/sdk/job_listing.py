"""What a list of jobs asks for."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import TypedDict

from hodei.domain.jobs.states import JobState
from hodei.kernel.errors import InvalidFieldsError
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.job_views import JOB_STATUSES
from hodei.wire.timestamps import optional_timestamp


class JobFilter(TypedDict, total=False):
    """Which jobs to list: each condition that is given must hold."""

    states: Iterable[JobState | str]
    """Any of these."""
    name: str
    """Exactly."""
    labels: Mapping[str, str]
    """All of these."""
    tags: Iterable[str]
    """All of these."""
    created_after: datetime | None
    """Aware."""
    created_before: datetime | None
    """Aware."""


def listing_request(wanted: JobFilter) -> pb.ListJobsRequest:
    """The request for the first page.

    Raises:
        InvalidFieldsError: A state is not one, or a time has no time zone.
    """
    return pb.ListJobsRequest(
        statuses=[JOB_STATUSES[_state(each)] for each in wanted.get("states", ())],
        name=wanted.get("name", ""),
        labels=wanted.get("labels"),
        tags=wanted.get("tags", ()),
        created_after=optional_timestamp(_aware(wanted.get("created_after"), "created_after")),
        created_before=optional_timestamp(_aware(wanted.get("created_before"), "created_before")),
    )


def _state(state: JobState | str) -> JobState:
    try:
        return JobState(state.upper())
    except ValueError:
        near = get_close_matches(state.upper(), JobState, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(JobState)}"
        raise InvalidFieldsError.of("states", f"{state!r} is not a state; {hint}") from None


def _aware(at: datetime | None, field: str) -> datetime | None:
    if at is not None and at.tzinfo is None:
        raise InvalidFieldsError.of(field, f"{at} has no time zone; give an aware time")
    return at
