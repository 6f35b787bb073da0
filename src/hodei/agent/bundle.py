"""What is different where the agent runs from its bundle (docs/explanation/agent-bundle.md)."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hodei.kernel.version import VERSION

_OWN: Final = b"HODEI_"
_RENAMED: Final = b"HODEI_ENV_"
"""In front of what the image sets: the bundle's launcher hides it from the agent so."""


def is_bundled() -> bool:
    """Whether this is the bundle's interpreter, which can do nothing but run the agent."""
    return getattr(sys, "frozen", False)


def own_command() -> list[str]:
    """What starts another process of the agent's code; arguments as `hodei.agent.main` has them."""
    return [sys.executable] if is_bundled() else [sys.executable, "-m", "hodei.agent"]


def own_version() -> str:
    """The project's version, in a bundle with the bundle's: `0.1.0+` and a hash of its content."""
    if not is_bundled():
        return VERSION
    return Path(sys.executable).with_name("VERSION").read_text(encoding="ascii").strip()


def inherited_environment(environment: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """What jobs inherit of the agent's environment: all but what is Hodei's.

    In a bundle it is all that the image has set, under the names that it had there, and none of
    what the launcher has set for the agent.
    """
    if not is_bundled():
        return {name: value for name, value in environment.items() if not name.startswith(_OWN)}
    return {
        name.removeprefix(_RENAMED): value
        for name, value in environment.items()
        if name.startswith(_RENAMED)
    }
