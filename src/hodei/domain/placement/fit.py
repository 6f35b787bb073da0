"""Whether a demand fits an offer, and if not, why not in words for people."""

from dataclasses import dataclass, field
from typing import Final

from hodei.domain.jobs.spec import Resources, SelectorOperator, SelectorRequirement
from hodei.domain.placement.admission import EVERY_JOB, Admission
from hodei.domain.placement.demand import Demand
from hodei.domain.placement.kinds import WorkerKind, kind_of
from hodei.domain.placement.taints import Taint, tolerates

REGION_LABEL: Final = "hodei.region"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker has, or a provider's next worker would have."""

    provider: str
    provider_type: str = ""
    """Such as `DOCKER`; a job may ask for a type instead of a name."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    resources: Resources = Resources()
    """In all. A size of 0 CPU, memory or disk means that it is not known and not counted."""
    taints: tuple[Taint, ...] = ()
    kind: WorkerKind | None = None
    """Of a worker that was made for one kind of job; it takes no others."""
    containers: "Containers | None" = None
    """Of a provider that makes a worker for whatever kind is asked for."""
    admission: Admission = EVERY_JOB
    """Which jobs its provider takes at all."""

    @property
    def region(self) -> str:
        """Where it is; empty where nobody said."""
        return self.labels.get(REGION_LABEL, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """What a provider of containers makes of jobs that leave something out."""

    has_default_image: bool
    """Whether a job may leave out the image."""
    takes_jobs_without_image: bool
    """Whether such a job may come here though it did not name this provider."""
    allowed_options: frozenset[str] = frozenset()
    """Which of `ContainerOptions` a job may decide."""


def misfits(demand: Demand, offer: Offer) -> list[str]:
    """Every reason why the demand can never be met by the offer, also when it is idle."""
    reasons = [*_kind_misfits(demand, offer)]
    if not (reasons and offer.kind is not None):
        # The size of another kind's worker says nothing.
        reasons += _resource_misfits(demand.resources, offer.resources)
    if not is_asked_for(demand, offer):
        reasons.append(f"it belongs to provider {offer.provider}, not {demand.preferred_provider}")
    reasons += offer.admission.misfits(demand, offer.region)
    reasons += [
        f"its label {key} is {offer.labels.get(key, 'not set')!r}, not {value!r}"
        for key, value in demand.selector.match_labels.items()
        if offer.labels.get(key) != value
    ]
    reasons += [
        f"its labels do not satisfy {each.key} {each.operator} {list(each.values)}"
        for each in demand.selector.match_expressions
        if not _satisfies(each, offer.labels)
    ]
    reasons += [
        f"it has the taint {taint.key}={taint.value}, which the job does not tolerate"
        for taint in offer.taints
        if taint.effect != "PreferNoSchedule"
        and not any(tolerates(each, taint) for each in demand.tolerations)
    ]
    return reasons


def is_asked_for(demand: Demand, offer: Offer) -> bool:
    """Whether the demand names it, or what it is; one that names nothing asks for all."""
    wanted = demand.preferred_provider
    return not wanted or wanted in {offer.provider, offer.provider_type.lower()}


def fits_beside(demand: Resources, total: Resources, taken: list[Resources]) -> bool:
    """Whether there is room for one more beside what is taken."""

    def room(of: int, need: int, used: int, *, counted: bool) -> bool:
        return need == 0 or not counted or used + need <= of

    return (
        room(
            total.cpu_millicores,
            demand.cpu_millicores,
            sum(each.cpu_millicores for each in taken),
            counted=total.cpu_millicores > 0,
        )
        and room(
            total.memory_bytes,
            demand.memory_bytes,
            sum(each.memory_bytes for each in taken),
            counted=total.memory_bytes > 0,
        )
        and room(
            total.disk_bytes,
            demand.disk_bytes,
            sum(each.disk_bytes for each in taken),
            counted=total.disk_bytes > 0,
        )
        and room(
            total.gpu_count,
            demand.gpu_count,
            sum(each.gpu_count for each in taken),
            counted=True,
        )
        and all(
            room(
                total.custom.get(name, 0),
                need,
                sum(each.custom.get(name, 0) for each in taken),
                counted=True,
            )
            for name, need in demand.custom.items()
        )
    )


def preference(demand: Demand, offer: Offer) -> float:
    """How much the demand likes the offer, among those that fit; more is better."""
    disliked = sum(
        taint.effect == "PreferNoSchedule"
        and not any(tolerates(each, taint) for each in demand.tolerations)
        for taint in offer.taints
    )
    return _region_liking(demand.preferred_region, offer) - disliked


def _region_liking(wanted: str, offer: Offer) -> float:
    """The offer's own region before one that its provider serves, and that before any other."""
    if wanted and wanted == offer.region:
        return 1.0
    return 0.5 if wanted in offer.admission.allowed_regions else 0.0


def _kind_misfits(demand: Demand, offer: Offer) -> list[str]:
    wanted = kind_of(demand)
    if offer.kind is not None:
        return [] if offer.kind == wanted else [f"it was made for {offer.kind}, not for {wanted}"]
    if offer.containers is not None:
        return _container_misfits(demand, offer.containers)
    reasons = [f"it runs no images, such as {demand.image}"] if demand.image else []
    if demand.container is not None:
        reasons.append(f"it runs no containers, with own {', '.join(demand.container.asked)}")
    return reasons


def _container_misfits(demand: Demand, containers: Containers) -> list[str]:
    reasons: list[str] = []
    if not demand.image:
        if not containers.has_default_image:
            reasons.append("it has no default image: name one for the job")
        elif not containers.takes_jobs_without_image and not demand.preferred_provider:
            reasons.append("it takes jobs without an image only when they name it")
    if demand.container is not None:
        denied = [n for n in demand.container.asked if n not in containers.allowed_options]
        reasons += [f"its jobs may not decide container.{name}" for name in denied]
    return reasons


def _resource_misfits(need: Resources, have: Resources) -> list[str]:
    sizes = (
        ("CPU (millicores)", need.cpu_millicores, have.cpu_millicores),
        ("memory (bytes)", need.memory_bytes, have.memory_bytes),
        ("disk (bytes)", need.disk_bytes, have.disk_bytes),
    )
    reasons = [f"it has {of} {what}, not {n}" for what, n, of in sizes if of and n > of]
    if need.gpu_count > have.gpu_count:
        reasons.append(f"it has {have.gpu_count} GPUs, not {need.gpu_count}")
    elif need.gpu_types and not set(need.gpu_types) & set(have.gpu_types):
        reasons.append(f"its GPUs are {list(have.gpu_types)}, none of {list(need.gpu_types)}")
    reasons += [
        f"it has {have.custom.get(name, 0)} of {name}, not {count}"
        for name, count in need.custom.items()
        if count > have.custom.get(name, 0)
    ]
    return reasons


def _satisfies(requirement: SelectorRequirement, labels: dict[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case SelectorOperator.IN:
            return value is not None and value in requirement.values
        case SelectorOperator.NOT_IN:
            return value is None or value not in requirement.values
        case SelectorOperator.EXISTS:
            return value is not None
        case SelectorOperator.DOES_NOT_EXIST:
            return value is None
