"""What a provider that is added may be called."""

import re
from typing import Final

from hodei.kernel.errors import FieldViolation

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
"""Part of workers' ids, of labels and of directories."""

RESERVED_NAMES: Final = frozenset(
    ("local", "docker", "static", "test", "kubernetes", "k8s", "kube", "firecracker", "fc", "slurm")
)
"""Types and their aliases, those of the settings, and workers that were started by hand."""


def name_violations(name: str) -> list[FieldViolation]:
    """What is wrong with a name."""
    if not _NAME.fullmatch(name):
        rule = "1 to 40 small letters, digits or hyphens, the first a letter"
        return [FieldViolation(field="name", description=f"{name[:60]!r} is not {rule}")]
    if name in RESERVED_NAMES:
        why = "means a type of provider, or one of the server's settings: choose another"
        return [FieldViolation(field="name", description=f"{name!r} {why}")]
    return []
