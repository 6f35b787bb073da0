"""A server is killed at every commit of a worker's way up and down; the next one goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acceptance.crash import Ledger, open_runs
from acceptance.harness import HodeiServer, eventually

DYING = str(Path(__file__).with_name("dying"))
MOST_COMMITS = 60
"""Of a worker's way up: many times what it takes."""

SETTINGS = {"HODEI_LOCAL_WARM_WORKERS": "0", "HODEI_LOCAL_MAX_WORKERS": "1"}


@pytest.fixture(params=["sqlite", "postgres"])
def new_store(request: pytest.FixtureRequest) -> Iterator[Callable[[], dict[str, str]]]:
    """Gives the settings of a server's store that has nothing in it."""
    if request.param == "sqlite":
        yield dict
        return
    cluster = request.getfixturevalue("postgres")
    made: list[str] = []

    def new_database() -> dict[str, str]:
        made.append(f"death_{len(made)}")
        cluster.create_database(made[-1], template="hodei")
        return {"HODEI_DATABASE_URL": cluster.url(database=made[-1])}

    yield new_database
    for name in made:
        cluster.drop_database(name)


@pytest.mark.soak
@pytest.mark.parametrize("when", ["before", "after"])
def test_whenever_its_server_dies_a_worker_comes_up_once_and_nothing_is_left_of_it(
    tmp_path: Path, new_store: Callable[[], dict[str, str]], when: str
) -> None:
    for number in range(1, MOST_COMMITS):
        folder = tmp_path / str(number)
        folder.mkdir()
        has_died = _comes_up_once(folder, SETTINGS | new_store(), die_at=f"{when}:{number}")
        if not has_died:
            assert number > 5, "a worker takes more commits than that to come up"
            print(f"{number - 1} deaths {when} a commit, each survived")
            return
    pytest.fail("its commits have no end")


def _comes_up_once(folder: Path, settings: dict[str, str], *, die_at: str) -> bool:
    """Runs a job through the death of its server; returns whether the server died at all."""
    ledger = Ledger(folder=folder)
    dying = settings | {"DIE_AT": die_at, "PYTHONPATH": DYING}
    server = HodeiServer(data_dir=folder / "data", environment=dying)
    try:
        server.start(within_s=40)
        with server.client() as client:
            client.submit(**ledger.request("job"))
        has_died = eventually(lambda: _end_of(server), what="the end of job or server") == "death"
        if not has_died:
            server.kill()
        server.environment = settings
        server.start(within_s=40)
        _check(server, ledger)
        return has_died
    finally:
        server.close()


def _end_of(server: HodeiServer) -> str | None:
    """Which came first, the job's end or the server's; None as long as neither has come."""
    assert server.process is not None
    shown = server.cli("jobs", "show", "job", "--output", "json")
    if server.process.poll() is not None:
        return "death"
    return shown.json["state"] if shown.code == 0 and shown.json["finished_at"] else None


def _check(server: HodeiServer, ledger: Ledger) -> None:
    with server.client() as client:
        client.wait("job", timeout=90)
        ledger.check(client, "job")
        workers = list(client.workers())
        assert len(workers) == 1, ([each.to_dict() for each in workers], server.log)
        [worker] = workers
        assert _agents(server) == 1
        client.drain_worker(worker.id)
        eventually(lambda: not list(client.workers()), within_s=40, what="the worker's end")
        eventually(lambda: _agents(server) == 0, what="the end of its agent")
        eventually(lambda: open_runs(server) == [], within_s=20, what="the end of all runs")
    cleaned = server.cli("workers", "clean-up", "--dry-run", "--output", "json")
    assert cleaned.code == 0, cleaned.errors
    assert cleaned.json == []


def _agents(server: HodeiServer) -> int:
    return sum(process.name() == "hodei-keeper" for process in server.processes())
