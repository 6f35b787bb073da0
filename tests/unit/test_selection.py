"""Which of several providers is asked for a worker."""

from collections import Counter

import pytest

from hodei.domain.placement.demand import Demand
from hodei.domain.placement.fit import Offer
from hodei.domain.placement.scaling import Source, Waiting, in_order, workers_wanted
from hodei.domain.placement.selection import Strategy, named


def source(
    name: str, *, may_make: int = 9, slots: int = 1, kind: str = "", **known: object
) -> Source:
    offer = Offer(provider=name, provider_type=kind, labels={"hodei.region": f"at-{name}"})
    return Source(offer=offer, slots_per_worker=slots, may_make=may_make, **known)


def asked(
    strategy: Strategy, *sources: Source, jobs: int = 1, demand: Demand | None = None
) -> dict[str, int]:
    waiting = [Waiting(demand=demand or Demand(), count=jobs, first_job=None)]
    counts: Counter[str] = Counter()
    for want in workers_wanted(waiting, [], sources, strategy=strategy):
        counts[want.provider] += want.count
    return dict(counts)


def test_the_highest_priority_is_asked_first_and_the_next_for_what_it_may_not_make() -> None:
    low, high = source("low", priority=-1), source("high", priority=5, may_make=2)

    assert asked(Strategy.FIRST_AVAILABLE, low, source("mid"), high, jobs=4) == {
        "high": 2,
        "mid": 2,
    }


def test_among_equals_the_one_that_stands_first_is_asked() -> None:
    assert asked(Strategy.FIRST_AVAILABLE, source("a"), source("b"), jobs=3) == {"a": 3}


def test_the_cheapest_is_asked_and_an_unknown_cost_is_no_cheap_one() -> None:
    unknown, dear = source("unknown", priority=9), source("dear", cost_per_hour=2.0)
    cheap = source("cheap", cost_per_hour=0.5, may_make=1)

    assert asked(Strategy.LOWEST_COST, unknown, dear, cheap, jobs=2) == {"cheap": 1, "dear": 1}


def test_the_quickest_of_late_is_asked_after_one_that_was_never_tried() -> None:
    slow, quick = source("slow", startup_s=3.0), source("quick", startup_s=0.2)

    assert asked(Strategy.FASTEST_STARTUP, slow, quick) == {"quick": 1}
    assert asked(Strategy.FASTEST_STARTUP, slow, quick, source("new")) == {"new": 1}


def test_the_most_capacity_is_what_is_left_after_each_worker() -> None:
    assert asked(
        Strategy.MOST_CAPACITY, source("a", may_make=5), source("b", may_make=3), jobs=4
    ) == {"a": 3, "b": 1}


def test_taking_turns_goes_on_from_who_was_asked_longest_ago() -> None:
    sources = [source("a", turn=7), source("b", turn=8), source("c", turn=3)]

    assert asked(Strategy.ROUND_ROBIN, *sources) == {"c": 1}
    assert asked(Strategy.ROUND_ROBIN, *sources, jobs=7) == {"c": 3, "a": 2, "b": 2}


def test_a_worker_with_many_slots_is_one_turn() -> None:
    sources = [source("a", slots=4), source("b", slots=4)]

    assert asked(Strategy.ROUND_ROBIN, *sources, jobs=8) == {"a": 1, "b": 1}


def test_the_healthiest_has_the_fewest_failures_in_a_row() -> None:
    assert asked(Strategy.HEALTHIEST, source("a", failures=2), source("b", failures=1)) == {"b": 1}


@pytest.mark.parametrize("strategy", Strategy)
def test_one_that_may_make_none_is_passed_over_whatever_the_strategy(strategy: Strategy) -> None:
    best = source("best", may_make=0, priority=9, cost_per_hour=0.0, startup_s=0.0)

    assert asked(strategy, best, source("other", turn=5, failures=1), jobs=2) == {"other": 2}


@pytest.mark.parametrize("strategy", Strategy)
def test_what_the_job_says_goes_before_any_strategy(strategy: Strategy) -> None:
    best = source("best", kind="DOCKER", priority=9, cost_per_hour=0.0, startup_s=0.0)
    other = source("docker", kind="DOCKER", turn=5, failures=1, may_make=3, startup_s=1.0)

    by_region = Demand(preferred_region="at-docker")
    assert asked(strategy, best, other, jobs=2, demand=by_region) == {"docker": 2}
    by_name = Demand(preferred_provider="docker")
    assert asked(strategy, best, other, jobs=5, demand=by_name) == {"docker": 3, "best": 2}
    assert [each.offer.provider for each in in_order(by_name, [best, other], strategy)] == [
        "docker",
        "best",
    ]


def test_a_type_is_any_provider_of_it() -> None:
    sources = [source("box", kind="DOCKER"), source("local", kind="LOCAL", priority=9)]

    by_type = Demand(preferred_provider="docker")
    assert asked(Strategy.FIRST_AVAILABLE, *sources, demand=by_type) == {"box": 1}
    by_name = Demand(preferred_provider="local")
    assert asked(Strategy.FIRST_AVAILABLE, *sources, demand=by_name) == {"local": 1}


@pytest.mark.parametrize("text", ["RoundRobin", "round-robin", "ROUND_ROBIN", "round robin"])
def test_a_strategy_is_known_however_it_is_written(text: str) -> None:
    assert named(Strategy, text) is Strategy.ROUND_ROBIN


def test_another_word_is_no_strategy() -> None:
    assert named(Strategy, "cheapest") is None
