"""A clean-up whose server is killed on its way: the next one goes on, and removes nothing else."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from acceptance.crash import open_runs
from acceptance.harness import HodeiServer, eventually

DYING = str(Path(__file__).with_name("dying"))
LEFT_BEHIND = 3
SETTINGS = {
    "HODEI_LOCAL_WARM_WORKERS": "0",
    "HODEI_LOCAL_MAX_WORKERS": str(LEFT_BEHIND + 1),
    "HODEI_LOCAL_SLOTS": "1",
}
MOST_COMMITS = 30
"""Of a clean-up: many times what it takes."""


@pytest.mark.timeout(300)
def test_a_clean_up_outlives_its_server_and_removes_exactly_what_was_left_behind(
    tmp_path: Path,
) -> None:
    assert clean_up_through(tmp_path, die_at="after:2")


@pytest.mark.soak
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_clean_up_outlives_its_server_whenever_it_dies(tmp_path: Path, when: str) -> None:
    for number in range(1, MOST_COMMITS):
        folder = tmp_path / str(number)
        folder.mkdir()
        if not clean_up_through(folder, die_at=f"{when}:{number}"):
            assert number > 4, "a clean-up takes more commits than that"
            print(f"{number - 1} deaths {when} a commit, each survived")
            return
    pytest.fail("its commits have no end")


def clean_up_through(folder: Path, *, die_at: str) -> bool:
    """Leaves workers behind that no row tells of, and has a server die over their removal.

    Returns:
        Whether it died at all.
    """
    server = HodeiServer(data_dir=folder / "data", environment=SETTINGS)
    try:
        kept, left = _leave_workers_behind(server, folder)
        if not (has_died := _dies(server, die_at)):
            server.kill()
        server.environment = SETTINGS
        server.start(within_s=40)
        cleaned = server.cli("workers", "clean-up", "--output", "json")
        assert cleaned.code == 0, cleaned.errors
        assert _instances(server) == {kept}
        assert _removed(server) == left
        assert _agents(server) == 1
        with server.client() as client:
            job = client.wait(client.submit(command=["true"]).id, timeout=40)
            assert [each.worker_id for each in job.attempts] == [kept]
            assert [each.id for each in client.workers()] == [kept]
        assert open_runs(server) == []
        return has_died
    finally:
        server.close()


def _leave_workers_behind(server: HodeiServer, folder: Path) -> tuple[str, set[str]]:
    """Brings workers up that a restored database knows nothing of; returns the one that it knows."""
    server.start(within_s=40)
    assert server.cli("run", "--", "true").code == 0
    with server.client() as client:
        [known] = [each.id for each in client.workers()]
    server.kill()
    backup = folder / "backup"
    backup.mkdir()
    for file in server.data_dir.glob("hodei.db*"):
        shutil.copy(file, backup)
    server.start(within_s=40)
    with server.client() as client:
        client.submit_many([{"command": ["sleep", "600"]} for _ in range(LEFT_BEHIND + 1)])
        eventually(
            lambda: len(list(client.jobs(states=["RUNNING"]))) > LEFT_BEHIND,
            within_s=60,
            what="the workers",
        )
    server.kill()
    for file in server.data_dir.glob("hodei.db*"):
        file.unlink()
    shutil.copytree(backup, server.data_dir, dirs_exist_ok=True)
    return known, _instances(server) - {known}


def _dies(server: HodeiServer, die_at: str) -> bool:
    """Lets a server live until it dies or nothing is left behind; returns whether it has died.

    It begins to clean up as it starts; an operator asks for it meanwhile.
    """
    server.environment = SETTINGS | {"DIE_AT": die_at, "PYTHONPATH": DYING}
    with contextlib.suppress(AssertionError):
        server.start(within_s=40)
    if not _is_alive(server):
        return True
    asking = server.start_cli("workers", "clean-up")
    try:
        eventually(
            lambda: asking.poll() == 0 or not _is_alive(server),
            within_s=60,
            what="the clean-up or its server's death",
        )
    finally:
        asking.kill()
        asking.communicate()
    return not _is_alive(server)


def _is_alive(server: HodeiServer) -> bool:
    return server.process is not None and server.process.poll() is None


def _instances(server: HodeiServer) -> set[str]:
    return {each.name for each in (server.data_dir / "workers").iterdir() if each.is_dir()}


def _removed(server: HodeiServer) -> set[str]:
    """What any of its lives says that it has removed."""
    said = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return {each["worker_id"] for each in said if each["event"] == "orphan_removed"}


def _agents(server: HodeiServer) -> int:
    return sum(process.name() == "hodei-keeper" for process in server.processes())
