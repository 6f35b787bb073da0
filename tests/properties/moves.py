"""Everything that can be asked of a job or a worker, as moves that a walk picks from.

A move takes the job or worker as it is and gives the events that `decide` answers with; None when
`decide` refuses. Numbers in `Chance` stand for whatever else is open: who, when, how it ended.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from hypothesis import strategies as st

from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobEvent, Usage
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.domain.jobs.spec import Exec, JobSpec, Priority, Resources, RetryPolicy, Script
from hodei.domain.placement.taints import Taint
from hodei.domain.workers import decide as decide_worker
from hodei.domain.workers.events import (
    CertificateRenewed,
    EnrolmentOffer,
    WorkerEvent,
    WorkerProvisioningRequested,
    WorkerReady,
    WorkerRegistered,
    WorkerStopped,
)
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import RefusedError
from hodei.kernel.ids import JobId, ProviderName, WorkerId

START: Final = datetime(2026, 3, 1, tzinfo=UTC)
REASONS: Final = (None, *ReasonCode)


@dataclass(frozen=True, slots=True)
class Chance:
    """What is drawn for one step."""

    number: int
    """Picks among alternatives."""
    fraction: float
    seconds: int
    """That pass before the step."""


chances = st.builds(
    Chance,
    number=st.integers(0, 2**31 - 1),
    fraction=st.floats(0, 1, exclude_max=True),
    seconds=st.integers(0, 40),
)

JobMove = Callable[[Job, datetime, Chance], list[JobEvent]]
WorkerMove = Callable[[Worker, datetime, Chance], list[WorkerEvent]]


def new_spec(chance: Chance) -> JobSpec:
    """A definition that leaves room for every way of ending."""
    number = chance.number
    return JobSpec(
        command=(
            Exec(argv=(b"run", b"\xff"))
            if number % 2
            else Script(interpreter="sh", content="exit 1\n")
        ),
        name=("", "build", "Straße")[number % 3],
        deadline_s=(None, 50.0)[number % 2],
        retry=RetryPolicy(
            max_attempts=1 + number % 3,
            initial_backoff_s=(0.0, 20.0)[number // 3 % 2],
            retry_on=frozenset({ReasonCode.IO_ERROR, ReasonCode.WORKER_LOST})
            if number % 5 == 0
            else frozenset(),
        ),
        priority=Priority(number % 4),
        labels={"team": str(number % 2), "kind": "x"} if number % 3 else {},
        tags=("a", "b")[: number % 3],
        resources=Resources(cpu_millicores=100 * (number % 3)),
    )


def new_job(job_id: str, now: datetime, chance: Chance) -> list[JobEvent]:
    return decide.submit(JobId(job_id), new_spec(chance), queued_by="somebody", now=now)


def _assign(job: Job, now: datetime, chance: Chance) -> list[JobEvent]:
    return decide.assign(job, worker_id=WorkerId(f"w-{chance.number % 3}"), draw=chance.number)


def _accept(job: Job, now: datetime, chance: Chance) -> list[JobEvent]:
    attempt = job.attempts[-1 - chance.number % 8 // 7]
    return decide.accept(job, attempt=attempt.number, token=attempt.token)


def _finish(job: Job, now: datetime, chance: Chance) -> list[JobEvent]:
    attempt = job.attempts[-1 - chance.number % 8 // 7]
    code = REASONS[chance.number % len(REASONS)]
    outcome = decide.Outcome(
        attempt=attempt.number,
        token=attempt.token,
        reason=None if code is None else reason(code, "because"),
        exit_code=0 if code is None else 7,
        stdout_bytes=chance.number,
        usage=Usage(user_cpu_s=chance.fraction, system_cpu_s=0.25, max_rss_bytes=1),
    )
    return decide.finish(job, outcome, now=now, draw=chance.fraction)


def _lose(job: Job, now: datetime, chance: Chance) -> list[JobEvent]:
    number = len(job.attempts)
    return decide.lose(job, attempt=number, message="gone", now=now, draw=chance.fraction)


def _cancel(job: Job, now: datetime, chance: Chance) -> list[JobEvent]:
    return decide.cancel(job, by="somebody", message=("", "no more")[chance.number % 2])


def _retry(job: Job, now: datetime, chance: Chance) -> list[JobEvent]:
    return decide.retry(job, by="somebody")


def _give_up(job: Job, now: datetime, chance: Chance) -> list[JobEvent]:
    return decide.give_up(job, message="no worker can be made")


def _fall_due(job: Job, now: datetime, chance: Chance) -> list[JobEvent]:
    return decide.fall_due(job, now=now)


_ONWARDS: Final[tuple[JobMove, ...]] = (_assign, _accept, _finish, _fall_due)

JOB_MOVES: Final[tuple[JobMove, ...]] = (
    # What moves a job on comes often and what ends it seldom, so that walks get far.
    *_ONWARDS * 3,
    _retry,
    _lose,
    *_ONWARDS * 2,
    _cancel,
    _give_up,
    *_ONWARDS,
)


def ask_job(move: JobMove, job: Job, now: datetime, chance: Chance) -> list[JobEvent] | None:
    """The events of a move; None when it is refused."""
    try:
        return move(job, now, chance)
    except (RefusedError, IndexError):
        # IndexError: a worker speaks of an attempt of a job that has had none.
        return None


def new_worker(worker_id: str, now: datetime, chance: Chance) -> list[WorkerEvent]:
    return [
        WorkerProvisioningRequested(
            worker_id=WorkerId(worker_id),
            provider=ProviderName("local"),
            slots=1 + chance.number % 4,
            labels={"zone": "a"},
            offer=EnrolmentOffer(otp_hmac=b"\x00\xff", expires_at=now + timedelta(seconds=60)),
            for_job=(None, JobId("j-1"))[chance.number % 2],
        )
    ]


def _provision(worker: Worker, now: datetime, chance: Chance) -> list[WorkerEvent]:
    return decide_worker.provisioned(worker, {"pid": str(chance.number % 2)})


def _enrol(worker: Worker, now: datetime, chance: Chance) -> list[WorkerEvent]:
    key_hash = (b"k1", b"k2")[chance.number % 2]
    known = decide_worker.admit(worker, otp_hmac=b"\x00\xff", key_hash=key_hash, now=now)
    if known is not None:
        return []
    later = now + timedelta(hours=4)
    return [
        WorkerRegistered(key_hash=key_hash, serial="01", chain_pem="pem", not_after=later),
    ]


def _renew(worker: Worker, now: datetime, chance: Chance) -> list[WorkerEvent]:
    if worker.registration is None or worker.has_ended:
        return []
    return [CertificateRenewed(serial=f"{chance.number:x}", not_after=now + timedelta(hours=4))]


def _connect(worker: Worker, now: datetime, chance: Chance) -> list[WorkerEvent]:
    ready = WorkerReady(
        session_epoch=worker.session_epoch + 1,
        slots=2,
        labels={"zone": "b"},
        resources=Resources(cpu_millicores=1000),
        taints=(Taint(key="t", value="v", effect="NoSchedule"),),
        agent_version="0.1.0",
        hostname="h",
        name="n",
    )
    return decide_worker.connect(worker, ready)


def _disconnect(worker: Worker, now: datetime, chance: Chance) -> list[WorkerEvent]:
    epoch = worker.session_epoch - chance.number % 2
    return decide_worker.disconnect(worker, session_epoch=epoch, message="reset")


def _drain(worker: Worker, now: datetime, chance: Chance) -> list[WorkerEvent]:
    return decide_worker.drain(worker, by="somebody")


def _stop(worker: Worker, now: datetime, chance: Chance) -> list[WorkerEvent]:
    return [] if worker.has_ended else [WorkerStopped(reason="exited", exit_code=1)]


def _end(worker: Worker, now: datetime, chance: Chance) -> list[WorkerEvent]:
    why = reason(ReasonCode.WORKER_LOST, "gone") if chance.number % 2 else None
    return decide_worker.end(worker, why=why, message="done")


WORKER_MOVES: Final[tuple[WorkerMove, ...]] = (
    _provision,
    _enrol,
    _connect,
    _connect,
    _disconnect,
    _renew,
    _drain,
    _stop,
    _end,
)


def ask_worker(
    move: WorkerMove, worker: Worker, now: datetime, chance: Chance
) -> list[WorkerEvent] | None:
    """The events of a move; None when it is refused."""
    try:
        return move(worker, now, chance)
    except RefusedError:
        return None
