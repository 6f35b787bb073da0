"""Runs of workflows on a whole server, seen and moved by operators through every door."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hodei.cli.main import main
from hodei.durable.definitions import workflow
from hodei.durable.failures import ApplicationError
from hodei.durable.loop.context import Context
from hodei.durable.retry import retry
from hodei.durable.runner.client import DurableClient, StartRequest
from hodei.kernel.errors import InvalidFieldsError, NotFoundError, WrongStateError
from hodei.sdk import AsyncClient, WorkflowEvent, WorkflowRun
from hodei.server import bootstrap
from hodei.server import run as server_run
from hodei.server.config import LocalProviderConfig, ServerConfig
from hodei.server.run import running_server
from hodei.server.workflows import NOTHING, Registry

WITHIN_S = 30
IS_MENDED = asyncio.Event()


async def undo() -> str:
    if not IS_MENDED.is_set():
        raise ApplicationError("the instance is locked", type="Locked", is_final=True)
    return "gone"


async def create(region: str) -> str:
    return f"instance in {region}"


@workflow(name="provision")
async def provision(ctx: Context, region: str) -> str:
    async with ctx.saga() as saga:
        instance = await saga.step(
            lambda: ctx.run(create, region, name="create"),
            compensate=lambda: ctx.run(undo, name="destroy", retry=retry(1)),
            name="create",
        )
        name = await ctx.receive("enrolled", str)
    return f"{name} is {instance}"


REGISTRY = Registry(workflows=[provision])


async def until_closed(sdk: AsyncClient, run: str) -> WorkflowRun:
    """Looks again and again: no stream tells clients of it."""
    for _ in itertools.count():
        if (found := await sdk.get_workflow(run)).closed_at is not None:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError


class Server:
    """A server, by the SDK, by the command, and by its own client of the engine."""

    def __init__(self, address: str, sdk: AsyncClient, engine: DurableClient) -> None:
        self.address = address
        self.sdk = sdk
        self.engine = engine

    async def start(self, workflow_id: str) -> str:
        request = StartRequest(type="provision", workflow_id=workflow_id, arguments=("eu",))
        return (await self.engine.start(request)).run_id

    async def until(self, run: str, kind: str) -> list[WorkflowEvent]:
        """The history, once it has such an event."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                events = [each async for each in self.sdk.workflow_history(run)]
                if any(each.kind == kind for each in events):
                    return events
                await asyncio.sleep(0.02)

    async def ended(self, run: str) -> WorkflowRun:
        async with asyncio.timeout(WITHIN_S):
            return await until_closed(self.sdk, run)

    async def hodei(self, *words: str) -> int:
        return await asyncio.to_thread(main, [*words, "--server", self.address])


def config(data_dir: Path) -> ServerConfig:
    return ServerConfig(
        data_dir=data_dir,
        dev_mode=True,
        grpc_port=0,
        worker_port=0,
        enroll_port=0,
        http_port=0,
        local=LocalProviderConfig(enabled=False),
    )


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    IS_MENDED.clear()
    planes: list[bootstrap.ControlPlane] = []

    def build(*arguments: object, **more: object) -> bootstrap.ControlPlane:
        planes.append(bootstrap.build(*arguments, **more))
        return planes[-1]

    monkeypatch.setattr(server_run, "build", build)
    async with (
        running_server(config(tmp_path), registry=REGISTRY) as addresses,
        AsyncClient(addresses.grpc) as sdk,
    ):
        yield Server(addresses.grpc, sdk, planes[0].workflows.client)


async def test_a_run_is_followed_signalled_and_seen_to_its_end(
    server: Server, capsys: pytest.CaptureFixture[str]
):
    run_id = await server.start("worker-7")
    await server.until("worker-7", "StepSucceeded")

    assert await server.hodei("workflows", "signal", "worker-7", "enrolled", "w-7") == 0
    run = await server.ended("worker-7")
    assert (run.run_id, run.status, run.result) == (run_id, "COMPLETED", "w-7 is instance in eu")
    capsys.readouterr()
    assert await server.hodei("workflows", "history", run_id) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == [
        "RunStarted",
        "CompensationRegistered",
        "StepScheduled",
        "StepSucceeded",
        "SignalReceived",
        "RunCompleted",
    ]
    assert await server.hodei("workflows", "history", run_id, "--output", "json") == 0
    events = json.loads(capsys.readouterr().out)
    assert events[0]["details"]["input"] == ["eu"]
    assert [each["is_command"] for each in events] == [False, True, True, False, False, True]
    assert await server.hodei("workflows", "show", "worker-7") == 0
    assert 'result:      "w-7 is instance in eu"' in capsys.readouterr().out
    assert await server.hodei("workflows", "replay", run_id) == 0
    assert capsys.readouterr().out == "the code fits the history\n"
    counted = (await server.sdk.server_info()).counters
    assert counted["workflow_runs_started"] == counted["workflow_runs_completed"] == 1
    assert counted["workflow_steps_done"] == 1


async def test_a_parked_run_says_why_and_goes_on_when_an_operator_says_how(
    server: Server, capsys: pytest.CaptureFixture[str]
):
    run_id = await server.start("a")
    await server.until("a", "StepSucceeded")
    await server.sdk.cancel_workflow("a", reason="not needed")
    await server.until("a", "CompensationExhausted")
    [run] = [each async for each in server.sdk.workflows(only_parked=True)]

    assert (run.run_id, run.status) == (run_id, "COMPENSATING")
    assert run.parked is not None
    assert run.parked.reason == "COMPENSATION_FAILED"
    assert "the instance is locked" in run.parked.message
    IS_MENDED.set()
    assert await server.hodei("workflows", "retry-step", "a", "--note", "unlocked it") == 0
    ended = await server.ended("a")
    assert ended.status == "CANCELLED"
    assert ended.failure is not None
    events = await server.until("a", "SagaUndone")
    [decided] = [each for each in events if each.kind == "OperatorDecided"]
    assert decided.details["note"] == "unlocked it"
    counted = (await server.sdk.server_info()).counters
    assert counted["workflow_runs_parked"] == counted["workflow_compensations_exhausted"] == 1
    assert counted["workflow_compensations_done"] == counted["workflow_runs_cancelled"] == 1


async def test_a_step_that_cannot_be_undone_is_skipped(server: Server):
    await server.start("b")
    await server.until("b", "StepSucceeded")
    await server.sdk.cancel_workflow("b")
    await server.until("b", "CompensationExhausted")

    assert await server.hodei("workflows", "skip-step", "b", "--output", "json") == 0

    assert (await server.ended("b")).status == "CANCELLED"
    await server.until("b", "CompensationSkipped")


async def test_what_cannot_be_is_refused_by_its_field_alike_at_every_door(
    server: Server, capsys: pytest.CaptureFixture[str]
):
    await server.start("c")
    await server.until("c", "StepSucceeded")

    with pytest.raises(NotFoundError, match="nobody"):
        await server.sdk.get_workflow("nobody")
    with pytest.raises(WrongStateError, match="not parked"):
        await server.sdk.retry_workflow_step("c")
    with pytest.raises(WrongStateError, match="waits for no decision"):
        await server.sdk.skip_workflow_step("c")
    with pytest.raises(InvalidFieldsError, match="statuses"):
        _ = [each async for each in server.sdk.workflows(statuses=["ASLEEP"])]
    capsys.readouterr()
    assert await server.hodei("workflows", "show", "nobody") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "hodei workflows list" in line
    assert await server.hodei("workflows", "list", "--status", "asleep") == 2
    assert "RUNNING" in capsys.readouterr().err
    await server.sdk.signal_workflow("c", "enrolled", "w", request_id="once")
    await server.ended("c")
    with pytest.raises(WrongStateError, match="has ended"):
        await server.sdk.signal_workflow("c", "enrolled", "w")
    await server.sdk.signal_workflow("c", "enrolled", "w", request_id="once")


async def test_runs_go_on_where_they_were_when_their_server_is_started_again(tmp_path: Path):
    for registry, status in ((REGISTRY, "RUNNING"), (NOTHING, "RUNNING"), (REGISTRY, "COMPLETED")):
        async with (
            running_server(config(tmp_path), registry=registry) as addresses,
            AsyncClient(addresses.grpc) as sdk,
        ):
            if status == "COMPLETED":
                await sdk.signal_workflow("d", "enrolled", "w")
                async with asyncio.timeout(WITHIN_S):
                    assert (await until_closed(sdk, "d")).status == status
            elif registry is REGISTRY:
                await _start(tmp_path, sdk)
            assert (await sdk.get_workflow("d")).status == status


async def _start(data_dir: Path, sdk: AsyncClient) -> None:
    """By a client of another connection, as anybody may start a run who can write to the store."""
    from hodei.adapters.sqlite import SqliteStore  # noqa: PLC0415
    from hodei.application.counters import Counters  # noqa: PLC0415
    from hodei.lifecycle.system_clock import SystemClock, SystemIdSource  # noqa: PLC0415
    from hodei.server.workflows import plan_workflows  # noqa: PLC0415

    database = await SqliteStore.open(data_dir)
    clock = SystemClock()
    plane = plan_workflows(
        REGISTRY, database.durable(clock), clock=clock, ids=SystemIdSource(), counters=Counters()
    )
    await plane.client.start(StartRequest(type="provision", workflow_id="d", arguments=("eu",)))
    await database.close()
    async with asyncio.timeout(WITHIN_S):
        for _ in itertools.count():
            if (await sdk.get_workflow("d")).events >= 3:
                return
            await asyncio.sleep(0.02)


async def test_what_is_left_behind_at_providers_is_looked_for_by_a_run_that_operators_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_local = replace(config(tmp_path), local=LocalProviderConfig(warm_workers=0))
    async with running_server(with_local) as addresses, AsyncClient(addresses.grpc) as sdk:
        assert await sdk.clean_up_workers() == []
        assert await sdk.clean_up_workers(provider="local", dry_run=True) == []
        runs = [each async for each in sdk.workflows(type="clean-up-orphans")]
        assert {each.status for each in runs} == {"COMPLETED"}
        assert len(runs) == 2
        with pytest.raises(NotFoundError, match="this server has local"):
            await sdk.clean_up_workers(provider="docker")

        async def hodei(*words: str) -> int:
            return await asyncio.to_thread(main, [*words, "--server", addresses.grpc])

        assert await hodei("workers", "clean-up", "--dry-run", "--output", "json") == 0
        assert "[]\n" in capsys.readouterr().out
        assert await hodei("workers", "clean-up", "--provider", "docker") == 2
        assert "docker" in capsys.readouterr().err
