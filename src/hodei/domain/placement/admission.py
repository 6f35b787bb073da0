"""Which jobs a provider takes at all, beside those that it could run."""

from dataclasses import dataclass, field

from hodei.domain.placement.demand import Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What an operator decides about who may use a provider. By default every job may."""

    required_labels: dict[str, str] = field(default_factory=dict[str, str])
    """A job must ask for each of them in its selector. Not in the labels that it has itself: those
    are for people, and often no two jobs have the same, so that the queue is not kept by them."""
    allowed_regions: tuple[str, ...] = ()
    """A job that prefers a region is taken for one of these, or for the provider's own; empty
    means for any."""

    def misfits(self, demand: Demand, region: str) -> list[str]:
        """Why a job is not taken; `region` is the provider's own."""
        asked = demand.selector.match_labels
        reasons = [
            f"it takes only jobs that ask for its label {key}={value} (--selector {key}={value})"
            for key, value in self.required_labels.items()
            if asked.get(key) != value
        ]
        wanted = demand.preferred_region
        if wanted and self.allowed_regions and wanted not in {region, *self.allowed_regions}:
            allowed = ", ".join(dict.fromkeys([region, *self.allowed_regions]))
            reasons.append(f"it takes no jobs for the region {wanted}, only for {allowed}")
        return reasons


EVERY_JOB = Admission()
