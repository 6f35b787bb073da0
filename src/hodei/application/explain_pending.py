"""Says why a job has not started."""

from collections.abc import Sequence

from hodei.application.fleet import Fleet, Member
from hodei.application.keep_pool import PoolKeeper
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.demand import Demand, demand_of
from hodei.domain.placement.fit import Offer, is_asked_for, misfits


class ExplainPending:
    """The `pending_reason` of a job."""

    def __init__(self, *, fleet: Fleet, pool: PoolKeeper) -> None:
        self._fleet = fleet
        self._pool = pool

    def explain(self, job: Job) -> str:
        """One sentence for a job that waits; empty for any other."""
        if job.state is JobState.PENDING and job.not_before is not None:
            until = job.not_before.isoformat(timespec="milliseconds")
            return f"waits until {until.replace('+00:00', 'Z')} before its next attempt"
        if job.state is not JobState.QUEUED:
            return ""
        demand = demand_of(job.spec)
        fitting = [m for m in self._fleet.members() if not misfits(demand, m.offer)]
        makeable = [(o, room) for o, room in self._pool.offers() if not misfits(demand, o)]
        if not fitting and not makeable:
            return self._why_nowhere(demand)
        if any(member.open_slots for member in fitting):
            return "waits for room beside what runs, or is about to be assigned"
        if any(member.is_coming for member in fitting):
            return "a worker for it is on its way"
        return self._why_not_yet(demand, fitting, makeable)

    def _why_nowhere(self, demand: Demand) -> str:
        considered = [(f"worker {each.worker.id}", each.offer) for each in self._fleet.members()]
        considered += [(f"provider {offer.provider}", offer) for offer, _ in self._pool.offers()]
        # That the others are not the one that the job names is no news to who named it.
        asked = [each for each in considered if is_asked_for(demand, each[1])]
        whys = [f"{name}: {misfits(demand, offer)[0]}" for name, offer in asked or considered]
        return f"no worker can run it, and no provider can make one that could: {_some(whys)}"

    def _why_not_yet(
        self, demand: Demand, fitting: Sequence[Member], makeable: Sequence[tuple[Offer, int]]
    ) -> str:
        troubles = self._pool.troubles(demand)
        closed = self._pool.closed()
        told = [
            f"provider {offer.provider} {why}"
            for offer, _ in makeable
            for name, why in closed.items()
            if name == offer.provider
        ]
        told += [
            f"provider {offer.provider} failed last: {why}"
            for offer, _ in makeable
            for name, why in troubles.items()
            if name == offer.provider and name not in closed
        ]
        if told:
            return _some(told)
        if any(room for _, room in makeable):
            return "a worker for it is about to be provisioned"
        slots = sum(member.worker.slots for member in fitting)
        return (
            f"all {slots} slots of the {len(fitting)} workers that could run it are taken, "
            "and no more workers may be made"
        )


def _some(whys: Sequence[str]) -> str:
    """The first few, so that a sentence stays one."""
    shown = "; ".join(whys[:3]) or "there is none"
    return shown if len(whys) <= 3 else f"{shown}; and {len(whys) - 3} more"
