"""Lists of jobs: the filter as SQL, put together from named parts."""

from collections.abc import Iterator
from typing import Final, LiteralString

from hodei.ports.stores import JobFilter, JobPage
from hodei.wire.cursors import decode_cursor, encode_cursor
from hodei.wire.instants import to_micros

from .job_reads import assembled
from .named_sql import load
from .parameters import Parameters
from .reader import Readers, decoded

_SQL: Final = load("list_jobs.sql")
_PICKED: Final = load("reads.sql")["picked_jobs"]
_KIND: Final = "jobs"


async def list_jobs(
    readers: Readers, job_filter: JobFilter, *, limit: int, cursor: str, offset: int
) -> JobPage:
    """See `JobStore.list_jobs`. Page and total are of one moment: of one statement."""
    parameters = Parameters()
    # One more than is shown says whether there is a page after it.
    page = _page(job_filter, parameters, decode_cursor(_KIND, cursor), limit + 1, offset)
    total = _count(job_filter, parameters)
    shown = parameters.put(_SQL["shown"], shown=limit)
    parts: list[LiteralString] = [
        *("WITH found AS (", page, "), total AS (", *total, "), picked AS (", shown, ")"),
        _PICKED,
        _SQL["total_and_found"],
    ]
    rows = await readers.fetch("\n".join(parts), *parameters.values)
    numbers = {row["number"]: row["position"] for row in rows if row["number"] < 0}
    jobs = await decoded(assembled, rows)
    in_order = sorted(jobs, reverse=True)
    return JobPage(
        jobs=tuple(jobs[position] for position in in_order),
        next_cursor=encode_cursor(_KIND, in_order[-1]) if numbers[-2] > limit else "",
        total=numbers[-1],
    )


def _page(
    job_filter: JobFilter, parameters: Parameters, before: int, limit: int, offset: int
) -> LiteralString:
    kind = "states_page" if job_filter.states else "page"
    parts: list[LiteralString] = [
        parameters.put(_SQL[f"{kind}_head"], before=before, states=list(set(job_filter.states)))
        if job_filter.states
        else parameters.put(_SQL[f"{kind}_head"], before=before),
        *_conditions(job_filter, parameters),
        parameters.put(_SQL[f"{kind}_tail"], limit=limit, offset=offset),
    ]
    return "\n".join(parts)


def _count(job_filter: JobFilter, parameters: Parameters) -> Iterator[LiteralString]:
    yield _SQL["count_head"]
    if job_filter.states:
        yield parameters.put(_SQL["has_state"], states=list(job_filter.states))
    yield from _conditions(job_filter, parameters)


def _conditions(job_filter: JobFilter, parameters: Parameters) -> Iterator[LiteralString]:
    if job_filter.name:
        yield parameters.put(_SQL["has_name"], name=job_filter.name)
    if job_filter.search:
        yield parameters.put(_SQL["has_search"], search=job_filter.search.casefold())
    if (after := job_filter.created_after) is not None:
        yield parameters.put(_SQL["created_after"], created_after=to_micros(after))
    if (before := job_filter.created_before) is not None:
        yield parameters.put(_SQL["created_before"], created_before=to_micros(before))
    for key, value in job_filter.labels.items():
        yield parameters.put(_SQL["has_label"], key=key, value=value)
    for tag in job_filter.tags:
        yield parameters.put(_SQL["has_tag"], tag=tag)
