"""The local provider over real processes: crashes at any instant, and what they leave behind."""

import asyncio
import fcntl
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hodei.kernel.ids import ClusterId, WorkerId
from hodei.lifecycle.processes import ProcessIdentity, boot_id
from hodei.ports.providers import (
    Bootstrap,
    Handle,
    InstanceStopped,
    ProviderUnavailableError,
    ProvisioningRefusedError,
    ProvisionRequest,
)
from hodei.providers.local import LocalProvider
from hodei.providers.local.instance import Instance
from integration.processes import ESCAPEES, ESCAPEES_COUNT, lives, open_files, pids_in, until

FAKE_AGENT = (sys.executable, str(Path(__file__).with_name("fake_agent.py")))


def provider_in(directory: Path, command: tuple[str, ...] = FAKE_AGENT) -> LocalProvider:
    return LocalProvider(
        cluster_id=ClusterId("c"), workers=directory / "workers", agent_command=command, slots=2
    )


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[LocalProvider]:
    provider = provider_in(tmp_path)
    await provider.start()
    yield provider
    for handle in await provider.list_owned():
        await provider.destroy(handle)
    await provider.stop()


def request_for(name: str, **labels: str) -> ProvisionRequest:
    worker_id = WorkerId(name)
    bootstrap = Bootstrap(
        worker_id=worker_id,
        cluster_id=ClusterId("c"),
        enroll_address="127.0.0.1:1",
        worker_address="127.0.0.1:1",
        ca_fingerprint="sha256:" + "0" * 64,
        otp="a secret",
        slots=2,
        labels=labels,
    )
    return ProvisionRequest(worker_id=worker_id, bootstrap=bootstrap)


async def with_a_job(
    provider: LocalProvider, tmp_path: Path
) -> tuple[Handle, list[ProcessIdentity]]:
    """A worker whose job's processes try to outlive it."""
    marks = tmp_path / "workers" / "busy" / "marks"
    marks.mkdir(parents=True, mode=0o700)
    script = f"exec {sys.executable} -Ic '{ESCAPEES.replace(chr(39), chr(34))}' {marks}"
    handle = await provider.provision(request_for("busy", scenario="run_job", script=script))
    return handle, pids_in(marks, ESCAPEES_COUNT + 1)


def processes_of(tmp_path: Path, name: str) -> dict[str, int]:
    record = json.loads((tmp_path / "workers" / name / "processes.json").read_text())
    return {"keeper": record["keeper"]["pid"], "agent": record["agent"]["pid"]}


def without_control_group(tmp_path: Path, name: str) -> None:
    """Has the provider believe that none could be made."""
    path = tmp_path / "workers" / name / "processes.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cgroup": None}))


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def exists(path: Path | str) -> bool:
    return Path(path).exists()


def told_by(handle: Handle, name: str) -> bytes:
    return Path(f"/proc/{handle.data['pid']}/{name}").read_bytes()


async def begin_and_give_up(provider: LocalProvider, tmp_path: Path) -> None:
    """Cancels the provisioning of w-1 when its request is on its way, as a crash would."""
    lock = tmp_path / "workers" / "w-1" / "alive.lock"
    starting = asyncio.ensure_future(provider.provision(request_for("w-1")))  # noqa: TID251
    for _ in range(1000):
        if exists(lock):
            break
        await asyncio.sleep(0)
    assert not starting.done()
    starting.cancel()
    await asyncio.wait([starting])


def named_like(tmp_path: Path) -> list[int]:
    """Living processes that have a file below `tmp_path` open."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [
        pid
        for pid in pids
        if pid != os.getpid()
        and lives(pid)
        and any(name.startswith(str(tmp_path / "workers" / "w-1")) for name in open_files(pid))
    ]


async def next_stop(provider: LocalProvider, within_s: float = 5.0) -> InstanceStopped:
    async with asyncio.timeout(within_s):
        async for event in provider.watch():
            if isinstance(event, InstanceStopped):
                return event
    raise AssertionError("a watch does not end by itself")


# -- nothing survives --


async def test_destroying_ends_the_jobs_whole_tree(provider: LocalProvider, tmp_path: Path) -> None:
    handle, tree = await with_a_job(provider, tmp_path)
    await provider.destroy(handle)
    assert not any(lives(each.pid) for each in tree)
    assert not exists(tmp_path / "workers" / "busy")


async def test_a_killed_agent_is_reported_once_its_tree_is_gone(
    provider: LocalProvider, tmp_path: Path
) -> None:
    handle, tree = await with_a_job(provider, tmp_path)
    os.kill(int(handle.data["pid"]), signal.SIGKILL)
    stopped = await next_stop(provider, within_s=2)
    assert not any(lives(each.pid) for each in tree)
    assert "signal 9" in stopped.reason


async def test_a_killed_keeper_is_reported_and_destroying_confirms_the_end(
    provider: LocalProvider, tmp_path: Path
) -> None:
    handle, tree = await with_a_job(provider, tmp_path)
    os.kill(processes_of(tmp_path, "busy")["keeper"], signal.SIGKILL)
    assert (await next_stop(provider, within_s=2)).worker_id == "busy"
    await provider.destroy(handle)
    assert not any(lives(each.pid) for each in tree)


@pytest.mark.parametrize("without_cgroup", [False, True])
async def test_keeper_agent_and_slots_killed_at_once_leave_nothing_after_destroying(
    provider: LocalProvider, tmp_path: Path, *, without_cgroup: bool
) -> None:
    handle, tree = await with_a_job(provider, tmp_path)
    pids = processes_of(tmp_path, "busy")
    victims = [pids["keeper"], pids["agent"], *children_of(pids["agent"])]
    # Stopped first, so that none sees another die.
    for signum in (signal.SIGSTOP, signal.SIGKILL):
        for pid in victims:
            os.kill(pid, signum)
    until(lambda: not any(lives(pid) for pid in victims))
    assert any(lives(each.pid) for each in tree), "else this test tries nothing"
    if without_cgroup:
        without_control_group(tmp_path, "busy")
    assert (await next_stop(provider)).worker_id == "busy"
    await provider.destroy(handle)
    # The daemon has emptied the environment that it sees, not the one that the kernel shows.
    assert not any(lives(each.pid) for each in tree)


async def test_a_slot_that_was_stopped_before_its_agent_died_is_found_by_the_lock_it_holds(
    provider: LocalProvider, tmp_path: Path
) -> None:
    handle, tree = await with_a_job(provider, tmp_path)
    without_control_group(tmp_path, "busy")
    pids = processes_of(tmp_path, "busy")
    slots = children_of(pids["agent"])
    for signum, victims in (
        (signal.SIGSTOP, [pids["keeper"], *slots]),
        (signal.SIGKILL, pids.values()),
    ):
        for pid in victims:
            os.kill(pid, signum)
    until(lambda: not any(lives(pid) for pid in pids.values()))
    assert all(lives(pid) for pid in slots), "else this test tries nothing"
    await provider.destroy(handle)
    until(lambda: not any(lives(pid) for pid in slots))
    assert not any(lives(each.pid) for each in tree)


async def test_a_stopped_keeper_does_not_hold_up_a_destruction(
    provider: LocalProvider, tmp_path: Path
) -> None:
    handle, tree = await with_a_job(provider, tmp_path)
    os.kill(processes_of(tmp_path, "busy")["keeper"], signal.SIGSTOP)
    await provider.destroy(handle)
    assert not any(lives(each.pid) for each in tree)


async def test_what_a_job_made_unwritable_is_removed(
    provider: LocalProvider, tmp_path: Path
) -> None:
    handle = await provider.provision(request_for("w-1"))
    closed = tmp_path / "workers" / "w-1" / "work" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    closed.chmod(0o500)
    await provider.destroy(handle)
    assert not (tmp_path / "workers" / "w-1").exists()


async def test_no_control_group_is_left(provider: LocalProvider, tmp_path: Path) -> None:
    handle = await provider.provision(request_for("w-1"))
    record = json.loads((tmp_path / "workers" / "w-1" / "processes.json").read_text())
    if record["cgroup"] is None:
        pytest.skip("no cgroup v2 with cgroup.kill may be made here")
    assert exists(record["cgroup"])
    await provider.destroy(handle)
    assert not exists(record["cgroup"])


# -- whose it is --


async def test_a_pid_that_another_process_has_by_now_is_left_alone(
    provider: LocalProvider, tmp_path: Path
) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    directory = tmp_path / "workers" / "old"
    directory.mkdir()
    itself = {"pid": bystander.pid, "start_ticks": 1}
    record = {"boot_id": boot_id(), "keeper": itself, "agent": itself, "cgroup": None}
    (directory / "processes.json").write_text(json.dumps(record))
    handle = Handle(provider=provider.name, worker_id=WorkerId("old"), data={})
    assert not await provider.is_running(handle)
    await provider.destroy(handle)
    assert bystander.returncode is None
    assert lives(bystander.pid)
    bystander.kill()
    await bystander.wait()


async def test_a_record_of_another_boot_is_of_no_process(
    provider: LocalProvider, tmp_path: Path
) -> None:
    handle = await provider.provision(request_for("w-1"))
    path = tmp_path / "workers" / "w-1" / "processes.json"
    record = path.read_text()
    path.write_text(record.replace(boot_id(), "another"))
    assert not await provider.is_running(handle)
    path.write_text(record)


async def test_a_worker_id_that_is_a_path_is_refused(provider: LocalProvider) -> None:
    with pytest.raises(ProvisioningRefusedError):
        await provider.provision(request_for("../w-1"))


async def test_directory_and_log_are_the_owners_alone(
    provider: LocalProvider, tmp_path: Path
) -> None:
    await provider.provision(request_for("w-1"))
    directory = tmp_path / "workers" / "w-1"
    for path in (directory, *directory.iterdir(), tmp_path / "workers"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_the_servers_own_settings_do_not_reach_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HODEI_DATABASE_URL", "postgres://secret")
    monkeypatch.setenv("SEEN", "by jobs")
    provider = provider_in(tmp_path)
    await provider.start()
    handle = await provider.provision(request_for("w-1"))
    environment = told_by(handle, "environ")
    assert b"SEEN=by jobs" in environment
    assert b"HODEI_" not in environment
    assert b"a secret" not in environment + told_by(handle, "cmdline")
    await provider.destroy(handle)
    await provider.stop()


def test_a_lock_that_was_removed_before_it_was_taken_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Instance(tmp_path, WorkerId("w-1"))
    worker.create(ClusterId("c"))
    lock = fcntl.flock

    def remove_and_lock(fd: int, operation: int) -> None:
        worker.remove()
        worker.create(ClusterId("c"))
        worker.lock_path.touch()
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    with pytest.raises(FileNotFoundError):
        worker.try_lock()


# -- crashes of the server and of the zygote --


async def test_a_start_that_was_cut_short_is_found_by_the_next_one(
    provider: LocalProvider, tmp_path: Path
) -> None:
    await begin_and_give_up(provider, tmp_path)
    assert [each.worker_id for each in await provider.list_owned()] == ["w-1"]
    handle = await provider.provision(request_for("w-1"))
    assert await provider.is_running(handle)
    assert handle.data["pid"] == str(processes_of(tmp_path, "w-1")["agent"])


async def test_a_worker_that_is_being_started_can_be_destroyed(
    provider: LocalProvider, tmp_path: Path
) -> None:
    await begin_and_give_up(provider, tmp_path)
    await provider.destroy(Handle(provider=provider.name, worker_id=WorkerId("w-1"), data={}))
    assert await provider.list_owned() == []
    # What the provider had started by then knows its lock, its group or its directory.
    assert named_like(tmp_path) == []


async def test_a_killed_zygote_is_replaced_and_its_workers_live_on(
    provider: LocalProvider,
) -> None:
    before = await provider.provision(request_for("w-1"))
    assert provider._zygote is not None
    os.kill(provider._zygote.pid, signal.SIGKILL)
    after = await provider.provision(request_for("w-2"))
    assert await provider.is_running(before)
    assert await provider.is_running(after)
    assert await provider.health() == ""


async def test_a_stopped_provider_leaves_no_zygote(provider: LocalProvider) -> None:
    assert provider._zygote is not None
    pid = provider._zygote.pid
    await provider.stop()
    assert ProcessIdentity.of(pid) is None
    with pytest.raises(ProviderUnavailableError, match="stopped"):
        await provider.provision(request_for("w-1"))
    await provider.start()


async def test_an_agent_command_that_does_not_work_is_told_with_its_last_words(
    tmp_path: Path,
) -> None:
    missing = provider_in(tmp_path, ("no-such-agent",))
    with pytest.raises(ProviderUnavailableError, match="no-such-agent"):
        await missing.start()
    assert await missing.health() != ""
    broken = provider_in(tmp_path, (sys.executable, "-c", "raise SystemExit('lost my way')"))
    with pytest.raises(ProviderUnavailableError, match="lost my way"):
        await broken.start()


async def test_an_agent_that_ends_before_it_runs_is_told_with_its_last_words(
    provider: LocalProvider, tmp_path: Path
) -> None:
    with pytest.raises(ProviderUnavailableError, match="KeyError"):
        await provider.provision(request_for("w-1", scenario="no such scenario"))
    assert "KeyError" in (tmp_path / "workers" / "w-1" / "agent.log").read_text()


async def test_how_an_agent_ended_is_told(provider: LocalProvider) -> None:
    await provider.provision(request_for("w-1", scenario="exit_at_once", code="3"))
    stopped = await next_stop(provider)
    assert (stopped.exit_code, stopped.reason) == (3, "its agent exited with code 3")


async def test_a_long_log_of_an_earlier_start_is_thrown_away(
    provider: LocalProvider, tmp_path: Path
) -> None:
    log = tmp_path / "workers" / "w-1" / "agent.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * 2_000_000)
    await provider.provision(request_for("w-1"))
    assert log.stat().st_size < 2_000_000
