"""What the labels of a provider's workers may be, and the regions that it serves."""

from collections.abc import Iterator
from typing import Final

from hodei.domain.jobs.limits import MAX_LABEL_VALUE_CHARS, MAX_LABELS, check_labels
from hodei.domain.jobs.violations import Violations
from hodei.domain.placement.admission import Admission
from hodei.domain.placement.fit import REGION_LABEL
from hodei.kernel.errors import FieldViolation
from hodei.server.config import DockerProviderConfig, LocalProviderConfig

Config = DockerProviderConfig | LocalProviderConfig

_SETTINGS: Final = ("labels", "annotations", "required_labels")
"""All of them are labels of the workers in the end, so that no two may contradict each other."""


def worker_labels(config: Config) -> dict[str, str]:
    """Every worker has these, besides its region."""
    return {**config.labels, **config.annotations, **config.required_labels}


def admission_of(config: Config) -> Admission:
    """Which jobs the provider takes."""
    return Admission(required_labels=config.required_labels, allowed_regions=config.allowed_regions)


def check_worker_labels(section: str, config: Config) -> Iterator[FieldViolation]:
    """What is not allowed in them, by the setting's key."""
    said = {REGION_LABEL: ("region", config.region)}
    for name in _SETTINGS:
        pairs: dict[str, str] = getattr(config, name)
        key_of_setting = f"{section}.{name}"
        for each in check_labels(name, pairs):
            yield FieldViolation(field=key_of_setting, description=each.description)
        for key, value in pairs.items():
            where, other = said.setdefault(key, (name, value))
            if other != value:
                why = f"has {key}={value}, and {where} says {other!r}: leave one of the two out"
                yield FieldViolation(field=key_of_setting, description=why)
    found = Violations()
    found.check_words(
        "allowed_regions",
        config.allowed_regions,
        at_most=MAX_LABELS,
        max_chars=MAX_LABEL_VALUE_CHARS,
    )
    for each in found.found:
        yield FieldViolation(field=f"{section}.allowed_regions", description=each.description)
