"""Servers for the acceptance tests. All of them are real processes, ended by id afterwards."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acceptance.harness import HodeiServer

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real processes on a busy machine need longer than a unit test may take."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if item.get_closest_marker("timeout") is None:
                is_long = item.get_closest_marker("soak") is not None
                item.add_marker(pytest.mark.timeout(3600 if is_long else 180))


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_reaches_what_is_started() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, which is inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HodeiServer]:
    """A server that tests share; whoever kills or fills one starts their own."""
    shared = HodeiServer(data_dir=tmp_path_factory.mktemp("shared") / "data")
    try:
        yield shared.start()
    finally:
        shared.close()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., HodeiServer]]:
    """Starts a server of the test's own, with settings such as `local_slots=1`."""
    started: list[HodeiServer] = []

    def start(*, data_dir: Path | None = None, **settings: object) -> HodeiServer:
        own = HodeiServer(
            data_dir=data_dir or tmp_path / f"data{len(started)}",
            environment={f"HODEI_{key.upper()}": str(value) for key, value in settings.items()},
        )
        started.append(own)
        return own.start()

    yield start
    for own in started:
        own.close()
