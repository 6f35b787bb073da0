"""Lists of jobs: the filter as SQL, put together from named parts."""

import json
import sqlite3
from typing import Any, Final, LiteralString, cast

from hodei.ports.stores import JobFilter, JobPage
from hodei.wire.cursors import decode_cursor, encode_cursor
from hodei.wire.instants import to_micros

from .job_reads import load_at
from .named_sql import load

_SQL: Final = load("list_jobs.sql")
_KIND: Final = "jobs"


def list_jobs(
    connection: sqlite3.Connection,
    job_filter: JobFilter,
    *,
    limit: int,
    cursor: str,
    offset: int,
) -> JobPage:
    """See `JobStore.list_jobs`."""
    parameters = _parameters(job_filter) | {
        "before": decode_cursor(_KIND, cursor),
        # One more than is shown says whether there is a page after it.
        "limit": limit + 1,
        "offset": offset,
    }
    # Page and total of one moment.
    connection.execute("BEGIN")
    try:
        (total,) = connection.execute(_count(job_filter), parameters).fetchone()
        found = [row[0] for row in connection.execute(_page(job_filter), parameters)]
        jobs = load_at(connection, found[:limit])
    finally:
        connection.execute("COMMIT")
    more = len(found) > limit
    return JobPage(
        jobs=tuple(jobs),
        next_cursor=encode_cursor(_KIND, found[limit - 1]) if more else "",
        total=total,
    )


def _page(job_filter: JobFilter) -> LiteralString:
    kind = "states_page" if job_filter.states else "page"
    head, tail = _SQL[f"{kind}_head"], _SQL[f"{kind}_tail"]
    parts: list[LiteralString] = [head, *_conditions(job_filter), tail]
    return "\n".join(parts)


def _count(job_filter: JobFilter) -> LiteralString:
    states: list[LiteralString] = [_SQL["has_state"]] if job_filter.states else []
    parts: list[LiteralString] = [_SQL["count_head"], *states, *_conditions(job_filter)]
    return "\n".join(parts)


def _conditions(job_filter: JobFilter) -> list[LiteralString]:
    asked = (
        (bool(job_filter.name), "has_name"),
        (bool(job_filter.search), "has_search"),
        (job_filter.created_after is not None, "created_after"),
        (job_filter.created_before is not None, "created_before"),
    )
    return [
        *(_SQL[name] for is_asked, name in asked if is_asked),
        *_numbered(_SQL["has_label"], len(job_filter.labels)),
        *_numbered(_SQL["has_tag"], len(job_filter.tags)),
    ]


def _numbered(condition: LiteralString, count: int) -> list[LiteralString]:
    return [condition.replace("{n}", cast("LiteralString", str(each))) for each in range(count)]


def _parameters(job_filter: JobFilter) -> dict[str, Any]:
    after, before = job_filter.created_after, job_filter.created_before
    parameters: dict[str, Any] = {
        "states": json.dumps(list(dict.fromkeys(job_filter.states))),
        "name": job_filter.name,
        "search": job_filter.search.casefold(),
        "created_after": None if after is None else to_micros(after),
        "created_before": None if before is None else to_micros(before),
    }
    for number, (key, value) in enumerate(job_filter.labels.items()):
        parameters |= {f"label_{number}": key, f"label_{number}_value": value}
    for number, tag in enumerate(job_filter.tags):
        parameters[f"tag_{number}"] = tag
    return parameters
