"""Makes the current-state tables again from the events."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, cast

from hodei.domain.jobs import evolve as jobs
from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.job import Job
from hodei.domain.workers import evolve as workers
from hodei.domain.workers.events import WorkerEvent
from hodei.domain.workers.worker import Worker
from hodei.ports.stores import StoredEvent

from .connection import connect, transaction, translated_errors
from .event_reads import stored_events
from .group import GroupPlan
from .named_sql import load
from .rows import JOB_STREAM, prepare_job, prepare_worker
from .writer import write_plan

_SQL: Final = load("rebuild.sql")

_STREAMS_AT_ONCE: Final = 1000
"""So many jobs and workers are held in memory."""


def rebuild(data_dir: Path) -> None:
    """Empties the tables of jobs and workers and fills them from the events, in one transaction.

    For migrations, and for whoever doubts the tables. No server may run on the database.

    Raises:
        BrokenError: The events are not a history of ours.
        StoreUnavailableError: It cannot be read or written; nothing was changed.
    """
    with translated_errors():
        connection = connect(data_dir)
        try:
            with transaction(connection):
                _rebuild(connection)
        finally:
            connection.close()


def _rebuild(connection: sqlite3.Connection) -> None:
    for table in ("attempts", "job_labels", "job_tags", "jobs", "demands", "workers"):
        connection.execute(_SQL[f"empty_{table}"])
    streams = _streams(connection.execute(_SQL["all_events"]))
    while chunk := list(islice(streams, _STREAMS_AT_ONCE)):
        plan = GroupPlan(last_position=0, jobs={}, workers={})
        for history in chunk:
            _put(plan, history)
        write_plan(connection, plan)


def _streams(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[StoredEvent]]:
    for _, history in groupby(rows, key=itemgetter(1)):
        yield stored_events(history)


def _put(plan: GroupPlan, history: list[StoredEvent]) -> None:
    first = history[0]
    if first.stream.startswith(JOB_STREAM):
        job: Job | None = None
        events = [cast("JobEvent", each.event) for each in history]
        for event, stored in zip(events, history, strict=True):
            job = jobs.evolve(job, event, stored.at)
        plan.put_job(first.position, prepare_job(cast("Job", job), events), before=None)
    else:
        worker: Worker | None = None
        for stored in history:
            worker = workers.evolve(worker, cast("WorkerEvent", stored.event), stored.at)
        plan.put_worker(first.position, prepare_worker(cast("Worker", worker), ()))
