"""A Docker engine for the tests of one session: started when the first asks for it, gone at the end."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import docker_engine as tool
import docker_images
from docker_engine import Engine, UnusableError

END = 'trap "" INT TERM; cat > /dev/null; exec "$0" "$1" stop --directory "$2"'

START_WITHIN_S = 240
"""The first test of a session may wait for packages, the engine and the images."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if "docker_engine" in getattr(item, "fixturenames", ()) and not item.get_closest_marker(
            "timeout"
        ):
            item.add_marker(pytest.mark.timeout(START_WITHIN_S))


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """The engine: `.host` is the DOCKER_HOST, `.gateway` this host as containers see it.

    It has the images that `docker_images` names. Leave no container in it behind.
    """
    directory = Path(tempfile.mkdtemp(prefix="hodei-docker-"))
    # Ends what was started however this process ends, killed included: its pipe is closed then.
    end = subprocess.Popen(
        ["sh", "-c", END, sys.executable, tool.__file__, directory], stdin=subprocess.PIPE
    )
    assert end.stdin is not None
    try:
        try:
            tool.install()
            engine = Engine(directory=directory)
            engine.start()
            docker_images.load(engine)
        except UnusableError as error:
            pytest.skip(f"no Docker engine can be run here: {error}")
        yield engine
    finally:
        end.stdin.close()
        end.wait()
