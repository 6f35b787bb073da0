"""Taints: a worker's way of turning away jobs that do not ask for it."""

from dataclasses import dataclass

from hodei.domain.jobs.spec import Toleration


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """Jobs without a toleration for it stay away from the worker that has it."""

    key: str
    value: str
    effect: str
    """`NoSchedule` keeps jobs away; `PreferNoSchedule` only counts against the worker."""


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether a job that has the toleration puts up with the taint."""
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value
