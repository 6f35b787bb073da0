"""Which worker may run which job, and in what words it may not."""

import pytest

from hodei.domain.jobs.spec import (
    Resources,
    Selector,
    SelectorOperator,
    SelectorRequirement,
    Toleration,
)
from hodei.domain.placement.admission import Admission
from hodei.domain.placement.demand import Demand, demand_of
from hodei.domain.placement.fit import Offer, fits_beside, misfits, preference
from hodei.domain.placement.taints import Taint, tolerates
from support.builders import spec

GB = 1024**3


def needs(**resources: object) -> Demand:
    return Demand(resources=Resources(**resources))  # pyright: ignore[reportArgumentType]


def has(**resources: object) -> Offer:
    return Offer(provider="p", resources=Resources(**resources))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("demand", "offer", "reason"),
    [
        (needs(cpu_millicores=2000), has(cpu_millicores=1000), "1000 CPU (millicores), not 2000"),
        (needs(memory_bytes=2 * GB), has(memory_bytes=GB), "memory (bytes), not 2147483648"),
        (needs(disk_bytes=2), has(disk_bytes=1), "1 disk (bytes), not 2"),
        (needs(gpu_count=1), has(), "0 GPUs, not 1"),
        (
            needs(gpu_count=1, gpu_types=("a100",)),
            has(gpu_count=1, gpu_types=("t4",)),
            "its GPUs are ['t4'], none of ['a100']",
        ),
        (needs(custom={"licence": 2}), has(custom={"licence": 1}), "1 of licence, not 2"),
        (needs(custom={"licence": 1}), has(), "0 of licence, not 1"),
        (Demand(preferred_provider="q"), has(), "provider p, not q"),
    ],
)
def test_what_is_missing_is_named_with_both_numbers(
    demand: Demand, offer: Offer, reason: str
) -> None:
    [said] = misfits(demand, offer)
    assert reason in said


def test_a_size_that_is_not_known_is_not_counted() -> None:
    assert misfits(needs(cpu_millicores=64_000, memory_bytes=GB, disk_bytes=GB), has()) == []


def test_every_reason_is_given() -> None:
    demand = Demand(resources=Resources(gpu_count=1, custom={"x": 1}), preferred_provider="q")
    assert len(misfits(demand, has())) == 3


LABELS = {"zone": "a", "arch": "arm"}


@pytest.mark.parametrize(
    ("operator", "key", "values", "fits"),
    [
        (SelectorOperator.IN, "zone", ("a", "b"), True),
        (SelectorOperator.IN, "zone", ("b",), False),
        (SelectorOperator.IN, "none", ("a",), False),
        (SelectorOperator.NOT_IN, "zone", ("b",), True),
        (SelectorOperator.NOT_IN, "zone", ("a",), False),
        (SelectorOperator.NOT_IN, "none", ("a",), True),
        (SelectorOperator.EXISTS, "arch", (), True),
        (SelectorOperator.EXISTS, "none", (), False),
        (SelectorOperator.DOES_NOT_EXIST, "none", (), True),
        (SelectorOperator.DOES_NOT_EXIST, "arch", (), False),
    ],
)
def test_selectors_mean_what_they_mean_in_kubernetes(
    operator: SelectorOperator, key: str, values: tuple[str, ...], fits: object
) -> None:
    condition = SelectorRequirement(key=key, operator=operator, values=values)
    demand = Demand(selector=Selector(match_expressions=(condition,)))
    reasons = misfits(demand, Offer(provider="p", labels=LABELS))
    assert (reasons == []) is fits
    assert all(key in reason for reason in reasons)


def test_every_label_that_is_asked_for_must_match() -> None:
    demand = Demand(selector=Selector(match_labels={"zone": "a", "arch": "x86"}))
    [reason] = misfits(demand, Offer(provider="p", labels=LABELS))
    assert reason == "its label arch is 'arm', not 'x86'"


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        (Toleration(key="gpu", operator="Equal", value="yes"), True),
        (Toleration(key="gpu", operator="Equal", value="no"), False),
        (Toleration(key="gpu", operator="Exists"), True),
        (Toleration(key="other", operator="Exists"), False),
        (Toleration(key="", operator="Exists"), True),
    ],
)
def test_a_taint_keeps_jobs_away_that_do_not_tolerate_it(
    toleration: Toleration, tolerated: object
) -> None:
    taint = Taint(key="gpu", value="yes", effect="NoSchedule")
    offer = Offer(provider="p", taints=(taint,))
    assert tolerates(toleration, taint) is tolerated
    assert (misfits(Demand(tolerations=(toleration,)), offer) == []) is tolerated


def test_a_soft_taint_and_another_region_only_make_a_worker_less_liked() -> None:
    soft = Offer(provider="p", taints=(Taint(key="old", value="", effect="PreferNoSchedule"),))
    near = Offer(provider="p", labels={"hodei.region": "near"})
    demand = Demand(preferred_region="near")
    assert misfits(demand, soft) == []
    liked = sorted((near, soft, Offer(provider="p")), key=lambda o: -preference(demand, o))
    assert liked == [near, Offer(provider="p"), soft]
    tolerant = Demand(tolerations=(Toleration(key="", operator="Exists"),))
    assert preference(tolerant, soft) == 0


def test_a_provider_that_requires_labels_takes_only_jobs_that_ask_for_all_of_them() -> None:
    labels = {"env": "prod", "tier": "1"}
    offer = Offer(provider="p", labels=labels, admission=Admission(required_labels={"env": "prod"}))
    [said] = misfits(Demand(), offer)
    assert said == "it takes only jobs that ask for its label env=prod (--selector env=prod)"
    assert misfits(Demand(selector=Selector(match_labels={"tier": "1"})), offer) == [said]
    other = misfits(Demand(selector=Selector(match_labels={"env": "test"})), offer)
    assert other == [said, "its label env is 'prod', not 'test'"]
    assert misfits(Demand(selector=Selector(match_labels=labels)), offer) == []


def test_a_provider_takes_jobs_for_its_own_region_and_those_that_it_allows() -> None:
    def offer(name: str, region: str, *allowed: str) -> Offer:
        admission = Admission(allowed_regions=allowed)
        return Offer(provider=name, labels={"hodei.region": region}, admission=admission)

    strict = offer("p", "eu-west", "eu-north")
    for region in ("", "eu-west", "eu-north"):
        assert misfits(Demand(preferred_region=region), strict) == []
    demand = Demand(preferred_region="us-east")
    [said] = misfits(demand, strict)
    assert said == "it takes no jobs for the region us-east, only for eu-west, eu-north"
    assert misfits(demand, offer("p", "eu-west")) == []

    own, serves, other = (
        offer("own", "us-east", "eu-west"),
        offer("serves", "eu-west", "us-east"),
        offer("other", "eu-west"),
    )
    liked = sorted((other, serves, own), key=lambda each: -preference(demand, each))
    assert [each.provider for each in liked] == ["own", "serves", "other"]
    assert preference(Demand(), serves) == preference(Demand(), other)


@pytest.mark.parametrize(
    ("need", "total", "fits"),
    [
        ({"cpu_millicores": 500}, {"cpu_millicores": 1000}, True),
        ({"cpu_millicores": 501}, {"cpu_millicores": 1000}, False),
        ({"cpu_millicores": 9000}, {}, True),
        ({}, {"cpu_millicores": 1}, True),
        ({"memory_bytes": 2}, {"memory_bytes": 1}, False),
        ({"disk_bytes": 2}, {"disk_bytes": 1}, False),
        ({"gpu_count": 1}, {}, False),
        ({"custom": {"licence": 1}}, {"custom": {"licence": 1}}, True),
        ({"custom": {"licence": 2}}, {"custom": {"licence": 1}}, False),
    ],
)
def test_room_beside_others_counts_what_they_have_taken(
    need: dict[str, int], total: dict[str, int], fits: object
) -> None:
    taken = [Resources(cpu_millicores=500)]
    room = fits_beside(needs(**need).resources, has(**total).resources, taken)
    assert room is fits


def test_a_demand_is_all_that_placement_looks_at() -> None:
    changed = spec(
        resources=Resources(gpu_count=1),
        selector=Selector(match_labels={"a": "b"}),
        tolerations=(Toleration(key="k", operator="Exists"),),
        preferred_provider="p",
        preferred_region="r",
    )
    assert demand_of(changed) == Demand(
        resources=changed.resources,
        selector=changed.selector,
        tolerations=changed.tolerations,
        preferred_provider="p",
        preferred_region="r",
    )
    assert demand_of(spec(name="x", environment={"A": "b"})) == demand_of(spec())
