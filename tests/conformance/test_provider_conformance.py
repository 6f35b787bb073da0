"""What every provider owes its callers, whatever it brings up.

A provider joins with one more kind of `Fleet`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from docker_engine import Engine
from docker_images import BUSYBOX
from hodei.kernel.ids import ClusterId, WorkerId
from hodei.ports.providers import (
    Bootstrap,
    Handle,
    InstanceStopped,
    Provider,
    ProvisionRequest,
    WatchGap,
)
from hodei.providers.docker import DockerOptions, DockerProvider, EngineAddress
from hodei.providers.local import LocalProvider

CLUSTER = ClusterId("conformance")


class Fleet(Protocol):
    """A place where instances are, and providers that look at it."""

    def provider(self, cluster_id: ClusterId = CLUSTER) -> Provider:
        """A new provider over the same place, as after a restart of the server."""
        ...

    async def break_instance(self, handle: Handle) -> None:
        """Ends an instance by another hand than the provider's."""
        ...


class LocalFleet:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def provider(self, cluster_id: ClusterId = CLUSTER) -> Provider:
        agent = Path(__file__).parents[1] / "integration" / "fake_agent.py"
        return LocalProvider(
            cluster_id=cluster_id,
            workers=self._directory / "workers",
            agent_command=(sys.executable, str(agent)),
            slots=2,
            max_workers=8,
            labels={"disk": "fast"},
        )

    async def break_instance(self, handle: Handle) -> None:
        os.kill(int(handle.data["pid"]), signal.SIGKILL)


class DockerFleet:
    """Containers of a real engine, in which a shell stands for the agent."""

    def __init__(self, directory: Path, engine: Engine) -> None:
        self._engine = engine
        self._bundle = directory / "bundle"
        self._bundle.mkdir()
        agent = self._bundle / "hodei-agent"
        agent.write_text("#!/bin/sh\ncat > /dev/null\nexec sleep 1000000\n")
        agent.chmod(0o755)

    def provider(self, cluster_id: ClusterId = CLUSTER) -> Provider:
        return DockerProvider(
            cluster_id=cluster_id,
            address=EngineAddress(host=self._engine.host),
            options=DockerOptions(
                agent_bundle=self._bundle,
                default_image=BUSYBOX,
                slots=2,
                max_workers=8,
                labels={"disk": "fast"},
            ),
        )

    async def break_instance(self, handle: Handle) -> None:
        await asyncio.to_thread(self._engine.docker, "kill", handle.data["container"])


@pytest.fixture(params=["local", "docker"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Fleet:
    if request.param == "docker":
        return DockerFleet(tmp_path, request.getfixturevalue("docker_engine"))
    return LocalFleet(tmp_path)


@pytest.fixture
async def provider(fleet: Fleet) -> AsyncIterator[Provider]:
    provider = fleet.provider()
    await provider.start()
    yield provider
    await provider.start()  # a test may have stopped it
    for handle in await provider.list_owned():
        await provider.destroy(handle)
    await provider.stop()


def request_for(name: str) -> ProvisionRequest:
    worker_id = WorkerId(name)
    return ProvisionRequest(
        worker_id=worker_id,
        bootstrap=Bootstrap(
            worker_id=worker_id,
            cluster_id=CLUSTER,
            enroll_address="127.0.0.1:1",
            worker_address="127.0.0.1:1",
            ca_fingerprint="sha256:" + "0" * 64,
            otp="a secret",
            slots=2,
        ),
    )


async def next_stop(provider: Provider) -> InstanceStopped:
    async with asyncio.timeout(5):
        async for event in provider.watch():
            if isinstance(event, InstanceStopped):
                return event
    raise AssertionError("a watch does not end by itself")


async def test_what_is_provisioned_runs_and_is_owned(provider: Provider) -> None:
    handle = await provider.provision(request_for("w-1"))
    assert (handle.provider, handle.worker_id) == (provider.name, "w-1")
    assert await provider.is_running(handle)
    assert await provider.list_owned() == [handle]


async def test_provisioning_twice_finds_the_first(provider: Provider) -> None:
    first = await provider.provision(request_for("w-1"))
    assert await provider.provision(request_for("w-1")) == first


async def test_provisioning_one_worker_many_times_at_once_makes_one(provider: Provider) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(provider.provision(request_for("w-1"))) for _ in range(8)]
    assert all(task.result() == tasks[0].result() for task in tasks)
    assert len(await provider.list_owned()) == 1


async def test_many_workers_come_up_at_once(provider: Provider) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(provider.provision(request_for(f"w-{number}")))
    owned = await provider.list_owned()
    assert {handle.worker_id for handle in owned} == {f"w-{number}" for number in range(8)}


async def test_what_is_destroyed_is_gone_and_may_be_destroyed_again(provider: Provider) -> None:
    handle = await provider.provision(request_for("w-1"))
    await provider.destroy(handle)
    assert not await provider.is_running(handle)
    assert await provider.list_owned() == []
    await provider.destroy(handle)
    await provider.destroy(Handle(provider=provider.name, worker_id=WorkerId("never"), data={}))


async def test_a_handle_from_before_the_instance_was_made_is_enough_to_destroy_it(
    provider: Provider,
) -> None:
    """A crash between making an instance and writing its handle down leaves only the worker id."""
    await provider.provision(request_for("w-1"))
    await provider.destroy(Handle(provider=provider.name, worker_id=WorkerId("w-1"), data={}))
    assert await provider.list_owned() == []


async def test_destroying_many_times_at_once_is_one_destruction(provider: Provider) -> None:
    handle = await provider.provision(request_for("w-1"))
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(provider.destroy(handle))
    assert await provider.list_owned() == []


async def test_a_destroyed_worker_may_be_provisioned_anew(provider: Provider) -> None:
    first = await provider.provision(request_for("w-1"))
    await provider.destroy(first)
    second = await provider.provision(request_for("w-1"))
    assert await provider.is_running(second)


async def test_a_watch_begins_with_a_gap(provider: Provider) -> None:
    async for event in provider.watch():
        assert event == WatchGap()
        break


async def test_an_instance_that_ends_is_reported_once(fleet: Fleet, provider: Provider) -> None:
    broken = await provider.provision(request_for("w-1"))
    other = await provider.provision(request_for("w-2"))
    await provider.provision(request_for("w-1"))  # found, and not watched twice
    await fleet.break_instance(broken)
    stopped = await next_stop(provider)
    assert stopped.worker_id == "w-1"
    assert stopped.reason
    assert not await provider.is_running(broken)
    await fleet.break_instance(other)
    assert (await next_stop(provider)).worker_id == "w-2"


async def test_an_ended_instance_is_owned_until_it_is_destroyed(
    fleet: Fleet, provider: Provider
) -> None:
    handle = await provider.provision(request_for("w-1"))
    await fleet.break_instance(handle)
    await next_stop(provider)
    assert [each.worker_id for each in await provider.list_owned()] == ["w-1"]
    await provider.destroy(handle)
    assert await provider.list_owned() == []


async def test_an_ended_worker_may_be_provisioned_anew(fleet: Fleet, provider: Provider) -> None:
    first = await provider.provision(request_for("w-1"))
    await fleet.break_instance(first)
    await next_stop(provider)
    second = await provider.provision(request_for("w-1"))
    assert second != first
    assert await provider.is_running(second)
    await fleet.break_instance(second)
    assert (await next_stop(provider)).worker_id == "w-1"


async def test_instances_outlive_the_provider_and_are_found_by_the_next(
    fleet: Fleet, provider: Provider
) -> None:
    handle = await provider.provision(request_for("w-1"))
    await provider.stop()
    successor = fleet.provider()
    await successor.start()
    assert await successor.list_owned() == [handle]
    assert await successor.is_running(handle)
    assert await successor.provision(request_for("w-1")) == handle
    await fleet.break_instance(handle)
    assert (await next_stop(successor)).worker_id == "w-1"
    await successor.stop()


async def test_an_instance_that_ended_while_nobody_looked_is_reported(
    fleet: Fleet, provider: Provider
) -> None:
    handle = await provider.provision(request_for("w-1"))
    await provider.stop()
    await fleet.break_instance(handle)
    successor = fleet.provider()
    await successor.start()
    assert (await next_stop(successor)).worker_id == "w-1"
    await successor.stop()


async def test_another_clusters_instances_are_not_owned(fleet: Fleet, provider: Provider) -> None:
    await provider.provision(request_for("w-1"))
    stranger = fleet.provider(ClusterId("another"))
    await stranger.start()
    assert await stranger.list_owned() == []
    await stranger.stop()


async def test_starting_and_stopping_may_be_repeated(provider: Provider) -> None:
    await provider.start()
    await provider.stop()
    await provider.stop()
    await provider.start()
    assert await provider.is_running(await provider.provision(request_for("w-1")))


async def test_a_started_provider_is_well_and_a_stopped_one_says_so(provider: Provider) -> None:
    assert await provider.health() == ""
    await provider.stop()
    assert await provider.health() != ""


async def test_capabilities_do_not_change(provider: Provider) -> None:
    capabilities = provider.capabilities()
    assert capabilities.slots_per_worker == 2
    assert capabilities.max_workers == 8
    assert capabilities.labels["disk"] == "fast"
    assert capabilities.resources.cpu_millicores > 0
    assert capabilities.resources.memory_bytes > 0
    assert provider.capabilities() == capabilities
