"""Which jobs a `ListJobsRequest` asks for."""

from dataclasses import dataclass

from hodei.domain.jobs.states import JobState
from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from hodei.ports.stores import JobFilter
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.job_views import decode_status
from hodei.wire.timestamps import from_timestamp

_DEFAULT_PAGE = 100
_MOST_ON_A_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """A page of jobs to read."""

    job_filter: JobFilter
    limit: int
    cursor: str
    offset: int


def decode_list_request(request: pb.ListJobsRequest) -> JobQuery:
    """The query, with every filter honoured.

    Raises:
        InvalidFieldsError: With all in it that cannot be.
    """
    violations = _violations(request)
    if violations:
        raise InvalidFieldsError(violations)
    states: list[JobState] = [
        decode_status(status, field=f"statuses[{index}]")
        for index, status in enumerate(request.statuses)
    ]
    if request.HasField("status"):
        states.append(decode_status(request.status, field="status"))
    after = request.created_after if request.HasField("created_after") else None
    before = request.created_before if request.HasField("created_before") else None
    return JobQuery(
        job_filter=JobFilter(
            states=tuple(states),
            name=request.name,
            search=request.search_term,
            labels=dict(request.labels),
            tags=tuple(request.tags),
            created_after=None if after is None else from_timestamp(after, field="created_after"),
            created_before=(
                None if before is None else from_timestamp(before, field="created_before")
            ),
        ),
        limit=request.page_size or request.limit or _DEFAULT_PAGE,
        cursor=request.page_token,
        offset=request.offset,
    )


def _violations(request: pb.ListJobsRequest) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for field, size in (("limit", request.limit), ("page_size", request.page_size)):
        if not 0 <= size <= _MOST_ON_A_PAGE:
            text = f"is {size}: 1 to {_MOST_ON_A_PAGE}, or 0 for {_DEFAULT_PAGE}"
            found.append(FieldViolation(field=field, description=text))
    if request.limit and request.page_size:
        text = "is the same as page_size by its older name: give one of them"
        found.append(FieldViolation(field="limit", description=text))
    if request.offset < 0:
        text = f"is {request.offset}: 0 or more"
        found.append(FieldViolation(field="offset", description=text))
    if request.offset and request.page_token:
        text = "cannot go with page_token, which says where the page begins"
        found.append(FieldViolation(field="offset", description=text))
    return found
