"""Whether a failed attempt is followed by another, and after how long."""

from hodei.domain.jobs.reasons import NEVER_RETRIED, ReasonCode
from hodei.domain.jobs.spec import RetryPolicy


def may_retry(policy: RetryPolicy, *, used_attempts: int, code: ReasonCode) -> bool:
    """Whether an attempt that failed with `code` may be followed by another.

    Args:
        policy: The job's.
        used_attempts: Attempts that count, the failed one included.
        code: Why it failed.
    """
    if code in NEVER_RETRIED or used_attempts >= policy.max_attempts:
        return False
    return not policy.retry_on or code in policy.retry_on


def backoff_s(policy: RetryPolicy, *, used_attempts: int, draw: float) -> float:
    """Seconds to wait after the failure of attempt `used_attempts` (1 for the first).

    Args:
        policy: The job's.
        used_attempts: Attempts that count so far, at least 1.
        draw: In [0, 1): where in the jittered share the wait lies. The wait is only ever
            shortened by it, so that `max_backoff_s` holds.
    """
    wait = policy.initial_backoff_s
    for _ in range(used_attempts - 1):
        wait *= policy.backoff_factor
        if wait >= policy.max_backoff_s:
            break
    wait = min(wait, policy.max_backoff_s)
    return wait * (1 - policy.jitter * draw)
