"""Moves an installation from SQLite to PostgreSQL, and proves that nothing is missing there."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hodei.adapters.logstore import SegmentLogStore
from hodei.adapters.postgres import PostgresStore
from hodei.adapters.postgres.connection import place
from hodei.adapters.postgres.fill import fill
from hodei.adapters.sqlite import SqliteStore
from hodei.adapters.sqlite.connection import FILE_NAME
from hodei.domain.jobs.job import Job
from hodei.domain.providers.record import ProviderRecord
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import NotFoundError
from hodei.kernel.ids import BEFORE_THE_FIRST
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports.stores import JobFilter, SchemaError, Store, StoredEvent
from hodei.server.copy_proof import digest, require_same
from hodei.server.data_dir import DataDir
from hodei.server.database import SchemaRefusedError
from hodei.server.logs_copy import all_outputs, compare_outputs
from hodei.server.runs_copy import all_runs, compare_runs
from hodei.wire import event_codec

_PAGE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What is now in both places, compared one by one."""

    place: str
    events: int
    streams: int
    jobs: int
    workers: int
    digest: str
    """Of all events of all streams."""
    outputs: int = 0
    """Jobs that have output."""
    output_bytes: int = 0
    runs: int = 0
    """Of workflows."""


async def copy_database(source: Path, url: str, *, report: Callable[[str], None]) -> Copied:
    """Copies the database and the logs in the data directory `source` to an empty database.

    The events keep their positions, so that clients go on from where they were. Afterwards both
    sides are read again and compared; then `source` notes where its jobs are now, and no server
    starts on its old database any more. Interrupted before, it has changed nothing and may be run
    again.

    Args:
        source: A data directory; no server may run on it.
        url: Of the PostgreSQL database.
        report: Is told, in so many words, what is done.

    Raises:
        NotFoundError: There is no database in `source`.
        DataDirInUseError: A server runs on it.
        AlreadyExistsError: The other database has jobs, output or runs of workflows.
        SchemaRefusedError: One of the two is not of this version.
        StoreUnavailableError: One of the two cannot be read or written.
        LogStoreUnavailableError: Output cannot be read or written.
        BrokenError: The copy is not the same.
    """
    if not (source / FILE_NAME).exists():
        raise NotFoundError("database", str(source / FILE_NAME), "name a server's data directory")
    data_dir = DataDir(source)
    try:
        async with AsyncExitStack() as stack:
            old = await SqliteStore.open(data_dir.path)
            stack.push_async_callback(old.close)
            old_logs = await SegmentLogStore.open(data_dir.logs, SystemClock())
            stack.push_async_callback(old_logs.close)
            old_runs = old.durable(SystemClock())
            report("copying the events, the jobs' output and the runs of workflows")
            await fill(
                url,
                _pages(old),
                all_outputs(old_logs),
                await old.provider_records(),
                all_runs(old_runs, url),
            )
            report("comparing both sides")
            copied = await _compare(old, url)
            report("comparing the output")
            output = await compare_outputs(old_logs, url)
            report("comparing the runs of workflows")
            runs = await compare_runs(old_runs, url)
        data_dir.mark_moved(place(url))
    except SchemaError as error:
        raise SchemaRefusedError(str(error)) from error
    finally:
        data_dir.release()
    return replace(copied, outputs=output.jobs, output_bytes=output.size, runs=runs)


async def _compare(old: Store, url: str) -> Copied:
    new = await PostgresStore.open(url, server="hodei db copy")
    try:
        told, copied = await _digests(old), await _digests(new)
        require_same("events", told, copied)
        jobs = await _same_jobs(old, new)
        workers = await _same_workers(old, new)
        require_same("providers", await _providers(old), await _providers(new))
    finally:
        await new.close()
    return Copied(
        place=place(url),
        events=sum(each.events for each in told.values()),
        streams=len(told),
        jobs=jobs,
        workers=workers,
        digest=digest(*(told[name].digest for name in sorted(told))).hex(),
    )


@dataclass(frozen=True, slots=True)
class _Stream:
    """What all events of a stream come to."""

    events: int = 0
    digest: bytes = b""

    def followed_by(self, stored: StoredEvent) -> "_Stream":
        """With one more event."""
        name, version, data = event_codec.encode(stored.event)
        facts = (stored.position, stored.version, name, version, stored.at.isoformat())
        about = (stored.correlation_id, stored.causation_id)
        return _Stream(self.events + 1, digest(self.digest, repr((facts, about)).encode(), data))


async def _digests(store: Store) -> dict[str, _Stream]:
    streams: dict[str, _Stream] = {}
    async for page in _pages(store):
        for stored in page:
            streams[stored.stream] = streams.get(stored.stream, _Stream()).followed_by(stored)
    return streams


async def _pages(store: Store) -> AsyncGenerator[Sequence[StoredEvent]]:
    after = BEFORE_THE_FIRST
    while page := await store.read_events(after=after, limit=_PAGE):
        yield page
        after = page[-1].position


async def _same_jobs(old: Store, new: Store) -> int:
    """Compares each job as it is now, in their order; returns how many there are."""
    cursor, copied_cursor = "", ""
    while True:
        page = await old.list_jobs(JobFilter(), limit=_PAGE, cursor=cursor)
        copied = await new.list_jobs(JobFilter(), limit=_PAGE, cursor=copied_cursor)
        require_same("jobs", _by_id(page.jobs), _by_id(copied.jobs))
        cursor, copied_cursor = page.next_cursor, copied.next_cursor
        if not cursor or not copied_cursor:
            require_same("lists of jobs", {"total": page.total}, {"total": copied.total})
            return page.total


async def _same_workers(old: Store, new: Store) -> int:
    """Compares each worker; returns how many there are."""
    count, cursor, copied_cursor = 0, "", ""
    while True:
        page, cursor = await old.list_workers(include_ended=True, limit=_PAGE, cursor=cursor)
        copied, copied_cursor = await new.list_workers(
            include_ended=True, limit=_PAGE, cursor=copied_cursor
        )
        require_same("workers", _by_id(page), _by_id(copied))
        count += len(page)
        if not cursor:
            return count


async def _providers(store: Store) -> Mapping[str, ProviderRecord]:
    return {each.name: each for each in await store.provider_records()}


def _by_id(things: Sequence[Job] | Sequence[Worker]) -> Mapping[str, Job | Worker]:
    return {each.id: each for each in things}
