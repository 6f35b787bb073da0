"""The Docker provider: workers as containers."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog
from aiodocker import Docker
from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError

from hodei.domain.jobs.container import PullPolicy
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.fit import REGION_LABEL, Containers
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.providers.record import ProviderType
from hodei.kernel.ids import ClusterId, ProviderName, WorkerId, is_valid_id
from hodei.lifecycle.service import TaskSet
from hodei.ports.providers import (
    Bootstrap,
    Capabilities,
    Handle,
    InstanceEvent,
    KindUnavailableError,
    ProviderUnavailableError,
    ProvisioningRefusedError,
    ProvisionRequest,
    WatchGap,
)
from hodei.providers.docker.container import (
    WORKER_LABEL,
    container_name,
    describe_container,
    labels_of,
)
from hodei.providers.docker.engine import Engine, EngineAddress
from hodei.providers.docker.examine import examine, find_bundle, require_linux
from hodei.providers.docker.images import ImageFacts, Images, architecture_of
from hodei.providers.docker.options import DockerOptions
from hodei.providers.docker.refusals import of_container
from hodei.providers.docker.watch import ContainerWatch

log = structlog.get_logger()

_DESTROY_WITHIN_S: Final = 30.0
"""Past it a removal is not confirmed."""
_CONFLICT: Final = 409
"""The status of creating a container whose name is taken, and of removing one that is on its way."""
_LOOK_AGAIN_S: Final = 0.05
"""Between two looks at a removal that somebody else has begun."""
_AT_ONCE: Final = 8
"""Containers that are made at the same time; the engine makes few at once whatever is asked."""
_LIVE: Final = frozenset({"running", "restarting"})
_NO_KIND: Final = WorkerKind()
_ABOUT_DEFAULT: Final = (
    "it is the provider's default (docker.image, HODEI_WORKER_IMAGE), for jobs that name none: make "
    "worker-image builds hodei-worker; or name another image for the job (--image)"
)


class _TakenError(KindUnavailableError):
    """There is a container of that name: the worker's own, as a rule, of an earlier try."""


class DockerProvider:
    """Makes a container for each worker. They outlive the server.

    Args:
        cluster_id: Whose workers they are.
        address: Where the engine is.
        options: What the operator decides.
        name: Under which it is configured.
    """

    def __init__(
        self,
        *,
        cluster_id: ClusterId,
        address: EngineAddress,
        options: DockerOptions,
        name: str = "docker",
    ) -> None:
        self._name = ProviderName(name)
        self._options = options
        self._engine = Engine(address)
        self._images = Images(self._engine, options.registry_auth_file)
        self._labels = labels_of(cluster_id, self._name)
        self._events: asyncio.Queue[InstanceEvent | BaseException] = asyncio.Queue()
        self._watch = ContainerWatch(self._engine, self._labels, self._events.put_nowait)
        self._tasks = TaskSet()
        # Each lock is there as long as somebody holds it or waits for it.
        self._making: WeakValueDictionary[WorkerId, asyncio.Lock] = WeakValueDictionary()
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._prepared: set[tuple[str, str]] = set()
        """Images that the engine was seen to have, with the platform that they were asked for."""
        self._architecture = ""
        self._host = Resources()

    @property
    def name(self) -> ProviderName:
        """As it is configured; `docker` as a rule."""
        return self._name

    def capabilities(self) -> Capabilities:
        """What a container may have: at most all of the engine's host, known once started."""
        options = self._options
        return Capabilities(
            type=ProviderType.DOCKER,
            max_workers=options.max_workers,
            slots_per_worker=options.slots,
            max_jobs_per_worker=options.jobs_per_worker,
            resources=self._host,
            labels={REGION_LABEL: options.region, **options.labels},
            confirms_destroy=True,
            is_on_this_host=True,
            containers=Containers(
                has_default_image=bool(options.default_image),
                takes_jobs_without_image=options.takes_jobs_without_image,
                allowed_options=options.job_options,
            ),
            admission=options.admission,
            annotations=options.annotations,
        )

    async def start(self) -> None:
        """Finds the engine and looks after the containers of an earlier run."""
        if self._engine.is_open:
            return
        await self._engine.open()
        try:
            await self._meet()
        except BaseException:
            await self._engine.close()
            raise
        watching = self._tasks.start(self._watch.run(), name=f"watch of {self._name}")
        watching.add_done_callback(self._watch_ended)

    async def stop(self) -> None:
        """Lets go of the engine; containers live on."""
        await self._tasks.close()
        await self._engine.close()

    async def prepare(self, kind: WorkerKind | None) -> None:
        """Sees to it that the engine has the image."""
        kind = kind or _NO_KIND
        await self._image_of(kind)
        self._prepared.add(self._wanted_by(kind))

    def is_prepared(self, kind: WorkerKind | None) -> bool:
        """Whether the engine had the image when it was last asked."""
        kind = kind or _NO_KIND
        # One that is always fetched anew is never there.
        is_kept = self._policy_of(kind) is not PullPolicy.ALWAYS
        return is_kept and self._wanted_by(kind) in self._prepared

    async def provision(self, request: ProvisionRequest) -> Handle:
        """Starts a container. One of the same worker that runs is found."""
        if not is_valid_id(request.worker_id):
            raise ProvisioningRefusedError(f"{request.worker_id!r} cannot be a worker's id")
        async with self._alone(request.worker_id), self._limit:
            # Not looked for before: as a rule there is none, the engine refuses a second one of a
            # name, and a look would cost every cold start a round trip.
            with suppress(_TakenError):
                return await self._make(request)
            found = await self._of_worker(request.worker_id)
            for container in found:
                if container["State"] in _LIVE:
                    return self._handle(request.worker_id, container.id)
            # What an earlier try left half made, or what has ended.
            await self._remove(found)
            return await self._make(request)

    async def destroy(self, handle: Handle) -> None:
        """Kills the container with everything in it, and removes it with its files."""
        async with self._alone(handle.worker_id):
            await self._remove(await self._of_worker(handle.worker_id))

    async def is_running(self, handle: Handle) -> bool:
        """Whether the worker's container runs; one that is paused does not."""
        found = await self._of_worker(handle.worker_id)
        return any(container["State"] in _LIVE for container in found)

    async def watch(self) -> AsyncIterator[InstanceEvent]:
        """Ends of containers, at once: the engine says so."""
        yield WatchGap()
        while True:
            event = await self._events.get()
            if isinstance(event, BaseException):
                raise event
            yield event

    async def list_owned(self) -> list[Handle]:
        """Every container with this cluster's and this provider's labels, running or not."""
        return [
            self._handle(WorkerId(each["Labels"][WORKER_LABEL]), each.id)
            for each in await self._list({})
            if WORKER_LABEL in each["Labels"]
        ]

    async def examine(self) -> Mapping[str, str]:
        """Asks the engine, over a connection of its own."""
        engine = Engine(self._engine.address)
        await engine.open()
        try:
            return await examine(engine, self._options)
        finally:
            await engine.close()

    async def health(self) -> str:
        """Whether the engine answers."""
        try:
            async with self._engine.asked() as docker:
                await docker.version()
        except ProviderUnavailableError as error:
            return str(error)
        except DockerError as error:
            return f"the Docker engine is not well: {error.message}"
        return ""

    def _watch_ended(self, watching: "asyncio.Task[None]") -> None:
        # A provider that has gone blind by a defect must not look like one where nothing happens.
        if not watching.cancelled() and (error := watching.exception()) is not None:
            self._events.put_nowait(error)

    async def _meet(self) -> None:
        info = await self._engine.info()
        require_linux(info, self._engine.address)
        self._architecture = architecture_of(info)
        self._images.default_registry = str(info.get("IndexServerAddress", ""))
        self._host = Resources(
            cpu_millicores=int(info["NCPU"]) * 1000,
            memory_bytes=int(info["MemTotal"]),
            gpu_count=self._options.gpus,
        )
        found = await find_bundle(self._options, self._engine.address, self._architecture)
        self._options = replace(self._options, agent_bundle=found)

    async def _image_of(self, kind: WorkerKind) -> ImageFacts:
        image, platform = self._wanted_by(kind)
        if not image:
            raise ProvisioningRefusedError(
                "image: this provider has no default: name one (--image)"
            )
        self._require_own_architecture(platform)
        try:
            facts = await self._images.ensure(image, self._policy_of(kind), platform)
        except (KindUnavailableError, ProvisioningRefusedError) as error:
            if kind.image:
                raise
            # Whoever named no image does not know where the name comes from.
            raise type(error)(f"{error}; {_ABOUT_DEFAULT}") from error
        self._require_architecture(image, facts)
        return facts

    def _wanted_by(self, kind: WorkerKind) -> tuple[str, str]:
        """The image of a kind, and the platform that it names; empty without."""
        platform = kind.container.platform if kind.container else ""
        return kind.image or self._options.default_image, platform

    def _policy_of(self, kind: WorkerKind) -> PullPolicy:
        return (kind.container and kind.container.pull) or self._options.pull

    def _require_architecture(self, image: str, facts: ImageFacts) -> None:
        if facts.architecture not in {"", self._architecture}:
            raise ProvisioningRefusedError(
                f"image: {image} is for {facts.architecture}, and the engine's host is "
                f"{self._architecture}: name an image or a tag for {self._architecture}, or have it "
                "fetched anew (--pull always)"
            )

    def _require_own_architecture(self, platform: str) -> None:
        """Refuses what would be fetched for nothing."""
        wanted = platform.split("/")[1] if platform else self._architecture
        if wanted != self._architecture:
            raise ProvisioningRefusedError(
                f"container.platform: {platform} does not run on the engine's host, which is "
                f"{self._architecture}: ask for linux/{self._architecture} (--platform), or for none"
            )

    async def _make(self, request: ProvisionRequest) -> Handle:
        kind = request.kind or _NO_KIND
        image, platform = self._wanted_by(kind)
        facts = await self._images.facts(image)
        if facts is None:
            self._prepared.discard((image, platform))
            facts = await self._image_of(kind)
        else:
            self._require_architecture(image, facts)
        body = describe_container(
            self._options,
            kind,
            image=image,
            image_user=facts.user,
            labels={**request.labels, **self._labels, WORKER_LABEL: request.worker_id},
        )
        clock = asyncio.get_running_loop().time
        began_at = clock()
        try:
            async with self._engine.asked() as docker:
                name = container_name(request.worker_id)
                container = await _create(docker, body, name)
                created_at = clock()
                await _start(container, request.bootstrap)
        except DockerError as error:
            refusal = of_container(error, doing=f"making a container from {image}")
            await self._undo(request.worker_id)
            raise refusal from error
        steps = {"create": created_at - began_at, "start": clock() - created_at}
        return self._handle(request.worker_id, container.id, steps)

    async def _undo(self, worker_id: WorkerId) -> None:
        """Removes what was made, as far as possible now; the sweep finds what is left."""
        try:
            await self._remove(await self._of_worker(worker_id))
        except ProviderUnavailableError as error:
            log.warning("container_left_behind", worker_id=worker_id, message=str(error))

    async def _remove(self, containers: list[DockerContainer]) -> None:
        for container in containers:
            try:
                async with self._engine.asked(_DESTROY_WITHIN_S) as docker:
                    await self._remove_one(docker.containers.container(container.id))
            except DockerError as error:
                raise ProviderUnavailableError(
                    f"container {container.id[:12]} is not removed: {error.message}"
                ) from error

    async def _remove_one(self, container: DockerContainer) -> None:
        while True:
            try:
                return await container.delete(force=True, v=True)
            except DockerError as error:
                if error.status == 404:
                    return None
                if error.status != _CONFLICT:
                    raise
                # Somebody else removes it already: gone is only what is not there any more.
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _of_worker(self, worker_id: WorkerId) -> list[DockerContainer]:
        return await self._list({WORKER_LABEL: worker_id})

    async def _list(self, more: dict[str, str]) -> list[DockerContainer]:
        labels = [f"{name}={value}" for name, value in (self._labels | more).items()]
        filters = json.dumps({"label": labels})
        try:
            async with self._engine.asked() as docker:
                return await docker.containers.list(all="true", filters=filters)
        except DockerError as error:
            raise ProviderUnavailableError(
                f"the Docker engine does not list its containers: {error.message}"
            ) from error

    def _handle(
        self, worker_id: WorkerId, container: str, steps: dict[str, float] | None = None
    ) -> Handle:
        data = {"container": container}
        return Handle(provider=self._name, worker_id=worker_id, data=data, steps=steps or {})

    @asynccontextmanager
    async def _alone(self, worker_id: WorkerId) -> AsyncGenerator[None]:
        """One at a time for each worker."""
        lock = self._making.setdefault(worker_id, asyncio.Lock())
        async with lock:
            yield


async def _create(docker: Docker, body: dict[str, Any], name: str) -> DockerContainer:
    try:
        return await docker.containers.create(body, name=name)
    except DockerError as error:
        if error.status == _CONFLICT:
            raise _TakenError(f"container {name} is not made: {error.message}") from error
        raise


async def _start(container: DockerContainer, bootstrap: Bootstrap) -> None:
    """Starts the agent and tells it who it is, by the stdin that nobody else gets to read."""
    document = json.dumps(asdict(bootstrap)).encode()
    # Attached first: one that started with nobody there would wait for its document for good.
    async with container.attach(stdin=True) as stream:
        await container.start()
        await stream.write_in(document)
