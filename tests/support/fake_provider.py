"""A provider whose instances are names in a set, and whose failures a test decides."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.admission import EVERY_JOB, Admission
from hodei.domain.placement.fit import Containers
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.providers.record import ProviderType
from hodei.kernel.ids import ProviderName, WorkerId
from hodei.ports.providers import (
    Capabilities,
    Handle,
    InstanceEvent,
    InstanceStopped,
    ProviderUnavailableError,
    ProvisionRequest,
    SightChanged,
    WatchGap,
)


class FakeProvider:
    """Implements `hodei.ports.providers.Provider` without a process.

    `on_provision` and `on_destroy` run first and may raise or wait, as the infrastructure would.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        slots: int = 2,
        max_workers: int = 4,
        labels: dict[str, str] | None = None,
        resources: Resources = Resources(),
        confirms_destroy: bool = True,
        containers: Containers | None = None,
        max_jobs_per_worker: int = 0,
        is_on_this_host: bool = True,
        admission: Admission = EVERY_JOB,
    ) -> None:
        self._name = ProviderName(name)
        self._capabilities = Capabilities(
            type=ProviderType.TEST,
            max_workers=max_workers,
            slots_per_worker=slots,
            resources=resources,
            labels=labels or {},
            confirms_destroy=confirms_destroy,
            containers=containers,
            max_jobs_per_worker=max_jobs_per_worker,
            is_on_this_host=is_on_this_host,
            admission=admission,
        )
        self.instances: dict[WorkerId, Handle] = {}
        self.prepared: list[WorkerKind | None] = []
        self.on_prepare: Callable[[WorkerKind | None], None] = lambda kind: None
        self.prepare_gate = asyncio.Event()
        self.prepare_gate.set()
        self.has_all = False
        self.requests: list[ProvisionRequest] = []
        self.destroyed: list[WorkerId] = []
        self.on_provision: Callable[[ProvisionRequest], None] = lambda request: None
        self.on_destroy: Callable[[Handle], None] = lambda handle: None
        self.on_list: Callable[[], None] = lambda: None
        self.problem = ""
        self.provision_gate = asyncio.Event()
        self.provision_gate.set()
        self.destroy_gate = asyncio.Event()
        self.destroy_gate.set()
        self._events: asyncio.Queue[InstanceEvent] = asyncio.Queue()

    @property
    def name(self) -> ProviderName:
        return self._name

    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def start(self) -> None:
        """Is ready."""

    async def stop(self) -> None:
        """Holds nothing."""

    async def prepare(self, kind: WorkerKind | None) -> None:
        self.prepared.append(kind)
        self.on_prepare(kind)
        await self.prepare_gate.wait()

    def is_prepared(self, kind: WorkerKind | None) -> bool:
        return self.has_all

    async def provision(self, request: ProvisionRequest) -> Handle:
        self.requests.append(request)
        self.on_provision(request)
        await self.provision_gate.wait()
        handle = Handle(provider=self._name, worker_id=request.worker_id, data={"pid": "4711"})
        return self.instances.setdefault(request.worker_id, handle)

    async def destroy(self, handle: Handle) -> None:
        self.on_destroy(handle)
        await self.destroy_gate.wait()
        self.destroyed.append(handle.worker_id)
        if self.instances.pop(handle.worker_id, None) is not None:
            self._tell(handle.worker_id, "destroyed")

    async def is_running(self, handle: Handle) -> bool:
        return handle.worker_id in self.instances

    async def watch(self) -> AsyncIterator[InstanceEvent]:
        yield WatchGap()
        while True:
            yield await self._events.get()

    async def list_owned(self) -> list[Handle]:
        self.on_list()
        return list(self.instances.values())

    async def examine(self) -> Mapping[str, str]:
        if self.problem:
            raise ProviderUnavailableError(self.problem)
        return {"version": "fake"}

    async def health(self) -> str:
        return self.problem

    def crash(
        self, worker_id: WorkerId, reason: str = "exit code 1", *, out_of_memory: bool = False
    ) -> None:
        """The instance ends by itself."""
        del self.instances[worker_id]
        self._tell(worker_id, reason, out_of_memory=out_of_memory)

    def see(self, *, is_seen: bool) -> None:
        """The infrastructure goes away, or comes back."""
        self._events.put_nowait(SightChanged(is_seen=is_seen, message="as the test says"))

    def lose_sight(self) -> None:
        """Events may have been missed."""
        self._events.put_nowait(WatchGap())

    def _tell(self, worker_id: WorkerId, reason: str, *, out_of_memory: bool = False) -> None:
        stopped = InstanceStopped(
            worker_id=worker_id, reason=reason, exit_code=1, out_of_memory=out_of_memory
        )
        self._events.put_nowait(stopped)
