"""What a job asks of a worker, without what it does there.

The queue is kept by demand: thousands of jobs share a handful of demands, so that a worker's
fitness is decided once for each demand and not once for each job.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from hodei.domain.jobs.container import ContainerOptions
from hodei.domain.jobs.spec import JobSpec, Resources, Selector, Toleration


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """All that placement looks at. Equal demands fit the same workers."""

    resources: Resources = Resources()
    selector: Selector = Selector()
    tolerations: tuple[Toleration, ...] = ()
    preferred_provider: str = ""
    preferred_region: str = ""
    image: str = ""
    container: ContainerOptions | None = None


DemandKey = Hashable


def demand_key(demand: Demand) -> DemandKey:
    """Equal for equal demands, and to look them up by: a demand holds dicts."""
    resources, selector = demand.resources, demand.selector
    return (
        resources.cpu_millicores,
        resources.memory_bytes,
        resources.disk_bytes,
        resources.gpu_count,
        resources.gpu_types,
        frozenset(resources.custom.items()),
        frozenset(selector.match_labels.items()),
        selector.match_expressions,
        demand.tolerations,
        demand.preferred_provider,
        demand.preferred_region,
        demand.image,
        demand.container,
    )


def demand_of(spec: JobSpec) -> Demand:
    """The demand of a job."""
    return Demand(
        resources=spec.resources,
        selector=spec.selector,
        tolerations=spec.tolerations,
        preferred_provider=spec.preferred_provider,
        preferred_region=spec.preferred_region,
        image=spec.image,
        container=spec.container,
    )
