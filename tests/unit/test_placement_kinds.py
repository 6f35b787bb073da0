"""Jobs go to workers that were made for their kind, and to no others."""

import pytest

from hodei.domain.jobs.container import ContainerOptions
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.demand import Demand
from hodei.domain.placement.fit import Containers, Offer, misfits
from hodei.domain.placement.kinds import WorkerKind, kind_of

DEBIAN = Demand(image="debian:12")
CONTAINERS = Containers(
    has_default_image=True,
    takes_jobs_without_image=False,
    allowed_options=frozenset({"user"}),
)


def docker(containers: Containers = CONTAINERS) -> Offer:
    return Offer(provider="docker", containers=containers)


def worker_for(demand: Demand) -> Offer:
    return Offer(provider="docker", kind=kind_of(demand))


def test_a_worker_takes_jobs_of_its_kind_only():
    others = [
        Demand(),
        Demand(image="debian:11"),
        Demand(image="debian:12", resources=Resources(memory_bytes=2**26)),
        Demand(image="debian:12", resources=Resources(cpu_millicores=500)),
        Demand(image="debian:12", container=ContainerOptions(user="nobody")),
    ]
    assert misfits(DEBIAN, worker_for(DEBIAN)) == []
    for other in others:
        assert misfits(other, worker_for(other)) == []
        assert len(misfits(DEBIAN, worker_for(other))) == 1
        assert len(misfits(other, worker_for(DEBIAN))) == 1


def test_a_worker_that_is_no_container_takes_no_job_with_an_image():
    assert "debian:12" in misfits(DEBIAN, Offer(provider="local"))[0]
    assert misfits(Demand(), Offer(provider="local")) == []
    options = Demand(container=ContainerOptions(user="nobody"))
    assert "user" in misfits(options, Offer(provider="local"))[0]


def test_a_provider_of_containers_makes_a_worker_for_any_image():
    assert misfits(DEBIAN, docker()) == []


def test_a_job_without_an_image_goes_to_containers_only_when_it_names_them():
    assert len(misfits(Demand(), docker())) == 1
    assert misfits(Demand(preferred_provider="docker"), docker()) == []
    alone = Containers(has_default_image=True, takes_jobs_without_image=True)
    assert misfits(Demand(), docker(alone)) == []
    without = Containers(has_default_image=False, takes_jobs_without_image=True)
    assert "default image" in misfits(Demand(preferred_provider="docker"), docker(without))[0]


@pytest.mark.parametrize("name", ["mounts", "network", "runtime"])
def test_what_jobs_may_not_decide_is_said_by_name(name: str):
    options = {"mounts": (), "network": "x", "runtime": "x"} | (
        {"mounts": ("m",)} if name == "mounts" else {}
    )
    demand = Demand(image="x", container=ContainerOptions(**{name: options[name]}))
    assert misfits(demand, docker()) == [f"its jobs may not decide container.{name}"]


def test_a_kind_says_what_it_is():
    kind = WorkerKind(
        image="debian:12",
        cpu_millicores=500,
        memory_bytes=64,
        gpu_count=2,
        container=ContainerOptions(user="nobody"),
    )
    shown = str(kind)
    assert shown == ("image debian:12 with 0.5 CPUs, 64 bytes of memory, 2 GPUs and own user")
    assert str(WorkerKind()) == "image of the provider"
