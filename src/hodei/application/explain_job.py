"""Says where a job stands: what was considered for it, and why it has not run or runs no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hodei.application.explain_pending import ExplainPending
from hodei.application.fleet import Fleet, Member
from hodei.application.keep_pool import PoolKeeper
from hodei.application.pool_condition import PoolCondition
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.retry import why_not_retried
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.breaker import BreakerState
from hodei.domain.placement.demand import Demand, demand_of
from hodei.domain.placement.fit import fits_beside, misfits
from hodei.domain.workers.states import WorkerState
from hodei.kernel.clock import Clock
from hodei.kernel.ids import ProviderName


class CandidateKind(StrEnum):
    """What was considered."""

    PROVIDER = "PROVIDER"
    """Which would have to make a worker first."""
    WORKER = "WORKER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A provider or a worker that was considered for a job."""

    kind: CandidateKind
    name: str
    provider: str
    misfits: Sequence[str]
    """Every reason why it can never run the job; empty where it fits."""
    now: str
    """How one that fits is just now; empty for any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a job stands."""

    summary: str
    candidates: Sequence[Candidate]
    """Of a job that waits."""


class ExplainJob:
    """The use case behind `ExplainJob`."""

    def __init__(
        self, *, fleet: Fleet, pool: PoolKeeper, pending: ExplainPending, clock: Clock
    ) -> None:
        self._fleet = fleet
        self._pool = pool
        self._pending = pending
        self._clock = clock

    def explain(self, job: Job) -> Explanation:
        """Where the job stands now. What was considered for one that runs is not kept."""
        if job.is_terminal:
            return Explanation(summary=_why_ended(job), candidates=())
        if (current := job.current) is not None:
            does = "runs on" if job.state is JobState.RUNNING else "was given to"
            summary = f"attempt {current.number} {does} worker {current.worker_id}"
            return Explanation(summary=summary, candidates=())
        return Explanation(
            summary=self._pending.explain(job), candidates=self._candidates(demand_of(job.spec))
        )

    def _candidates(self, demand: Demand) -> list[Candidate]:
        conditions = {each.provider.name: each for each in self._pool.conditions()}
        troubles = self._pool.troubles(demand)
        offers = {
            ProviderName(offer.provider): (offer, room) for offer, room in self._pool.offers()
        }
        providers: list[Candidate] = []
        first = ""
        for name in self._pool.in_order(demand):
            offer, room = offers[name]
            whys = misfits(demand, offer)
            now = self._provider_now(conditions[name], troubles.get(name, ""), room)
            if room and not whys:
                now += f"; it is asked after {first} ({self._pool.strategy})" if first else ""
                first = first or name
            providers.append(
                Candidate(
                    kind=CandidateKind.PROVIDER,
                    name=name,
                    provider=name,
                    misfits=whys,
                    now="" if whys else now,
                )
            )
        workers = [
            Candidate(
                kind=CandidateKind.WORKER,
                name=member.worker.id,
                provider=member.worker.provider,
                misfits=(whys := misfits(demand, member.offer)),
                now="" if whys else _worker_now(demand, member),
            )
            for member in self._fleet.members()
        ]
        return [*providers, *workers]

    def _provider_now(self, condition: PoolCondition, trouble: str, room: int) -> str:
        failed = f"; it failed last: {trouble}" if trouble else ""
        if not condition.is_kept_here:
            return "another server makes its workers"
        if condition.terms.closed:
            return f"it {condition.terms.closed}"
        now = self._clock.monotonic()
        until = condition.breaker.open_until
        if until is not None and condition.breaker.state(now) is BreakerState.OPEN:
            return f"its circuit breaker is open{failed}"
        if room:
            return f"it may make {room} more workers{failed}"
        most = condition.provider.capabilities().max_workers
        return f"it makes no more just now: {len(condition.members)} of {most} workers{failed}"


def _worker_now(demand: Demand, member: Member) -> str:
    if member.is_ending or member.worker.state is WorkerState.DRAINING:
        return "it takes no more jobs, and is about to end"
    if member.is_coming:
        is_new = member.worker.state is not WorkerState.READY
        return "it is on its way" if is_new else "its stream is down"
    if not member.open_slots:
        return f"all {member.worker.slots} slots of it are taken"
    if not fits_beside(demand.resources, member.worker.resources, member.taken()):
        return "it has no room beside what runs there"
    return "it has room"


def _why_ended(job: Job) -> str:
    why = job.reason
    if not job.attempts:
        # Only an attempt succeeds, and every other end has a reason.
        assert why is not None
        return f"it never ran: {why.message}"
    last = job.attempts[-1]
    where = f"attempt {last.number} on worker {last.worker_id}"
    if why is None:
        return f"{where} succeeded: no other was needed"
    ended = f"{where} ended as {last.state}" + (f" ({last.reason.code})" if last.reason else "")
    no_other = why_not_retried(job.spec.retry, used_attempts=job.used_attempts, code=why.code)
    if last.reason is None or last.reason.code is not why.code:
        # The job itself was ended: by somebody, by its deadline, or while it waited for another.
        no_other = f"{why.message}" + (f" ({no_other})" if no_other else "")
    return f"{ended}; no other followed: {no_other or why.message}"
