"""A provider that keeps failing is left alone for a while, and then tried carefully."""

from functools import reduce

from hodei.domain.placement.breaker import CLOSES_AFTER, OPEN_FOR_S, OPENS_AFTER, Breaker


def failures(count: int, breaker: Breaker = Breaker(), now: float = 0.0) -> Breaker:
    return reduce(lambda before, _: before.failed(now), range(count), breaker)


def test_it_opens_after_some_failures_in_a_row() -> None:
    assert failures(OPENS_AFTER - 1).lets_through(0)
    opened = failures(OPENS_AFTER)
    assert not opened.lets_through(0)
    assert opened.is_on_trial


def test_a_success_between_begins_the_count_anew() -> None:
    assert failures(OPENS_AFTER - 1, failures(OPENS_AFTER - 1).succeeded()).lets_through(0)


def test_after_its_time_it_is_on_trial_and_a_failure_opens_it_again() -> None:
    opened = failures(OPENS_AFTER)
    assert not opened.lets_through(OPEN_FOR_S - 1)
    assert opened.lets_through(OPEN_FOR_S)
    again = opened.failed(OPEN_FOR_S)
    assert not again.lets_through(2 * OPEN_FOR_S - 1)
    assert again.lets_through(2 * OPEN_FOR_S)


def test_it_closes_after_some_successes_on_trial() -> None:
    breaker = failures(OPENS_AFTER)
    for _ in range(CLOSES_AFTER - 1):
        breaker = breaker.succeeded()
        assert breaker.is_on_trial
    assert breaker.succeeded() == Breaker()


def test_a_failure_on_trial_forgets_the_successes_before_it() -> None:
    breaker = failures(OPENS_AFTER).succeeded().succeeded().failed(0)
    assert breaker.succeeded().is_on_trial
