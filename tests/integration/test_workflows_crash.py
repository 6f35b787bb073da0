"""Workflows on real stores, in a process that is killed at random points until all have ended."""

import asyncio
import random
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from itertools import groupby
from pathlib import Path

import pytest

from hodei.durable.events import (
    ActivitySucceeded,
    CompensationRegistered,
    StepCompensated,
    StepSucceeded,
)
from hodei.durable.recorded import Recorded
from hodei.durable.runner.rounds import read_history
from hodei.ports.durable import RunFilter
from hodei.ports.durable_rows import RunStatus
from integration import workflow_child
from integration.workflow_child import STEPS, open_store

RUNS = 6
DONE = [*(f"do-{number}" for number in range(STEPS)), "charge"]
UNDONE = ["refund", *(f"undo-{number}" for number in reversed(range(STEPS)))]

Histories = dict[str, list[Recorded]]


@pytest.fixture(params=["sqlite", "postgres"])
def store_at(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    (tmp_path / "data").mkdir()
    return str(tmp_path / "data")


def run_child(store_at: str, world: Path, lines: int | None) -> tuple[int, bool]:
    """Runs the child, kills it after so many lines; its pid, and whether it came to its end."""
    command = [sys.executable, workflow_child.__file__, store_at, str(world), str(RUNS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for number, line in enumerate(child.stdout, start=1):
            if line == "done\n":
                assert child.wait(timeout=30) == 0
                return child.pid, True
            if number == lines:
                child.send_signal(signal.SIGKILL)
        assert child.wait(timeout=30) == -signal.SIGKILL
        return child.pid, False


async def histories(store_at: str) -> tuple[Histories, dict[str, RunStatus]]:
    async with AsyncExitStack() as stack:
        store = await open_store(store_at, stack)
        page = await store.list_runs(RunFilter(), limit=RUNS + 1)
        found = {each.workflow_id: await read_history(store, each.run_id) for each in page.runs}
        statuses = {each.workflow_id: each.status for each in page.runs}
        await store.close()
        return found, statuses


def completed(history: list[Recorded]) -> list[str]:
    """What the record says is done, in its order."""
    results = [each.event for each in history]
    return [
        each.result.data.decode().strip('"')
        for each in results
        if isinstance(each, StepSucceeded | ActivitySucceeded)
    ]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(2))
async def test_a_process_killed_at_random_points_repeats_nothing_that_was_done_and_undoes_in_reverse(
    store_at: str, tmp_path: Path, seed: int
):
    chance = random.Random(seed)
    world = tmp_path / "world"
    world.touch()
    lives = 0
    done_before: dict[int, dict[str, list[str]]] = {}
    is_over = False
    while not is_over:
        lives += 1
        wanted = chance.randint(1, 12) if lives <= 8 else None
        before, _ = await histories(store_at)
        pid, is_over = await asyncio.to_thread(run_child, store_at, world, wanted)
        done_before[pid] = {name: completed(each) for name, each in before.items()}

    recorded, statuses = await histories(store_at)
    touched = [line.split() for line in world.read_text().splitlines()]
    assert lives > 3
    assert len(recorded) == RUNS
    for name, history in recorded.items():
        has_failed = int(name.removeprefix("trip-")) % 2 == 1
        assert statuses[name] is (RunStatus.FAILED if has_failed else RunStatus.COMPLETED)
        # In the record: each step once, in order, compensations in reverse.
        assert completed(history) == DONE + (UNDONE if has_failed else [])
        events = [each.event for each in history]
        registered = [
            each.command_id for each in events if isinstance(each, CompensationRegistered)
        ]
        undone = [each.registration for each in events if isinstance(each, StepCompensated)]
        assert undone == (registered[::-1] if has_failed else [])
        # In the world: nothing again that was recorded before the process began.
        for pid, run, what in touched:
            assert run != name or what not in done_before[int(pid)].get(name, [])
        # Again only what no record was made of before the process died, so at once.
        own = [what for _, run, what in touched if run == name]
        assert [what for what, _ in groupby(own)] == DONE + (UNDONE if has_failed else [])


@pytest.mark.timeout(120)
async def test_what_is_asked_to_stop_gives_its_shards_to_the_next_and_loses_nothing(
    store_at: str, tmp_path: Path
):
    world = tmp_path / "world"
    world.touch()
    _, is_over = await asyncio.to_thread(run_child, store_at, world, None)

    assert is_over
    recorded, _ = await histories(store_at)
    assert sum(len(completed(each)) for each in recorded.values()) == len(
        world.read_text().splitlines()
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_step_that_kills_its_process_three_times_is_suspended_and_the_fourth_lives(
    tmp_path: Path,
):
    command = [sys.executable, Path(__file__).with_name("deadly_child.py"), tmp_path]
    ends: list[tuple[int, list[str]]] = []
    for _ in range(4):
        child = await asyncio.to_thread(
            subprocess.run, command, stdout=subprocess.PIPE, text=True, timeout=60, check=False
        )
        ends.append((child.returncode, child.stdout.splitlines()))

    assert [code for code, _ in ends] == [-signal.SIGKILL] * 3 + [0]
    *_, why, other = ends[3][1]
    assert why.startswith("CRASHED its server died 3 times in a row")
    assert other == '"well"'
