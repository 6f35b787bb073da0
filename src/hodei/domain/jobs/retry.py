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
    return not why_not_retried(policy, used_attempts=used_attempts, code=code)


def why_not_retried(policy: RetryPolicy, *, used_attempts: int, code: ReasonCode) -> str:
    """Why no attempt may follow one that failed with `code`; empty where one may.

    The arguments are those of `may_retry`.
    """
    if code in NEVER_RETRIED:
        return f"{code} is never retried"
    if used_attempts >= policy.max_attempts:
        return f"its retry policy allows {policy.max_attempts} in all"
    if policy.retry_on and code not in policy.retry_on:
        return f"its retry policy retries only {', '.join(sorted(policy.retry_on))}"
    return ""


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
