"""Figures beside the targets that they are held against."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing that was measured."""

    name: str
    value: float
    unit: str
    target: float
    at_least: bool = False
    """Whether the target is a lower bound; else it is an upper one."""
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "met" if self.is_met else "MISSED"
        return (
            f"{self.name:<46}{self.value:>10.4g} {self.unit:<6}"
            f" target {sign} {self.target:<6g} {verdict:<7} {self.note}"
        )


def percentile(samples: list[float], share: float) -> float:
    """The sample below which a share of them lies, by nearest rank."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def show(figures: list[Figure]) -> int:
    """Prints the figures; returns 1 when a target was missed, else 0."""
    for figure in figures:
        print(figure, flush=True)
    return 0 if all(figure.is_met for figure in figures) else 1
