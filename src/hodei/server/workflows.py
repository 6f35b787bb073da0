"""The saga engine as a part of the control plane."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import structlog

from hodei.application.counters import Counters
from hodei.durable.definitions import PLATFORM_QUEUE, Workflow, Workflows
from hodei.durable.runner.activation import Activator, InlineActivator, ThreadActivator
from hodei.durable.runner.client import ClientParts, DurableClient
from hodei.durable.runner.engine import Engine, EngineParts, EngineSettings
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.store_clock import StoreClock
from hodei.durable.runner.worker import ActivityWorker, Handler, WorkerParts
from hodei.kernel.clock import Clock, IdSource
from hodei.kernel.ids import ServerId
from hodei.lifecycle.block_watch import BlockWatch
from hodei.ports.durable import DurableStore

log = structlog.get_logger()

_ACTIVITIES_AT_ONCE: Final = 1_000
"""Most of them wait for something: an image, an enrolment."""


def platform_queue() -> Sequence[str]:
    """The queue from which every server takes."""
    return (PLATFORM_QUEUE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The workflows and activities that a server has."""

    workflows: Sequence[Workflow] = ()
    activities: Mapping[str, Handler] = field(default_factory=dict[str, Handler])
    """By name."""
    queues: Callable[[], Sequence[str]] = platform_queue
    """From which activities are taken just now."""

    def beside(self, other: "Registry") -> "Registry":
        """Both together."""
        return Registry(
            workflows=(*self.workflows, *other.workflows),
            activities={**self.activities, **other.activities},
            queues=lambda: list(dict.fromkeys((*self.queues(), *other.queues()))),
        )


NOTHING: Final = Registry()
"""A server with it looks at runs, and moves none."""


@dataclass(slots=True, kw_only=True)
class WorkflowPlane:
    """The engine's parts of one server, joined."""

    client: DurableClient
    parts: ClientParts
    registry: Registry
    engine: Engine | None = None
    """Set while it runs; so is the next."""
    worker: ActivityWorker | None = None

    def moves(self, workflow_id: str) -> bool:
        """Whether this server moves the runs of a workflow id just now."""
        return self.engine is not None and self.engine.owns(workflow_id)

    async def cut(self) -> None:
        """Ends the activities that this server carries out; they are tried again, here or elsewhere."""
        if self.worker is not None:
            await self.worker.cut()


def plan_workflows(
    registry: Registry,
    store: DurableStore,
    *,
    clock: Clock,
    ids: IdSource,
    counters: Counters,
    activator: Activator | None = None,
) -> WorkflowPlane:
    """Joins the parts.

    Raises:
        DefinitionError: Two workflows have the same name and version.
    """
    if activator is None:
        # Without workflows no code of theirs ever runs: no thread and no guards are there for it.
        activator = ThreadActivator() if registry.workflows else InlineActivator()
    parts = ClientParts(
        server=ServerId(ids.new()),
        store=store,
        workflows=Workflows(registry.workflows),
        clock=StoreClock(clock),
        ids=ids,
        hints=Hints(counters.add),
        activator=activator,
    )
    return WorkflowPlane(client=DurableClient(parts), parts=parts, registry=registry)


async def run_workflows(
    plane: WorkflowPlane,
    stack: AsyncExitStack,
    on_failure: Callable[[str, BaseException], None],
    *,
    settings: EngineSettings | None = None,
) -> None:
    """Starts what the registry has work for; the stack stops it.

    A server without workflows owns no shard: others move the runs, and nothing of it polls.
    """
    registry, parts = plane.registry, plane.parts
    watch = BlockWatch()
    if registry.workflows or registry.activities:
        watch.start()
        stack.callback(watch.stop)
    if registry.workflows:
        engine = Engine(
            EngineParts(
                server=parts.server,
                store=parts.store,
                workflows=parts.workflows,
                clock=parts.clock,
                hints=parts.hints,
                activator=parts.activator,
                on_failure=on_failure,
                watch=watch,
            ),
            settings or EngineSettings(),
        )
        await engine.start()
        plane.engine = engine
        stack.push_async_callback(engine.stop)
        log.info("workflows_ready", names=parts.workflows.names(), shards=len(engine.shards))
    if registry.activities:
        worker = ActivityWorker(
            WorkerParts(
                name=parts.server,
                store=parts.store,
                clock=parts.clock,
                ids=parts.ids,
                hints=parts.hints,
                handlers=registry.activities,
                on_failure=on_failure,
                watch=watch,
            ),
            registry.queues,
            slots=_ACTIVITIES_AT_ONCE,
        )
        await worker.start()
        plane.worker = worker
        stack.push_async_callback(worker.stop)
