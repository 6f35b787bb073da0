"""The agent bundle of this machine's architecture, of the sources as they are now."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_bundle.build import build
from agent_bundle.programs import run
from agent_bundle.recipe import ARCHITECTURES, ROOT, BuildError
from docker_engine import UnusableError, install_packages
from hodei.kernel.version import VERSION

BUILD_WITHIN_S = 240
"""The first test of a session may wait for packages, wheels and the compiler."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if "agent_bundle" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(BUILD_WITHIN_S))


@pytest.fixture(scope="session")
def agent_bundle() -> Path:
    """The directory to mount: built once for each state of the sources."""
    try:
        install_packages({"gcc": "gcc", "strip": "binutils"})
        architecture = ARCHITECTURES[run(["dpkg", "--print-architecture"]).strip()]
    except (BuildError, UnusableError, KeyError) as error:
        pytest.skip(f"no agent bundle can be built here: {error}")
    return build(architecture, ROOT / "build" / "agent-bundle", VERSION).directory
