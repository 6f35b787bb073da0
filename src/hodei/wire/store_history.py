"""The rows of a job or a worker, made again from its events."""

from collections.abc import Sequence
from typing import cast

from hodei.domain.jobs import evolve as jobs
from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.job import Job
from hodei.domain.workers import evolve as workers
from hodei.domain.workers.events import WorkerEvent
from hodei.domain.workers.worker import Worker
from hodei.ports.stores import StoredEvent
from hodei.wire.store_group import GroupPlan
from hodei.wire.store_rows import JOB_STREAM, prepare_job, prepare_worker


def put_history(plan: GroupPlan, history: Sequence[StoredEvent]) -> None:
    """Takes in the rows that all the events of one stream, in their order, lead to."""
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
