"""How many workers are wanted for what waits."""

from hodei.domain.jobs.spec import Resources, Selector
from hodei.domain.placement.demand import Demand
from hodei.domain.placement.fit import Offer
from hodei.domain.placement.scaling import Coming, Source, Waiting, Want, workers_wanted
from hodei.kernel.ids import JobId

ANY = Demand()
GPU = Demand(resources=Resources(gpu_count=1))
PLAIN = Offer(provider="plain")
WITH_GPU = Offer(provider="gpu", resources=Resources(gpu_count=1))


def waiting(count: int, demand: Demand = ANY, first: str = "a") -> Waiting:
    return Waiting(demand=demand, count=count, first_job=JobId(first))


def source(offer: Offer = PLAIN, *, slots: int = 4, room: int = 10) -> Source:
    return Source(offer=offer, slots_per_worker=slots, may_make=room)


def test_slots_are_rounded_up_to_whole_workers_and_the_first_is_for_the_first_job() -> None:
    assert workers_wanted([waiting(9)], [], [source()]) == [
        Want(provider="plain", count=1, for_job=JobId("a")),
        Want(provider="plain", count=2, for_job=None),
    ]


def test_what_is_coming_is_counted_once_and_the_first_job_is_its() -> None:
    coming = [Coming(offer=PLAIN, slots=4)]
    assert workers_wanted([waiting(4)], coming, [source()]) == []
    assert workers_wanted([waiting(3), waiting(3)], coming, [source()]) == [
        Want(provider="plain", count=1, for_job=None)
    ]


def test_what_is_coming_and_does_not_fit_is_not_counted() -> None:
    coming = [Coming(offer=PLAIN, slots=4)]
    assert workers_wanted([waiting(1, GPU)], coming, [source(WITH_GPU)]) == [
        Want(provider="gpu", count=1, for_job=JobId("a"))
    ]


def test_a_provider_is_not_asked_for_more_than_it_may_make_and_the_next_one_takes_the_rest() -> (
    None
):
    first, second = source(room=1), source(Offer(provider="second"), slots=1)
    assert workers_wanted([waiting(6)], [], [first, second]) == [
        Want(provider="plain", count=1, for_job=JobId("a")),
        Want(provider="second", count=2, for_job=None),
    ]


def test_groups_share_what_a_provider_may_make_in_the_order_of_the_queue() -> None:
    groups = [waiting(8, first="a"), waiting(8, GPU, first="b")]
    both = source(WITH_GPU, room=3)
    assert sum(want.count for want in workers_wanted(groups, [], [both])) == 3


def test_what_nobody_can_make_is_not_wanted() -> None:
    nowhere = Demand(selector=Selector(match_labels={"zone": "moon"}))
    assert workers_wanted([waiting(5, nowhere)], [], [source(), source(WITH_GPU)]) == []


def test_nothing_waits_and_nothing_is_wanted() -> None:
    assert workers_wanted([], [Coming(offer=PLAIN, slots=1)], [source()]) == []
