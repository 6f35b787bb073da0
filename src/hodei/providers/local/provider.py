"""The local provider: workers as processes of this host."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

import structlog

from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.admission import EVERY_JOB, Admission
from hodei.domain.placement.fit import REGION_LABEL
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.providers.record import ProviderType
from hodei.kernel.ids import ClusterId, ProviderName, WorkerId, is_valid_id
from hodei.kernel.units import format_size
from hodei.lifecycle.service import TaskSet
from hodei.ports.providers import (
    Bootstrap,
    Capabilities,
    Handle,
    InstanceEvent,
    InstanceStopped,
    ProviderUnavailableError,
    ProvisioningRefusedError,
    ProvisionRequest,
    WatchGap,
)
from hodei.providers.local.instance import Instance, Processes, parse_processes, remove_rests
from hodei.providers.local.leftovers import end_leftovers, remove_cgroup
from hodei.providers.local.readable import until_readable
from hodei.providers.local.zygote import Zygote

log = structlog.get_logger()

_DESTROY_WITHIN_S: Final = 15.0
"""Past it a destruction is not confirmed: something does not die, in the kernel most likely."""

_KEEPER_WITHIN_S: Final = 3.0
"""What a keeper gets to kill its tree before it is killed itself."""

_LOOK_AGAIN_S: Final = 0.02
"""Between two looks at what no descriptor tells: another's lock, processes that were killed."""

_START_WITHIN_S: Final = 30.0
"""What a keeper gets to start its agent; it takes some milliseconds."""

_ZYGOTE_BACKOFF_S: Final = 1.0
"""Before a zygote that does not live long is started again."""


class LocalProvider:
    """Starts agents as processes of this host. They outlive the server.

    Args:
        cluster_id: Whose workers they are.
        workers: The directory of the workers' directories.
        agent_command: How an agent is started; empty means this interpreter.
        slots: Jobs at once on one worker.
        max_workers: For the core to keep to.
        labels: Every worker gets these.
        annotations: Those of them that say what the provider is.
        admission: Which jobs it takes.
        region: The label hodei.region of the workers.
        custom_resources: Countable things that each worker has.
        name: Under which it is configured.
    """

    def __init__(  # noqa: PLR0913 - what an operator can decide, all by name
        self,
        *,
        cluster_id: ClusterId,
        workers: Path,
        agent_command: Sequence[str] = (),
        slots: int = 4,
        max_workers: int = 4,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        admission: Admission = EVERY_JOB,
        region: str = "local",
        custom_resources: Mapping[str, int] | None = None,
        name: str = "local",
    ) -> None:
        self._name = ProviderName(name)
        self._cluster_id = cluster_id
        self._workers = workers.absolute()
        # -P: the directory that the server was started in is no place to import from.
        self._command = tuple(agent_command) or (sys.executable, "-P", "-m", "hodei.agent")
        self._capabilities = Capabilities(
            type=ProviderType.LOCAL,
            max_workers=max_workers,
            slots_per_worker=slots,
            resources=_resources_of_host(self._workers, custom_resources or {}),
            labels={REGION_LABEL: region, **(labels or {})},
            confirms_destroy=True,
            is_on_this_host=True,
            admission=admission,
            annotations=dict(annotations or {}),
        )
        self._zygote: Zygote | None = None
        self._zygote_lock = asyncio.Lock()
        self._tasks = TaskSet()
        self._watched: set[WorkerId] = set()
        self._events: asyncio.Queue[InstanceEvent] = asyncio.Queue()
        self._is_open = False
        self._trouble = ""

    @property
    def name(self) -> ProviderName:
        """As it is configured; `local` as a rule."""
        return self._name

    def capabilities(self) -> Capabilities:
        """The host's resources, which all its workers share."""
        return self._capabilities

    async def start(self) -> None:
        """Starts the zygote and looks after the workers of an earlier run."""
        if self._is_open:
            return
        self._workers.mkdir(mode=0o700, parents=True, exist_ok=True)
        await asyncio.to_thread(remove_rests, self._workers)
        self._is_open = True
        try:
            await self._running_zygote()
        except BaseException:
            self._is_open = False
            raise
        self._tasks.start(self._keep_zygote(), name="local-zygote")
        for instance in self._instances():
            self._watch(instance)

    async def stop(self) -> None:
        """Ends the zygote; workers live on."""
        self._is_open = False
        await self._tasks.close()
        self._watched.clear()
        async with self._zygote_lock:
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            await zygote.stop()

    async def prepare(self, kind: WorkerKind | None) -> None:
        """Nothing: all its workers are alike, and the zygote is ready."""

    def is_prepared(self, kind: WorkerKind | None) -> bool:  # noqa: ARG002 - of the port
        """Always: see `prepare`."""
        return True

    async def provision(self, request: ProvisionRequest) -> Handle:
        """Starts a worker. One of the same id that runs, or is being started, is found."""
        if not is_valid_id(request.worker_id):
            raise ProvisioningRefusedError(f"{request.worker_id!r} cannot be a worker's id")
        instance = Instance(self._workers, request.worker_id)
        try:
            async with asyncio.timeout(_START_WITHIN_S):
                processes = await self._find_or_start(instance, request.bootstrap)
        except TimeoutError as error:
            raise ProviderUnavailableError(
                f"worker {request.worker_id} did not start within {_START_WITHIN_S:g} s;"
                f" see {instance.log_path}"
            ) from error
        except OSError as error:
            raise ProviderUnavailableError(
                f"worker {request.worker_id} cannot be started in {instance.path}: {error}"
            ) from error
        self._watch(instance)
        return self._handle(instance, processes)

    async def destroy(self, handle: Handle) -> None:
        """Kills a worker with everything that it started, then removes its directory."""
        instance = Instance(self._workers, handle.worker_id)
        if not instance.exists():
            return
        try:
            async with asyncio.timeout(_DESTROY_WITHIN_S):
                await self._end(instance)
        except FileNotFoundError:
            return  # somebody else was quicker
        except TimeoutError as error:
            raise ProviderUnavailableError(
                f"worker {handle.worker_id} is not gone after {_DESTROY_WITHIN_S:g} s: a process"
                f" of it does not die; see {instance.path}"
            ) from error

    async def is_running(self, handle: Handle) -> bool:
        """Whether the worker's agent runs, or is being started."""
        instance = Instance(self._workers, handle.worker_id)
        processes = instance.processes()
        if processes is not None:
            return processes.agent.is_running()
        return instance.is_locked()

    async def watch(self) -> AsyncIterator[InstanceEvent]:
        """Ends of workers, at once: a keeper's end wakes the event loop."""
        yield WatchGap()
        while True:
            yield await self._events.get()

    async def list_owned(self) -> list[Handle]:
        """Every worker with a directory, running or not."""
        return [self._handle(each, each.processes()) for each in self._instances()]

    async def examine(self) -> Mapping[str, str]:
        """What this host is, and by what workers are started."""
        host, resources = os.uname(), self._capabilities.resources
        if shutil.which(self._command[0]) is None:
            raise ProviderUnavailableError(
                f"workers are started by {self._command[0]}, which is no program here"
            )
        return {
            "system": f"{host.sysname} {host.release}",
            "architecture": host.machine,
            "cpus": f"{resources.cpu_millicores / 1000:g}",
            "memory": format_size(resources.memory_bytes),
            "agent": shlex.join(self._command),
            "python": sys.version.split()[0],
        }

    async def health(self) -> str:
        """Whether workers can be started."""
        if not self._is_open:
            return "the local provider is not started"
        return "" if self._zygote is not None else self._trouble

    def _handle(self, instance: Instance, processes: Processes | None) -> Handle:
        data = {} if processes is None else {"pid": str(processes.agent.pid)}
        return Handle(provider=self.name, worker_id=instance.worker_id, data=data)

    def _instances(self) -> list[Instance]:
        if not self._workers.is_dir():
            return []
        instances = [
            Instance(self._workers, WorkerId(path.name))
            for path in self._workers.iterdir()
            if path.is_dir() and is_valid_id(path.name)
        ]
        return [each for each in instances if each.cluster_id() in {self._cluster_id, None}]

    async def _find_or_start(self, instance: Instance, bootstrap: Bootstrap) -> Processes:
        instance.create(self._cluster_id)
        # Between another's lock and its word there is nothing to wait on.
        while (lock := instance.try_lock()) is None:
            processes = instance.processes()
            if processes is not None and processes.keeper.is_running():
                return processes
            await asyncio.sleep(_LOOK_AGAIN_S)
        try:
            await self._end_leftovers(instance)
            instance.forget_earlier_start()
            return await self._start_worker(instance, bootstrap, lock)
        finally:
            os.close(lock)

    async def _start_worker(self, instance: Instance, bootstrap: Bootstrap, lock: int) -> Processes:
        document = json.dumps(asdict(bootstrap)).encode()
        while True:
            zygote = await self._running_zygote()
            told = await _ask(zygote, instance, document, lock)
            if told:
                try:
                    return parse_processes(told)
                except ValueError as error:
                    raise ProviderUnavailableError(
                        f"worker {instance.worker_id} cannot be started: {error}"
                    ) from error
            if zygote is self._zygote and zygote.is_running():
                raise ProviderUnavailableError(
                    f"worker {instance.worker_id} ended as it started: {instance.last_words()}"
                )

    async def _running_zygote(self) -> Zygote:
        async with self._zygote_lock:
            if not self._is_open:
                raise ProviderUnavailableError("the local provider is stopped")
            if self._zygote is not None and not self._zygote.is_running():
                zygote, self._zygote = self._zygote, None
                await zygote.stop()
            if self._zygote is None:
                try:
                    self._zygote = await Zygote.start(self._command, self._workers / "zygote.log")
                except ProviderUnavailableError as error:
                    self._trouble = str(error)
                    raise
            return self._zygote

    async def _keep_zygote(self) -> None:
        while True:
            try:
                zygote = await self._running_zygote()
            except ProviderUnavailableError as error:
                log.error("zygote_not_started", error=str(error))  # noqa: TRY400 - it says it all
                await asyncio.sleep(_ZYGOTE_BACKOFF_S)
                continue
            started_at = asyncio.get_running_loop().time()
            await zygote.ended()
            log.warning("zygote_ended", pid=zygote.pid)
            if asyncio.get_running_loop().time() - started_at < _ZYGOTE_BACKOFF_S:
                await asyncio.sleep(_ZYGOTE_BACKOFF_S)

    def _watch(self, instance: Instance) -> None:
        if instance.worker_id not in self._watched:
            self._watched.add(instance.worker_id)
            self._tasks.start(self._report_end(instance), name=f"watch-{instance.worker_id}")

    async def _report_end(self, instance: Instance) -> None:
        try:
            # Being started by an earlier run, which is not there any more to tell.
            while (processes := instance.processes()) is None and instance.is_locked():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_AGAIN_S)
            if processes is not None and (keeper := processes.keeper.open()) is not None:
                try:
                    await until_readable(keeper)
                finally:
                    os.close(keeper)
        finally:
            self._watched.discard(instance.worker_id)
        ended = instance.exit()
        self._events.put_nowait(
            InstanceStopped(
                worker_id=instance.worker_id,
                reason="its processes were killed" if ended is None else str(ended),
                exit_code=None if ended is None else ended.exit_code,
            )
        )

    async def _end(self, instance: Instance) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _KEEPER_WITHIN_S
        while (lock := instance.try_lock()) is None:
            processes = instance.processes()
            if processes is not None and processes.keeper.is_running():
                await _end_keeper(processes)
            elif loop.time() > give_up_at:
                # A start without an end, or orphans of a keeper that was killed.
                await asyncio.to_thread(end_leftovers, instance, processes)
            else:
                await asyncio.sleep(_LOOK_AGAIN_S)
        try:
            await self._end_leftovers(instance)
            await asyncio.to_thread(instance.remove)
        finally:
            os.close(lock)

    async def _end_leftovers(self, instance: Instance) -> None:
        processes = instance.processes()
        if processes is None:
            return
        # A keeper that wrote how it ended had seen everything end.
        while instance.exit() is None:
            if not await asyncio.to_thread(end_leftovers, instance, processes):
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
        remove_cgroup(processes)


async def _ask(zygote: Zygote, instance: Instance, document: bytes, lock: int) -> bytes:
    """What the new keeper has to say; nothing where it or the zygote died."""
    ready, ready_writer = os.pipe2(os.O_CLOEXEC)
    opened = [ready_writer]
    try:
        opened.append(instance.open_log())
        opened.append(os.memfd_create("hodei-bootstrap"))
        _, log_fd, document_fd = opened
        os.write(document_fd, document)
        os.lseek(document_fd, 0, os.SEEK_SET)
        packet = json.dumps({"directory": str(instance.path)}).encode()
        with suppress(BrokenPipeError, ConnectionResetError):
            zygote.fork(packet, [lock, ready_writer, log_fd, document_fd])
    finally:
        for fd in opened:
            os.close(fd)
    try:
        await until_readable(ready)
        return os.read(ready, 64 * 1024)
    finally:
        os.close(ready)


async def _end_keeper(processes: Processes) -> None:
    fd = processes.keeper.open()
    if fd is None:
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGQUIT)
            signal.pidfd_send_signal(fd, signal.SIGCONT)
        try:
            async with asyncio.timeout(_KEEPER_WITHIN_S):
                await until_readable(fd)
        except TimeoutError:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            await until_readable(fd)
    finally:
        os.close(fd)


def _resources_of_host(directory: Path, custom: Mapping[str, int]) -> Resources:
    there = next(each for each in (directory, *directory.parents) if each.exists())
    return Resources(
        cpu_millicores=len(os.sched_getaffinity(0)) * 1000,
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        disk_bytes=shutil.disk_usage(there).total,
        custom=dict(custom),
    )
