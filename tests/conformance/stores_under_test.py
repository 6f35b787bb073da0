"""What the conformance suite of stores needs to know of each store, and material for its tests.

A new store gets an entry in `OPENERS`; the suite asks for nothing else.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hodei.adapters.memory import MemoryStore
from hodei.adapters.sqlite import SqliteStore
from hodei.domain.jobs import decide, evolve
from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.domain.jobs.spec import Exec, JobSpec
from hodei.domain.placement.demand import demand_of
from hodei.domain.providers.record import ProviderRecord, ProviderType
from hodei.domain.workers import decide as decide_worker
from hodei.domain.workers import evolve as evolve_worker
from hodei.domain.workers.events import (
    EnrolmentOffer,
    WorkerEvent,
    WorkerProvisioningRequested,
)
from hodei.domain.workers.worker import Worker
from hodei.kernel.ids import JobId, ProviderName, WorkerId
from hodei.ports.stores import Batch, Committed, JobWrite, Store, WorkerWrite
from hodei.wire import state_codec


async def _open_memory(_: Path) -> Store:
    return MemoryStore()


OPENERS: dict[str, Callable[[Path], Awaitable[Store]]] = {
    "memory": _open_memory,
    "sqlite": SqliteStore.open,
}

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
W1 = WorkerId("w-1")
W2 = WorkerId("w-2")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spec(**changes: object) -> JobSpec:
    return replace(JobSpec(command=Exec(argv=(b"true",))), **changes)


def demand_id_of(job_spec: JobSpec) -> str:
    return state_codec.demand_id(state_codec.encode_demand(demand_of(job_spec)))


def new_job(job_id: str, job_spec: JobSpec | None = None, *, now: datetime = NOON) -> JobWrite:
    events = decide.submit(JobId(job_id), job_spec or spec(), queued_by="tester", now=now)
    return JobWrite(events=tuple(events), after=evolve.evolve_all(None, events, now))


def after(job: Job, events: list[JobEvent], *, now: datetime = NOON) -> JobWrite:
    return JobWrite(events=tuple(events), after=evolve.evolve_all(job, events, now))


def assigned(job: Job, worker_id: WorkerId = W1, *, now: datetime = NOON) -> JobWrite:
    return after(job, decide.assign(job, worker_id=worker_id, draw=7), now=now)


def accepted(job: Job, *, now: datetime = NOON) -> JobWrite:
    attempt = job.attempts[-1]
    return after(job, decide.accept(job, attempt=attempt.number, token=attempt.token), now=now)


def finished(job: Job, code: ReasonCode | None = None, *, now: datetime = NOON) -> JobWrite:
    attempt = job.attempts[-1]
    outcome = decide.Outcome(
        attempt=attempt.number,
        token=attempt.token,
        reason=None if code is None else reason(code, "it went wrong"),
        exit_code=0 if code is None else 1,
        stdout_bytes=12,
    )
    return after(job, decide.finish(job, outcome, now=now, draw=0.5), now=now)


def cancelled(job: Job, *, now: datetime = NOON) -> JobWrite:
    return after(job, decide.cancel(job, by="tester", message=""), now=now)


def new_worker(worker_id: str, *, now: datetime = NOON) -> WorkerWrite:
    requested = WorkerProvisioningRequested(
        worker_id=WorkerId(worker_id),
        provider=ProviderName("local"),
        slots=2,
        labels={"zone": "a"},
        offer=EnrolmentOffer(otp_hmac=b"\x00\xff", expires_at=now + timedelta(minutes=5)),
    )
    return worker_after(None, [requested], now=now)


def worker_after(
    worker: Worker | None, events: list[WorkerEvent], *, now: datetime = NOON
) -> WorkerWrite:
    return WorkerWrite(events=tuple(events), after=evolve_worker.evolve_all(worker, events, now))


def new_record(name: str, **changes: object) -> ProviderRecord:
    record = ProviderRecord(
        name=ProviderName(name),
        type=ProviderType.DOCKER,
        priority=-3,
        cost_per_hour=0.25,
        options={"host": "tcp://a:2376", "labels": 'zone=ä,"b"'},
        tags=("fast",),
        metadata={"owner": "ops"},
        created_at=NOON,
        updated_at=NOON,
    )
    return replace(record, **changes)


def ended(worker: Worker, *, now: datetime = NOON) -> WorkerWrite:
    return worker_after(worker, decide_worker.end(worker, why=None, message="done"), now=now)


async def put_jobs(store: Store, *writes: JobWrite, now: datetime = NOON) -> tuple[Job, ...]:
    """Commits the writes together and returns the jobs after them."""
    committed = await store.commit(Batch(at=now, jobs=writes))
    assert isinstance(committed, Committed), committed
    return tuple(each.after for each in writes)


async def put_job(store: Store, write: JobWrite, *, now: datetime = NOON) -> Job:
    (job,) = await put_jobs(store, write, now=now)
    return job


async def put_worker(store: Store, write: WorkerWrite, *, now: datetime = NOON) -> Worker:
    committed = await store.commit(Batch(at=now, workers=(write,)))
    assert isinstance(committed, Committed), committed
    return write.after
