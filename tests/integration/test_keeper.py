"""Whatever of a worker is killed, nothing of its jobs survives, and the keeper's end proves it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hodei.lifecycle.processes import ProcessIdentity
from integration.processes import ESCAPEES, ESCAPEES_COUNT, lives, name_of, pids_in, until

FAKE_AGENT = str(Path(__file__).with_name("fake_agent.py"))


class KeptWorker:
    """A worker started by hand, with an agent that does as the test says."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.marks = directory / "marks"
        self.marks.mkdir(parents=True)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, **document: object) -> None:
        document = {"worker_id": f"kept-{os.getpid()}", "slots": 2, "labels": {}} | document
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            FAKE_AGENT,
            "--work-dir",
            str(self.directory),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(document).encode())
        self.process.stdin.close()
        await self.process.stdin.wait_closed()

    async def start_job(self, script: str = "") -> list[ProcessIdentity]:
        """Starts a worker whose job's processes try to outlive it."""
        program = f"exec {sys.executable} -Ic '{ESCAPEES.replace(chr(39), chr(34))}' {self.marks}"
        await self.start(labels={"scenario": "run_job", "script": script or program})
        return pids_in(self.marks, ESCAPEES_COUNT + 1)

    def read(self, name: str) -> dict[str, Any]:
        until((self.directory / name).exists)
        return json.loads((self.directory / name).read_text())

    def pid(self, name: str) -> int:
        return self.read("processes.json")[name]["pid"]

    def slot_pids(self) -> list[int]:
        agent = self.pid("agent")
        return [
            int(pid) for pid in Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
        ]

    async def exit_code(self, within_s: float = 5.0) -> int:
        assert self.process is not None
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def said(self) -> str:
        assert self.process is not None
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[KeptWorker]:
    worker = KeptWorker(tmp_path / "worker")
    yield worker
    if worker.process is not None and worker.process.returncode is None:
        worker.process.send_signal(signal.SIGQUIT)
        await worker.process.wait()


def exists(path: str) -> bool:
    return Path(path).exists()


def none_live(tree: list[ProcessIdentity]) -> bool:
    return not any(lives(each.pid) for each in tree)


async def test_the_agents_exit_code_is_the_keepers(worker: KeptWorker) -> None:
    await worker.start(labels={"scenario": "exit_at_once", "code": "42"})
    assert await worker.exit_code() == 42
    assert worker.read("exit.json") == {"exit_code": 42, "signal": None}


async def test_what_a_terminal_sends_to_all_reaches_the_agent_once(worker: KeptWorker) -> None:
    await worker.start(labels={"scenario": "until_signals"})
    until((worker.directory / "processes.json").exists)
    until((worker.directory / "work-ready").exists)
    assert worker.process is not None
    group = os.getpgid(worker.pid("keeper"))
    assert os.getpgid(worker.pid("agent")) != group, "the keeper alone hears the terminal"
    os.killpg(group, signal.SIGINT)
    worker.process.send_signal(signal.SIGTERM)
    assert await worker.exit_code() == signal.SIGINT + signal.SIGTERM


async def test_a_killed_agent_takes_its_whole_tree_along(worker: KeptWorker) -> None:
    tree = await worker.start_job()
    slots = worker.slot_pids()
    os.kill(worker.pid("agent"), signal.SIGKILL)
    assert await worker.exit_code(within_s=2) == 128 + signal.SIGKILL
    assert none_live(tree), "the keeper's end is the proof"
    assert not any(lives(pid) for pid in slots)
    assert worker.read("exit.json") == {"exit_code": None, "signal": signal.SIGKILL}


async def test_agent_and_slots_killed_at_once_leave_their_jobs_to_the_keeper(
    worker: KeptWorker,
) -> None:
    tree = await worker.start_job()
    victims = [worker.pid("agent"), *worker.slot_pids()]
    # Stopped first, so that no slot sees the agent die.
    for signum in (signal.SIGSTOP, signal.SIGKILL):
        for pid in reversed(victims):
            os.kill(pid, signum)
    assert await worker.exit_code(within_s=2) == 128 + signal.SIGKILL
    assert none_live(tree)


async def test_a_killed_keeper_takes_agent_and_tree_along(worker: KeptWorker) -> None:
    tree = await worker.start_job()
    everybody = [worker.pid("agent"), *worker.slot_pids(), *(each.pid for each in tree)]
    os.kill(worker.pid("keeper"), signal.SIGKILL)
    until(lambda: not any(lives(pid) for pid in everybody), within_s=2)


async def test_the_control_group_of_a_killed_keeper_is_removed_by_the_next(
    worker: KeptWorker, tmp_path: Path
) -> None:
    await worker.start()
    group = worker.read("processes.json")["cgroup"]
    if group is None:
        pytest.skip("no cgroup v2 with cgroup.kill may be made here")
    slots = worker.slot_pids()
    os.kill(worker.pid("keeper"), signal.SIGKILL)
    await worker.exit_code()
    until(lambda: not any(lives(pid) for pid in slots))
    successor = KeptWorker(tmp_path / "successor")
    await successor.start(labels={"scenario": "exit_at_once", "code": "0"})
    assert await successor.exit_code() == 0
    assert not exists(group)


async def test_a_killed_slot_is_told_to_the_agent_once_its_job_is_gone(
    worker: KeptWorker,
) -> None:
    tree = await worker.start_job()
    os.kill(worker.slot_pids()[0], signal.SIGKILL)
    assert await worker.exit_code(within_s=2) == 7, "run_job ends so when its slot dies"
    # The agent looks at the job's processes before it ends, and the other slot is spared.
    assert json.loads((worker.marks / "seen-at-death").read_text()) == {"other_slot_lives": True}
    assert none_live(tree)


async def test_sigquit_ends_everything_at_once(worker: KeptWorker) -> None:
    tree = await worker.start_job()
    assert worker.process is not None
    worker.process.send_signal(signal.SIGQUIT)
    assert await worker.exit_code(within_s=2) == 128 + signal.SIGKILL
    assert none_live(tree)


async def test_a_second_worker_in_the_same_directory_is_refused(worker: KeptWorker) -> None:
    await worker.start()
    worker.pid("agent")
    second = KeptWorker.__new__(KeptWorker)
    second.directory = worker.directory
    await second.start()
    assert await second.exit_code() == 2
    assert "another worker works in" in await second.said()
    assert lives(worker.pid("agent"))


async def run_agent_command(
    *arguments: str, document: bytes = b"", **environment: str
) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hodei.agent",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    _, said = await process.communicate(document)
    return process.returncode, said.decode()


async def test_a_document_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    code, said = await run_agent_command(
        "--work-dir", str(tmp_path), document=b'{"worker_id": "-", "otp": "secret"}'
    )
    assert (code, said.count("\n"), "worker_id" in said) == (2, 1, True)
    assert "secret" not in said


async def test_a_document_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    code, said = await run_agent_command("--bootstrap", str(tmp_path / "missing"))
    assert (code, said.count("\n"), "missing" in said) == (2, 1, True)


async def test_an_operator_may_put_the_bootstrap_into_the_environment(tmp_path: Path) -> None:
    code, said = await run_agent_command("--work-dir", str(tmp_path), HODEI_OTP_TOKEN="secret")
    assert (code, said.count("\n"), "HODEI_WORKER_ID" in said) == (2, 1, True)
    assert "secret" not in said


async def test_processes_have_names_that_tell_them_apart(worker: KeptWorker) -> None:
    await worker.start()
    until(lambda: len(worker.slot_pids()) == 2)
    pids = [worker.pid("keeper"), worker.pid("agent"), *worker.slot_pids()]
    until(lambda: not any(name_of(pid) == "hodei-agent" for pid in worker.slot_pids()))
    assert {name_of(pid) for pid in pids} == {
        "hodei-keeper",
        "hodei-agent",
        "hodei-slot-0",
        "hodei-slot-1",
    }
