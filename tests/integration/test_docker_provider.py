"""The Docker provider beside what every provider owes: what it says of ends, of refusals, of gaps."""

import asyncio
import hashlib
import io
import json
import os
import signal
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from docker_engine import Engine
from docker_images import BUSYBOX, STATIC
from hodei.domain.jobs.container import ContainerOptions, Mount, PullPolicy
from hodei.domain.placement.kinds import WorkerKind
from hodei.kernel.ids import ClusterId, WorkerId
from hodei.ports.providers import (
    Bootstrap,
    Handle,
    InstanceEvent,
    InstanceStopped,
    KindUnavailableError,
    ProviderUnavailableError,
    ProvisioningRefusedError,
    ProvisionRequest,
    SightChanged,
    WatchGap,
)
from hodei.providers.docker import DockerOptions, DockerProvider, EngineAddress

CLUSTER = ClusterId("docker-tests")
AGENT = """#!/bin/sh
document=$(cat)
case "$document" in *'"worker_id": "says"'*) echo "$document"; exit 0;; esac
case "$document" in *'"worker_id": "fails'*) echo "cannot go on"; exit 7;; esac
trap 'exit 143' TERM
case "$document" in *stubborn*) trap '' TERM;; esac
echo waits
case "$document" in *greedy*) exec dd if=/dev/zero of=/dev/null bs=64M;; esac
while :; do sleep 0.05; done
"""
"""Reads who it is, and does what the worker's name says."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    directory = tmp_path / "bundle"
    directory.mkdir()
    agent = directory / "hodei-agent"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    return directory


Make = Callable[..., DockerProvider]


@pytest.fixture
async def make(docker_engine: Engine, bundle: Path) -> AsyncIterator[Make]:
    made: list[DockerProvider] = []

    def new(host: str = "", **options: object) -> DockerProvider:
        plain: dict[str, Any] = {"agent_bundle": bundle, "default_image": BUSYBOX} | options
        made.append(
            DockerProvider(
                cluster_id=CLUSTER,
                address=EngineAddress(host=host or docker_engine.host),
                options=DockerOptions(**plain),
            )
        )
        return made[-1]

    yield new
    for provider in made:
        await provider.stop()
    left = docker_engine.docker("ps", "-aq", "--filter", f"label=hodei.cluster={CLUSTER}").split()
    if left:
        docker_engine.docker("rm", "--force", "--volumes", *left)


@pytest.fixture
async def provider(make: Make) -> DockerProvider:
    provider = make()
    await provider.start()
    return provider


def request_for(name: str, **kind: object) -> ProvisionRequest:
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
        ),
        kind=WorkerKind(**kind),
    )


def until_it_waits(engine: Engine, container: str) -> None:
    while "waits" not in engine.docker("logs", container):
        time.sleep(0.05)


async def next_of(
    provider: DockerProvider, kind: type[InstanceEvent], *, within_s: float = 15
) -> Any:  # noqa: ANN401
    async with asyncio.timeout(within_s):
        async for event in provider.watch():
            if isinstance(event, kind):
                return event
    raise AssertionError("a watch does not end by itself")


def write_image(path: Path, name: str, *, architecture: str) -> None:
    """An image of one empty layer, as `docker load` takes it."""
    layer = io.BytesIO()
    tarfile.open(fileobj=layer, mode="w").close()
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"],
            },
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, mode="w") as tar:
        for member, data in (
            ("config.json", config),
            ("layer.tar", layer.getvalue()),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


async def inspected(engine: Engine, handle: Handle) -> dict[str, Any]:
    text = await asyncio.to_thread(engine.docker, "inspect", handle.data["container"])
    return json.loads(text)[0]


async def docker(engine: Engine, *arguments: str) -> str:
    return await asyncio.to_thread(engine.docker, *arguments)


async def test_the_agent_reads_its_document_from_stdin_and_nothing_else_has_it(
    docker_engine: Engine, provider: DockerProvider
):
    handle = await provider.provision(request_for("says"))
    said = await docker(docker_engine, "wait", handle.data["container"])
    assert said.strip() == "0"
    assert "a secret" in await docker(docker_engine, "logs", handle.data["container"])
    assert "a secret" not in json.dumps(await inspected(docker_engine, handle))
    assert set(handle.steps) == {"create", "start"}


async def test_what_an_earlier_try_left_half_made_is_made_anew(
    provider: DockerProvider, docker_engine: Engine
):
    labels = {"cluster": CLUSTER, "provider": provider.name, "worker": "half"}
    options = [
        word for key, value in labels.items() for word in ("--label", f"hodei.{key}={value}")
    ]
    name = ("--name", "hodei-half")
    left = (await docker(docker_engine, "create", *name, *options, BUSYBOX, "true")).strip()
    handle = await provider.provision(request_for("half"))
    assert await provider.is_running(handle)
    assert handle.data["container"] != left
    assert [owned.data for owned in await provider.list_owned()] == [handle.data]


async def test_a_container_of_somebody_else_that_has_the_name_is_left_alone_and_told_of(
    provider: DockerProvider, docker_engine: Engine
):
    theirs = await docker(docker_engine, "create", "--name", "hodei-taken", BUSYBOX, "true")
    try:
        with pytest.raises(KindUnavailableError, match="already in use"):
            await provider.provision(request_for("taken"))
    finally:
        # Fails where it is gone.
        await docker(docker_engine, "rm", theirs.strip())


async def test_a_container_may_do_little_and_is_as_large_as_the_job_asks(
    docker_engine: Engine, make: Make
):
    dns = ("10.0.0.53", "10.0.1.53")
    provider = make(labels={"team": "blue"}, cpu_millicores=250, dns_servers=dns)
    await provider.start()
    handle = await provider.provision(request_for("w-1", memory_bytes=2**26))
    shown = await inspected(docker_engine, handle)
    host = shown["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["Memory"], host["MemorySwap"]) == (2**26, 2**26)
    assert host["NanoCpus"] == 250_000_000
    assert host["PidsLimit"] == 1024
    assert host["Dns"] == [*dns]
    assert shown["Config"]["Labels"]["hodei.worker"] == "w-1"
    assert shown["Config"]["Labels"]["team"] == "blue"
    assert not any(each.startswith("HODEI") for each in shown["Config"]["Env"])


async def test_what_a_job_decides_about_its_container_is_done(
    docker_engine: Engine, make: Make, tmp_path: Path
):
    provider = make()
    await provider.start()
    (tmp_path / "data").mkdir()
    await docker(docker_engine, "network", "create", "hodei-test-net")
    try:
        own = ContainerOptions(
            pids_limit=64,
            shm_bytes=2**20,
            tmpfs=("/scratch:size=1m",),
            mounts=(Mount(source=str(tmp_path / "data"), target="/in", read_only=True),),
            network="hodei-test-net",
            extra_hosts=("cache:10.0.0.1",),
            user="65534:65534",
            cap_add=("NET_RAW",),
            read_only=True,
            runtime="runc",
        )
        handle = await provider.provision(request_for("w-1", container=own))
        shown = await inspected(docker_engine, handle)
        await provider.destroy(handle)
    finally:
        await docker(docker_engine, "network", "rm", "hodei-test-net")
    host = shown["HostConfig"]
    assert host["PidsLimit"] == 64
    assert host["ShmSize"] == 2**20
    assert host["Tmpfs"] == {"/scratch": "size=1m", "/hodei-work": "rw,exec,mode=1777"}
    assert ("/in", False) in {(each["Destination"], each["RW"]) for each in shown["Mounts"]}
    assert host["NetworkMode"] == "hodei-test-net"
    assert host["ExtraHosts"] == ["cache:10.0.0.1"]
    assert shown["Config"]["User"] == "65534:65534"
    assert host["CapAdd"] in (["NET_RAW"], ["CAP_NET_RAW"])
    assert host["ReadonlyRootfs"]
    assert shown["State"]["Running"]


async def test_a_removed_worker_leaves_no_volume_behind(
    docker_engine: Engine, provider: DockerProvider
):
    before = await docker(docker_engine, "volume", "ls", "-q")
    handle = await provider.provision(request_for("w-1"))
    assert await docker(docker_engine, "volume", "ls", "-q") != before
    await provider.destroy(handle)
    assert await docker(docker_engine, "volume", "ls", "-q") == before


@pytest.mark.parametrize(
    ("arguments", "name", "reason", "exit_code"),
    [
        (("kill",), "w-1", "signal 9", 137),
        # So long that the engine's own kill cannot be what ends it.
        (("stop", "--time", "100"), "w-1", "signal 15", 143),
        (("stop", "--time", "100"), "stubborn", "signal 15, then 9", 137),
        (("rm", "-f"), "w-1", "signal 9", 137),
        (("pause",), "w-1", "paused", None),
    ],
)
@pytest.mark.timeout(120)
async def test_the_end_by_another_hand_is_told_as_it_happens(
    docker_engine: Engine,
    provider: DockerProvider,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    name: str,
    reason: str,
    exit_code: int | None,
):
    # Nobody looks by himself: what is told is told by the engine's event.
    monkeypatch.setattr("hodei.providers.docker.watch._QUIET_S", 600)
    if name != "stubborn":
        # However slow the machine is.
        monkeypatch.setattr("hodei.providers.docker.watch._LEAVE_WITHIN_S", 600)
    handle = await provider.provision(request_for(name))
    container = handle.data["container"]
    # Its trap is set once it says so.
    await asyncio.to_thread(until_it_waits, docker_engine, container)
    async with asyncio.TaskGroup() as group:
        group.create_task(docker(docker_engine, *arguments, container))
        stopped = await next_of(provider, InstanceStopped, within_s=60)
    assert reason in stopped.reason
    assert stopped.exit_code == exit_code
    await provider.destroy(handle)
    assert await provider.list_owned() == []


async def test_an_agent_that_ends_by_itself_is_quoted(provider: DockerProvider):
    await provider.provision(request_for("fails-1"))
    stopped = await next_of(provider, InstanceStopped)
    assert stopped.exit_code == 7
    assert stopped.reason == "its agent exited with code 7: cannot go on"


async def test_a_container_that_runs_out_of_memory_says_so(provider: DockerProvider):
    await provider.provision(request_for("greedy", memory_bytes=8 * 2**20))
    stopped = await next_of(provider, InstanceStopped)
    assert "out of memory" in stopped.reason
    assert stopped.out_of_memory


async def test_an_engine_that_is_restarted_leaves_a_gap_and_the_ends_of_its_containers(
    docker_engine: Engine, make: Make, tmp_path: Path
):
    own = Engine(directory=Path(f"/tmp/hodei-restart-{os.getpid()}"))
    try:
        await asyncio.to_thread(own.start)
        tar = tmp_path / "image.tar"
        await docker(docker_engine, "save", "-o", str(tar), BUSYBOX)
        await docker(own, "load", "-i", str(tar))
        provider = make(own.host)
        await provider.start()
        await provider.provision(request_for("w-1"))
        await asyncio.to_thread(own.stop, signal.SIGKILL)
        lost = await next_of(provider, SightChanged)
        assert not lost.is_seen
        assert own.host in lost.message
        with pytest.raises(ProviderUnavailableError, match=r"cannot be reached|is not there"):
            await provider.list_owned()
        await asyncio.to_thread(own.start)
        assert (await next_of(provider, SightChanged)).is_seen
        assert await next_of(provider, InstanceStopped)
        assert await next_of(provider, WatchGap)
    finally:
        await asyncio.to_thread(own.remove)


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ({"memory_bytes": 4096}, "requirements.memory_bytes"),
        ({"cpu_millicores": 64_000}, "requirements.cpu_cores"),
        ({"gpu_count": 1}, "requirements.gpu_count"),
        (
            {"container": ContainerOptions(mounts=(Mount(source="/not-there", target="/in"),))},
            "container.mounts",
        ),
        ({"container": ContainerOptions(network="no-such-net")}, "container.network"),
        ({"container": ContainerOptions(runtime="no-such-runtime")}, "container.runtime"),
        ({"container": ContainerOptions(user="nobody-here")}, "container.user"),
        ({"container": ContainerOptions(cap_add=("NO_SUCH",))}, "container.cap_add"),
        ({"container": ContainerOptions(tmpfs=("/x:nonsense=1",))}, "container.tmpfs"),
        ({"container": ContainerOptions(tmpfs=("/x:size=much",))}, "container.tmpfs"),
    ],
)
async def test_what_the_engine_refuses_is_refused_by_the_name_of_the_option(
    provider: DockerProvider, kind: dict[str, Any], option: str
):
    with pytest.raises(ProvisioningRefusedError, match=option):
        await provider.provision(request_for("w-1", **kind))
    assert await provider.list_owned() == []


async def test_an_image_that_must_not_be_fetched_has_to_be_there(provider: DockerProvider):
    never = ContainerOptions(pull=PullPolicy.NEVER)
    await provider.prepare(WorkerKind(image=STATIC, container=never))
    with pytest.raises(ProvisioningRefusedError, match="image: the engine does not have"):
        await provider.prepare(WorkerKind(image="hodei-test/none:1", container=never))


async def test_an_image_that_is_gone_after_it_was_prepared_has_to_be_had_again(
    docker_engine: Engine, provider: DockerProvider
):
    await docker(docker_engine, "tag", STATIC, "hodei-test/passing:1")
    never = ContainerOptions(pull=PullPolicy.NEVER)
    kind = WorkerKind(image="hodei-test/passing:1", container=never)
    assert not provider.is_prepared(kind)
    await provider.prepare(kind)
    assert provider.is_prepared(kind)
    # What else a kind asks for changes nothing, but that it be fetched anew each time.
    always = ContainerOptions(pull=PullPolicy.ALWAYS)
    assert provider.is_prepared(WorkerKind(image=kind.image, memory_bytes=2**30))
    assert not provider.is_prepared(WorkerKind(image=kind.image, container=always))
    assert not provider.is_prepared(WorkerKind(image="hodei-test/other:1", container=never))

    await docker(docker_engine, "rmi", "hodei-test/passing:1")
    with pytest.raises(ProvisioningRefusedError, match="image: the engine does not have"):
        await provider.provision(request_for("w-1", image=kind.image, container=never))
    assert not provider.is_prepared(kind)


async def test_an_image_of_another_architecture_is_refused(
    docker_engine: Engine, provider: DockerProvider, tmp_path: Path
):
    tar = tmp_path / "foreign.tar"
    write_image(tar, "hodei-test/foreign:1", architecture="arm64")
    await docker(docker_engine, "load", "-i", str(tar))
    try:
        never = ContainerOptions(pull=PullPolicy.NEVER)
        with pytest.raises(ProvisioningRefusedError, match="is for arm64"):
            await provider.prepare(WorkerKind(image="hodei-test/foreign:1", container=never))
    finally:
        await docker(docker_engine, "rmi", "hodei-test/foreign:1")


async def test_a_platform_that_the_engine_cannot_run_is_refused_before_anything_is_fetched(
    provider: DockerProvider,
):
    other = ContainerOptions(platform="linux/s390x")
    with pytest.raises(
        ProvisioningRefusedError, match=r"container\.platform: linux/s390x does not"
    ):
        await provider.prepare(WorkerKind(image="127.0.0.1:1/tool:1", container=other))


@pytest.mark.parametrize("pull", [PullPolicy.NEVER, PullPolicy.MISSING])
async def test_a_default_image_that_cannot_be_had_is_told_to_who_named_none(
    make: Make, pull: PullPolicy
):
    provider = make(default_image="127.0.0.1:1/worker:1", pull=pull)
    await provider.start()
    error = KindUnavailableError if pull is PullPolicy.MISSING else ProvisioningRefusedError
    with pytest.raises(error, match=r"docker\.image.*make worker-image"):
        await provider.prepare(None)
    with pytest.raises(error) as caught:
        await provider.prepare(WorkerKind(image="127.0.0.1:1/tool:1"))
    assert "worker-image" not in str(caught.value)


async def test_a_registry_that_is_not_there_is_worth_another_try(provider: DockerProvider):
    with pytest.raises(KindUnavailableError, match="cannot be reached"):
        await provider.prepare(WorkerKind(image="127.0.0.1:1/tool:1"))


async def test_an_engine_that_is_not_there_is_told_at_the_start(make: Make, tmp_path: Path):
    with pytest.raises(ProviderUnavailableError, match="is not there: start it"):
        await make(f"unix://{tmp_path}/docker.sock").start()


async def test_a_bundle_that_is_not_there_is_told_at_the_start(make: Make, tmp_path: Path):
    with pytest.raises(ProviderUnavailableError, match="make agent-bundle"):
        await make(agent_bundle=tmp_path).start()


async def test_an_end_is_told_once_however_often_the_engine_speaks_of_it(
    docker_engine: Engine, provider: DockerProvider
):
    first = await provider.provision(request_for("w-1"))
    await docker(docker_engine, "kill", first.data["container"])
    assert (await next_of(provider, InstanceStopped)).worker_id == "w-1"
    # The engine tells of its removal, too.
    await provider.destroy(first)
    second = await provider.provision(request_for("w-2"))
    await docker(docker_engine, "kill", second.data["container"])
    assert (await next_of(provider, InstanceStopped)).worker_id == "w-2"
