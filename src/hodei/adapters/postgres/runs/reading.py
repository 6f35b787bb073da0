"""What is asked about runs."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString

from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.parameters import Parameters
from hodei.adapters.postgres.reader import Readers, decoded
from hodei.ports.durable import RunFilter, RunPage
from hodei.ports.durable_rows import RunRow, TaskRow
from hodei.wire.cursors import decode_cursor, encode_cursor
from hodei.wire.run_rows import decode_run, decode_tasks

_SQL: Final = load("runs.sql")
_KIND: Final = "runs"


async def one_run(readers: Readers, query: str, *arguments: str) -> RunRow | None:
    """The run that a query finds, if it does."""
    rows = await readers.fetch(_SQL[query], *arguments)
    return decode_run(rows[0]["data"]) if rows else None


async def rows(readers: Readers, query: str, *arguments: object) -> list[Any]:
    """The rows of a query."""
    return await readers.fetch(_SQL[query], *arguments)


async def tasks(readers: Readers, query: str, *arguments: object) -> list[TaskRow]:
    """The tasks that a query finds, in its order."""
    return await decoded(decode_tasks, await readers.fetch(_SQL[query], *arguments))


async def list_runs(readers: Readers, run_filter: RunFilter, *, limit: int, cursor: str) -> RunPage:
    """See `RunReads.list_runs`."""
    parameters = Parameters()
    # One more than is shown says whether there is a page after it.
    statement = list_statement(run_filter, parameters, decode_cursor(_KIND, cursor), limit + 1)
    found = await readers.fetch(statement, *parameters.values)
    return RunPage(
        runs=tuple(decode_run(each["data"]) for each in found[:limit]),
        next_cursor=encode_cursor(_KIND, found[limit - 1]["number"]) if len(found) > limit else "",
    )


def list_statement(
    run_filter: RunFilter, parameters: Parameters, before: int, limit: int
) -> LiteralString:
    """The query of a page, put together from named parts."""
    if run_filter.statuses:
        statuses: Sequence[str] = list(set(run_filter.statuses))
        kind = "runs_of_statuses"
        head = parameters.put(_SQL[f"{kind}_head"], statuses=statuses, before=before)
    else:
        kind = "runs"
        head = parameters.put(_SQL[f"{kind}_head"], before=before)
    parts: list[LiteralString] = [
        head,
        *_conditions(run_filter, parameters),
        parameters.put(_SQL[f"{kind}_tail"], limit=limit),
    ]
    return "\n".join(parts)


def _conditions(run_filter: RunFilter, parameters: Parameters) -> Iterator[LiteralString]:
    if run_filter.namespace:
        yield parameters.put(_SQL["has_namespace"], namespace=run_filter.namespace)
    if run_filter.workflow_id:
        yield parameters.put(_SQL["has_workflow_id"], workflow_id=run_filter.workflow_id)
    if run_filter.type:
        yield parameters.put(_SQL["has_type"], type=run_filter.type)
    if run_filter.only_parked:
        yield _SQL["is_parked"]
