"""Whether a failed attempt is followed by another, and after how long."""

from typing import Final

from hodei.durable.failures import Failure
from hodei.ports.durable_rows import RetryRule


def retry(
    max_attempts: int = 0,
    *,
    initial_s: float = 1.0,
    factor: float = 2.0,
    max_s: float = 100.0,
    never_on: tuple[str, ...] = (),
) -> RetryRule:
    """A rule for trying again, with the usual values.

    Args:
        max_attempts: In all, the first included; 0 for as many as the time-outs allow.
        initial_s: Seconds after the first failure.
        factor: By how much each wait is longer than the one before, at least 1.
        max_s: The longest wait.
        never_on: Types of failures that are final at once.
    """
    return RetryRule(
        max_attempts=max_attempts,
        initial_s=initial_s,
        factor=factor,
        max_s=max_s,
        never_on=never_on,
    )


ONCE: Final = retry(1)
FOR_EVER: Final = retry()


def is_final(rule: RetryRule, failure: Failure) -> bool:
    """Whether the failure itself rules out another attempt."""
    return failure.is_final or failure.type in rule.never_on


def attempts_used(rule: RetryRule, attempt: int) -> bool:
    """Whether `attempt` (1 for the first) was the last that the rule allows."""
    return 0 < rule.max_attempts <= attempt


def backoff_s(rule: RetryRule, failure: Failure, attempt: int) -> float:
    """Seconds between the failure of `attempt` and the next one.

    No jitter: what retries here is one run at a time, and its waits are spread by their starts.
    """
    if failure.retry_after_s is not None:
        return failure.retry_after_s
    wait = rule.initial_s
    for _ in range(attempt - 1):
        wait *= rule.factor
        if wait >= rule.max_s:
            break
    return min(wait, rule.max_s)
