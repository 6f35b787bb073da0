"""Images are fetched, and what a registry refuses is told with what to do about it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from docker_engine import Engine
from hodei.domain.jobs.container import ContainerOptions, PullPolicy
from hodei.domain.placement.kinds import WorkerKind
from hodei.kernel.ids import ClusterId
from hodei.ports.providers import KindUnavailableError, ProvisioningRefusedError
from hodei.providers.docker import DockerOptions, DockerProvider, EngineAddress
from support.registry import LOGIN, registry


@pytest.fixture
async def provider(docker_engine: Engine, tmp_path: Path) -> AsyncIterator[DockerProvider]:
    (tmp_path / "hodei-agent").touch()
    provider = DockerProvider(
        cluster_id=ClusterId("registry-tests"),
        address=EngineAddress(host=docker_engine.host),
        options=DockerOptions(agent_bundle=tmp_path, registry_auth_file=tmp_path / "config.json"),
    )
    (tmp_path / "config.json").write_text("{}")
    await provider.start()
    yield provider
    await provider.stop()


async def test_an_image_is_fetched_once_for_all_who_ask(
    docker_engine: Engine, provider: DockerProvider
):
    with registry() as images:
        image = f"{images.address}/tool:1"
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(provider.prepare(WorkerKind(image=image)))
        # One fetch looks, and then reads.
        assert (asked := images.asked) == 2
        await provider.prepare(WorkerKind(image=image))
        assert images.asked == asked
        always = ContainerOptions(pull=PullPolicy.ALWAYS)
        await provider.prepare(WorkerKind(image=image, container=always))
        assert images.asked == asked + 1
    await asyncio.to_thread(docker_engine.docker, "rmi", image)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "no such tag"),
        ("none", "no such image"),
        ("denied", "its registry refuses"),
    ],
)
async def test_what_a_registry_will_never_give_is_refused(
    provider: DockerProvider, name: str, said: str
):
    with registry() as images, pytest.raises(ProvisioningRefusedError, match=said):
        await provider.prepare(WorkerKind(image=f"{images.address}/{name}/tool:1"))


@pytest.mark.parametrize("name", ["broken", "busy"])
async def test_a_registry_that_is_in_trouble_is_worth_another_try(
    provider: DockerProvider, name: str
):
    with registry() as images, pytest.raises(KindUnavailableError, match="image"):
        await provider.prepare(WorkerKind(image=f"{images.address}/{name}/tool:1"))


async def test_a_private_image_is_had_with_a_login_and_refused_without(
    docker_engine: Engine, provider: DockerProvider, tmp_path: Path
):
    with registry(needs_login=True) as images:
        image = f"{images.address}/tool:1"
        with pytest.raises(ProvisioningRefusedError, match=r"docker\.registry_auth_file"):
            await provider.prepare(WorkerKind(image=image))
        auth = base64.b64encode(LOGIN.encode()).decode()
        config = {"auths": {images.address: {"auth": auth}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        await provider.prepare(WorkerKind(image=image))
    await asyncio.to_thread(docker_engine.docker, "rmi", image)


async def test_a_file_of_logins_that_cannot_be_read_is_named(
    provider: DockerProvider, tmp_path: Path
):
    (tmp_path / "config.json").write_text("not JSON")
    with registry() as images, pytest.raises(ProvisioningRefusedError, match="cannot be read"):
        await provider.prepare(WorkerKind(image=f"{images.address}/tool:1"))
