"""Which workers of a pool are to leave, and when: idle ones, the oldest, all of a closed one."""

from hodei.application.fleet import Member
from hodei.application.pool import Pool, may_serve
from hodei.domain.workers.states import WorkerState
from hodei.kernel.clock import Clock


def leaving(pool: Pool, clock: Clock) -> list[tuple[float, Member, str]]:
    """Workers, each with the seconds until it is to be drained, and why."""
    if pool.terms.drains:
        # Those that are on their way too: they are told once they connect.
        serving = [member for member in pool.members() if may_serve(member)]
        why = f"the pool: its provider {pool.terms.closed.partition(';')[0]}"
        return [(0.0, member, why) for member in serving if member.is_connected]
    found = [*_idle(pool, clock.monotonic()), *_oldest(pool, clock)]
    return [(due_s, member, "the pool: idle or old") for due_s, member in found]


def _idle(pool: Pool, now: float) -> list[tuple[float, Member]]:
    """Idle workers beyond the warm ones, and in how many seconds each has been so for long."""
    idle = sorted(
        (m for m in pool.members() if m.is_connected and may_serve(m) and not m.jobs),
        key=lambda member: member.idle_since,
    )
    beyond_warm: list[Member] = []
    for kind in {member.worker.kind for member in idle}:
        of_kind = [member for member in idle if member.worker.kind == kind]
        beyond_warm += of_kind[: max(0, len(of_kind) - pool.warm.get(kind, 0))]
    return [(m.idle_since + pool.rules.idle_timeout_s - now, m) for m in beyond_warm]


def _oldest(pool: Pool, clock: Clock) -> list[tuple[float, Member]]:
    """The oldest worker, busy or not, and in how many seconds its age is up.

    One at a time: workers that were made together would all leave together.
    """
    members = pool.members()
    serving = [member for member in members if member.is_connected and may_serve(member)]
    if not serving or any(m.worker.state is WorkerState.DRAINING for m in members):
        return []
    oldest = min(serving, key=lambda member: member.worker.created_at)
    age_s = (clock.now() - oldest.worker.created_at).total_seconds()
    return [(pool.rules.max_age_s - age_s, oldest)]
