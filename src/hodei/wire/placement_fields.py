"""The parts of a definition that say where a job may run: selector, tolerations, resources."""

import math
from collections.abc import Iterable
from typing import Final

from hodei.domain.jobs.spec import (
    Resources,
    Selector,
    SelectorOperator,
    SelectorRequirement,
    Toleration,
)
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.refused_fields import Refusals

ANY_WORKER: Final = Selector()
NO_RESOURCES: Final = Resources()

_SELECTOR_OPERATORS: Final = {each.lower(): each for each in SelectorOperator}
_TOLERATION_OPERATORS: Final = {"": "Equal", "equal": "Equal", "exists": "Exists"}


def decode_selector(definition: pb.JobDefinition, refusals: Refusals) -> Selector:
    """Which workers may run the job: the selector's labels and those that scheduling requires.

    Annotations of a provider are labels of its workers, so that requiring them is the same.
    """
    scheduling = definition.scheduling
    required = {
        "required_labels": scheduling.required_labels,
        "required_annotations": scheduling.required_annotations,
    }
    if not any(required.values()) and not definition.HasField("selector"):
        return ANY_WORKER
    refusals.refuse_unknown(definition.selector, "selector.")
    labels = dict(definition.selector.match_labels)
    for name, pairs in required.items():
        for key, value in pairs.items():
            if labels.setdefault(key, value) != value:
                refusals.add(
                    f"scheduling.{name}[{key!r}]",
                    f"is {value!r}, and {labels[key]!r} is asked for already: no worker has both; "
                    "leave one out",
                )
    requirements = [
        _decode_requirement(each, f"selector.match_expressions[{index}]", refusals)
        for index, each in enumerate(definition.selector.match_expressions)
    ]
    return Selector(match_labels=labels, match_expressions=tuple(requirements))


def encode_selector(selector: Selector) -> pb.LabelSelector:
    """The conditions on a worker's labels."""
    return pb.LabelSelector(
        match_labels=selector.match_labels,
        match_expressions=[
            pb.LabelSelectorRequirement(
                key=each.key, operator=each.operator.value, values=each.values
            )
            for each in selector.match_expressions
        ],
    )


def decode_tolerations(
    tolerations: Iterable[pb.Toleration], refusals: Refusals
) -> tuple[Toleration, ...]:
    """The taints that the job puts up with."""
    return tuple(
        [
            _decode_toleration(each, f"tolerations[{index}]", refusals)
            for index, each in enumerate(tolerations)
        ]
    )


def encode_tolerations(tolerations: Iterable[Toleration]) -> list[pb.Toleration]:
    """The taints that the job puts up with."""
    return [
        pb.Toleration(key=each.key, operator=each.operator, value=each.value)
        for each in tolerations
    ]


def decode_resources(requirements: pb.ResourceRequirements, refusals: Refusals) -> Resources:
    """What a job needs of its worker."""
    refusals.refuse_unknown(requirements, "requirements.")
    return Resources(
        cpu_millicores=_decode_cores(requirements.cpu_cores, refusals),
        memory_bytes=requirements.memory_bytes,
        disk_bytes=requirements.disk_bytes,
        gpu_count=requirements.gpu_count,
        gpu_types=tuple(requirements.gpu_types),
        custom=dict(requirements.custom_required),
    )


def encode_resources(resources: Resources) -> pb.ResourceRequirements:
    """What a job needs of its worker."""
    return pb.ResourceRequirements(
        cpu_cores=resources.cpu_millicores / 1000,
        memory_bytes=resources.memory_bytes,
        disk_bytes=resources.disk_bytes,
        gpu_count=resources.gpu_count,
        gpu_types=resources.gpu_types,
        custom_required=resources.custom,
    )


def _decode_requirement(
    requirement: pb.LabelSelectorRequirement, field: str, refusals: Refusals
) -> SelectorRequirement:
    operator = _SELECTOR_OPERATORS.get(requirement.operator.lower())
    if operator is None:
        allowed = ", ".join(SelectorOperator)
        refusals.add(f"{field}.operator", f"is {requirement.operator[:40]!r}: one of {allowed}")
    return SelectorRequirement(
        key=requirement.key,
        # What is refused already must not be refused again for having no value.
        operator=operator
        or (SelectorOperator.IN if requirement.values else SelectorOperator.EXISTS),
        values=tuple(requirement.values),
    )


def _decode_toleration(toleration: pb.Toleration, field: str, refusals: Refusals) -> Toleration:
    refusals.refuse_unknown(toleration, f"{field}.")
    given = toleration.operator
    operator = _TOLERATION_OPERATORS.get(given.lower(), given)
    return Toleration(key=toleration.key, operator=operator, value=toleration.value)


def _decode_cores(cores: float, refusals: Refusals) -> int:
    if not math.isfinite(cores * 1000):
        refusals.add("requirements.cpu_cores", f"is {cores}: give a number of cores, such as 1.5")
        return 0
    millicores = round(cores * 1000)
    if cores and not millicores:
        refusals.add("requirements.cpu_cores", f"is {cores:g}: the smallest share is 0.001")
    return millicores
