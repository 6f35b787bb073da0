"""The engine of one server and of several, on a virtual clock and the store in memory."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hodei.adapters.memory import MemoryDurableStore
from hodei.durable import planning, tasks
from hodei.durable.definitions import Activity, limits, workflow
from hodei.durable.events import Decision, StepSucceeded
from hodei.durable.failures import ApplicationError, Failure, RunFailedError
from hodei.durable.loop import guards
from hodei.durable.loop.context import Context
from hodei.durable.loop.instance import Instance
from hodei.durable.loop.outcomes import LocalStep
from hodei.durable.payloads import UnencodableError, decode, encode
from hodei.durable.recorded import Recorded, recorded
from hodei.durable.replay import extend
from hodei.durable.retry import ONCE, retry
from hodei.durable.runner.activation import ThreadActivator
from hodei.durable.runner.client import StartRequest
from hodei.durable.runner.engine import EngineSettings
from hodei.durable.runner.steps import Steps
from hodei.durable.runner.worker import Attempt
from hodei.kernel.errors import (
    AlreadyExistsError,
    InvalidFieldsError,
    NotFoundError,
    StaleAttemptError,
    WrongStateError,
)
from hodei.lifecycle.block_watch import BlockedError, BlockWatch
from hodei.lifecycle.service import TaskSet
from hodei.ports.durable import Batch, Committed, Refusal
from hodei.ports.durable_rows import OPEN, InboxRow, ParkReason, RunId, RunStatus, TaskId
from hodei.ports.stores import StoreUnavailableError
from support.durable_servers import Cluster, Server, result, start, virtually
from support.simulation.virtual_loop import VirtualClock

SEND = Activity(name="send", returns=str)
calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


async def note(text: str) -> str:
    calls.append(text)
    return text


async def hang(text: str) -> str:
    calls.append(text)
    await asyncio.sleep(10**6)
    return text


@workflow(name="two")
async def two(ctx: Context, name: str) -> str:
    one = await ctx.run(note, f"one {name}", name="one")
    return f"{one}, {await ctx.run(note, 'two', name='two')}"


@workflow(name="sends")
async def sends(ctx: Context, text: str) -> str:
    return await ctx.activity(SEND, text)


@workflow(name="sleeps")
async def sleeps(ctx: Context, seconds: float) -> str:
    await ctx.sleep(seconds)
    return "woken"


@workflow(name="hears")
async def hears(ctx: Context, count: int) -> list[str]:
    heard = []
    ctx.on_query("heard", lambda: heard)
    while len(heard) < count:
        heard.append(await ctx.receive("say", str))
    return heard


def is_closed(row: object) -> bool:
    return row.status not in OPEN


@virtually
async def test_a_run_goes_from_its_start_to_its_result(cluster: Cluster):
    server = await cluster.server(two)
    run_id = await start(server.client, "two", "x")

    assert await result(server.client, run_id) == "one x, two"
    assert calls == ["one x", "two"]
    assert cluster.events(run_id) == [
        "RunStarted",
        "StepScheduled",
        "StepSucceeded",
        "StepScheduled",
        "StepSucceeded",
        "RunCompleted",
    ]
    row = cluster.row(run_id)
    assert (row.status, row.crashes, row.local_pending) == (RunStatus.COMPLETED, 0, False)
    topics = [row.topic for _, row in await cluster.store.read_outbox(after=0, limit=9)]
    assert topics == ["run.started", "run.closed"]


@virtually
async def test_an_activity_is_carried_out_and_its_result_told(cluster: Cluster):
    async def send(attempt: Attempt, text: str) -> str:
        calls.append(f"{attempt.key} {attempt.number} {text}")
        return text.upper()

    server = await cluster.server(sends, handlers={"send": send})
    run_id = await start(server.client, "sends", "x")

    assert await result(server.client, run_id) == "X"
    assert calls == [f"{run_id}/1 1 x"]


@virtually
async def test_an_activity_is_tried_again_with_what_the_attempt_before_said(cluster: Cluster):
    async def send(attempt: Attempt, text: str) -> str:
        calls.append(f"{attempt.number} {attempt.details_as(int)}")
        attempt.heartbeat(attempt.number * 10)
        await asyncio.sleep(1)
        if attempt.number < 3:
            raise ApplicationError("not yet", type="Passing")
        return text

    server = await cluster.server(sends, handlers={"send": send})
    run_id = await start(server.client, "sends", "x")

    assert await result(server.client, run_id) == "x"
    assert calls == ["1 None", "2 10", "3 20"]
    assert len(cluster.events(run_id)) == 4


@virtually
async def test_the_activity_of_a_worker_that_died_goes_to_another(cluster: Cluster):
    async def dies(attempt: Attempt, text: str) -> str:
        cluster.servers[0].life.kill()
        await asyncio.sleep(10**6)
        return "never"

    async def send(attempt: Attempt, text: str) -> str:
        return f"{text} {attempt.number}"

    first = await cluster.server(sends, handlers={"send": dies})
    run_id = await start(first.client, "sends", "x")
    await cluster.until(run_id, lambda _: not first.life.is_alive)
    second = await cluster.server(sends, handlers={"send": send})

    assert await result(second.client, run_id) == "x 2"


@virtually
async def test_an_activity_that_is_no_longer_wanted_is_cut(cluster: Cluster):
    async def send(attempt: Attempt, text: str) -> str:
        try:
            await asyncio.sleep(10**6)
        except asyncio.CancelledError:
            calls.append("cut")
            raise
        return text

    server = await cluster.server(sends, handlers={"send": send})
    run_id = await start(server.client, "sends", "x")
    await cluster.until(run_id, lambda row: row.next_seq > 2)
    await asyncio.sleep(1)
    await server.client.cancel(run_id, reason="changed my mind", by="me")

    with pytest.raises(RunFailedError, match="changed my mind"):
        await result(server.client, run_id)
    assert calls == ["cut"]


async def queued_task(cluster: Cluster, definition: object = sends) -> tuple[Server, RunId, TaskId]:
    server = await cluster.server(definition)
    run_id = await start(server.client, "sends", "x")
    await cluster.until(run_id, lambda row: row.next_seq > 2)
    return server, run_id, TaskId(f"{run_id}/1")


async def claim(cluster: Cluster, task_id: TaskId) -> int:
    """A worker elsewhere takes the task; returns its token."""
    task = await cluster.store.load_task(task_id)
    now = cluster.store.clock.now()
    write = tasks.claim(task, worker="w", token_bits=9, now=now)
    await cluster.store.commit(Batch(at=now, tasks=(write,)))
    return write.after.token


@virtually
async def test_a_completion_counts_once_at_whichever_server(cluster: Cluster):
    first, run_id, task_id = await queued_task(cluster)
    second = await cluster.server(sends)
    token = await claim(cluster, task_id)

    await second.reports.succeeded(task_id, token=token, result=encode("one", what=""))
    for server in (first, second):
        with pytest.raises(StaleAttemptError):
            await server.reports.succeeded(task_id, token=token, result=encode("two", what=""))
        with pytest.raises(StaleAttemptError):
            await server.reports.failed(
                task_id, token=token, failure=Failure(type="Late", message="")
            )

    assert await result(first.client, run_id) == "one"


@virtually
async def test_a_completion_after_the_end_of_the_run_is_refused(cluster: Cluster):
    server, run_id, task_id = await queued_task(cluster)
    token = await claim(cluster, task_id)
    await server.client.terminate(run_id, reason="enough", by="me")

    with pytest.raises(StaleAttemptError):
        await server.reports.succeeded(task_id, token=token, result=encode("x", what=""))
    assert cluster.row(run_id).status is RunStatus.TERMINATED
    assert cluster.events(run_id)[-1] == "RunTerminated"
    with pytest.raises(RunFailedError, match="enough"):
        await result(server.client, run_id)


@virtually
async def test_a_completion_of_an_attempt_that_was_given_up_is_refused(cluster: Cluster):
    quick = replace(SEND, limits=limits(start_to_close_s=3), retry=retry(initial_s=0.1))

    @workflow(name="sends")
    async def quickly(ctx: Context, text: str) -> str:
        return await ctx.activity(quick, text)

    server, run_id, task_id = await queued_task(cluster, quickly)
    old = await claim(cluster, task_id)
    await asyncio.sleep(5)
    new = await claim(cluster, task_id)

    with pytest.raises(StaleAttemptError):
        await server.reports.succeeded(task_id, token=old, result=encode("old", what=""))
    await server.reports.succeeded(task_id, token=new, result=encode("new", what=""))
    assert await result(server.client, run_id) == "new"


@virtually
async def test_a_timer_that_is_due_while_no_server_runs_fires_when_one_does(cluster: Cluster):
    first = await cluster.server(sleeps)
    run_id = await start(first.client, "sleeps", 60.0)
    await cluster.until(run_id, lambda row: row.next_seq > 2)
    await first.stop()
    first.life.kill()
    await asyncio.sleep(3600)
    assert "TimerFired" not in cluster.events(run_id)

    second = await cluster.server(sleeps)
    assert await result(second.client, run_id) == "woken"
    assert cluster.row(run_id).crashes == 0


@virtually
async def test_a_timer_fires_at_its_time_and_not_before(cluster: Cluster):
    server = await cluster.server(sleeps)
    began = cluster.loop.time()
    run_id = await start(server.client, "sleeps", 60.0)
    await result(server.client, run_id)

    assert 60 <= cluster.loop.time() - began < 61.5


@virtually
async def test_a_timer_that_is_no_longer_needed_is_gone(cluster: Cluster):
    @workflow(name="hasty")
    async def hasty(ctx: Context) -> None:
        async with asyncio.timeout(3600):
            await ctx.receive("say", str)
        await ctx.receive("say", str)

    server = await cluster.server(hasty)
    run_id = await start(server.client, "hasty")
    await cluster.until(run_id, lambda row: row.next_seq == 3)
    assert len(await cluster.store.timers_of(run_id)) == 1

    await server.client.signal(run_id, "say", "a")
    await cluster.until(run_id, lambda row: row.next_seq == 5)
    assert await cluster.store.timers_of(run_id) == []


@virtually
async def test_another_server_takes_over_a_run_whose_server_died_in_a_step(cluster: Cluster):
    @workflow(name="two")
    async def hanging(ctx: Context, name: str) -> str:
        await ctx.run(note, f"one {name}", name="one")
        return await ctx.run(hang, "two", name="two")

    @workflow(name="two")
    async def mended(ctx: Context, name: str) -> str:
        await ctx.run(note, f"one {name}", name="one")
        return await ctx.run(note, "two", name="two")

    first = await cluster.server(hanging)
    run_id = await start(first.client, "two", "x")
    await cluster.until(run_id, lambda _: "two" in calls)
    first.life.kill()
    second = await cluster.server(mended)

    assert await result(second.client, run_id) == "two"
    assert calls == ["one x", "two", "two"]


@virtually
async def test_a_step_whose_result_could_not_be_stored_at_once_does_not_run_again(
    cluster: Cluster,
):
    real, refusals = cluster.store.commit, []

    async def commit(batch: Batch) -> object:
        if len(refusals) < 2 and any(row.kind == "StepSucceeded" for row in batch.history):
            refusals.append(batch)
            if len(refusals) == 1:
                await real(batch)
            raise StoreUnavailableError("the answer is lost")
        return await real(batch)

    cluster.store.commit = commit
    server = await cluster.server(two)
    run_id = await start(server.client, "two", "x")

    assert await result(server.client, run_id) == "one x, two"
    assert len(refusals) == 2
    assert calls == ["one x", "two"]
    assert cluster.row(run_id).parked is None


class CountingStore(MemoryDurableStore):
    """Counts what the engine asks of it."""

    commits = looks = 0

    async def commit(self, batch: Batch) -> Committed | Refusal:
        self.commits += 1
        return await super().commit(batch)

    async def read_inbox(self, run_id: RunId, *, limit: int) -> list[InboxRow]:
        self.looks += 1
        return await super().read_inbox(run_id, limit=limit)


@virtually
async def test_a_step_costs_one_commit_and_no_look_into_the_inbox(cluster: Cluster):
    steps = 30
    cluster.store = CountingStore(VirtualClock(cluster.loop))

    async def poke(_: str) -> str:
        # What comes while a round is under way is looked for once, and not after each later step.
        server.client._hints.look_at(run_id)
        await asyncio.sleep(0)
        server.client._hints.look_at(run_id)
        return "poked"

    @workflow(name="many")
    async def many(ctx: Context) -> str:
        for number in range(steps):
            await ctx.run(poke if number == 5 else note, "x", name="step")
        return "done"

    server = await cluster.server(many)
    run_id = await start(server.client, "many")

    assert await result(server.client, run_id) == "done"
    # The start, that the first round begins, that round, and one for each step.
    assert cluster.store.commits == 3 + steps
    assert cluster.store.looks <= 1 + 2


@virtually
async def test_a_run_whose_step_kills_its_server_is_suspended_and_others_go_on(cluster: Cluster):
    @workflow(name="deadly")
    async def deadly(ctx: Context) -> str:
        return await ctx.run(hang, "deadly", name="step")

    first = await cluster.server(deadly, two)
    run_id = await start(first.client, "deadly", workflow_id="deadly")
    for server_number in range(3):
        await cluster.until(run_id, lambda _, n=server_number: len(calls) > n)
        cluster.servers[-1].life.kill()
        await cluster.server(deadly, two)

    row = await cluster.until(run_id, lambda row: row.parked is not None)
    assert row.parked.reason is ParkReason.CRASHED
    assert "died 3 times" in row.parked.message
    client = cluster.servers[-1].client
    assert await result(client, await start(client, "two", "y")) == "one y, two"
    assert calls.count("deadly") == 3

    await client.unpark(run_id)
    await cluster.until(run_id, lambda _: calls.count("deadly") == 4)


@virtually
async def test_a_server_that_stops_in_good_order_is_no_crash(cluster: Cluster):
    @workflow(name="slow")
    async def slow(ctx: Context) -> str:
        return await ctx.run(hang, "slow", name="step")

    server = await cluster.server(slow)
    run_id = await start(server.client, "slow")
    for count in range(1, 6):
        await cluster.until(run_id, lambda _, n=count: len(calls) >= n)
        await cluster.servers[-1].stop()
        cluster.servers[-1].life.kill()
        assert cluster.row(run_id).crashes == 0
        await cluster.server(slow)
    assert cluster.row(run_id).parked is None


@virtually
async def test_code_that_changed_parks_the_run_and_putting_it_back_heals_it(cluster: Cluster):
    @workflow(name="hears")
    async def changed(ctx: Context, count: int) -> str:
        await ctx.sleep(1)
        return "?"

    first = await cluster.server(hears, two)
    run_id = await start(first.client, "hears", 1)
    await cluster.until(run_id, lambda row: row.next_seq > 1)
    await first.stop()
    first.life.kill()

    second = await cluster.server(changed, two)
    await second.client.signal(run_id, "say", "hello")
    row = await cluster.until(run_id, lambda row: row.parked is not None)
    assert row.parked.reason is ParkReason.NON_DETERMINISM
    assert "recorded: nothing" in row.parked.message
    assert "the code: TimerStarted(command_id=1)" in row.parked.message
    assert await result(second.client, await start(second.client, "two", "y", workflow_id="b"))
    assert "TimerStarted" in await second.client.replay(run_id)
    await asyncio.sleep(100)
    assert cluster.row(run_id).failures > 4
    await second.stop()
    second.life.kill()

    third = await cluster.server(hears)
    assert await third.client.replay(run_id) == ""
    await third.client.unpark(run_id)
    assert await result(third.client, run_id) == ["hello"]
    topics = [row.topic for _, row in await cluster.store.read_outbox(after=0, limit=99)]
    assert topics.count("run.parked") == 1


@virtually
async def test_a_run_whose_code_is_not_loaded_waits_for_it(cluster: Cluster):
    first = await cluster.server(two)
    run_id = await start(first.client, "two", "x")
    await first.stop()
    first.life.kill()
    if not is_closed(cluster.row(run_id)):
        second = await cluster.server(sleeps)
        row = await cluster.until(run_id, lambda row: row.parked is not None)
        assert row.parked.reason is ParkReason.DEFINITION_MISSING
        assert "two version 1" in row.parked.message
        await second.stop()
        second.life.kill()
    third = await cluster.server(two)
    assert await result(third.client, run_id) == "one x, two"


@virtually
async def test_a_signal_is_heard_once_however_often_it_is_sent(cluster: Cluster):
    server = await cluster.server(hears)
    run_id = await start(server.client, "hears", 2)
    for _ in range(3):
        await server.client.signal(run_id, "say", "a", request_id="1")
    await server.client.signal(run_id, "say", "b", request_id="2")

    assert await result(server.client, run_id) == ["a", "b"]
    await server.client.signal(run_id, "say", "b", request_id="2")
    with pytest.raises(WrongStateError, match="COMPLETED"):
        await server.client.signal(run_id, "say", "c", request_id="3")
    with pytest.raises(NotFoundError):
        await server.client.signal(RunId("nobody"), "say", "c")


@virtually
async def test_a_signal_may_start_the_run_that_hears_it_and_reaches_one_that_is_there(
    cluster: Cluster,
):
    server = await cluster.server(hears)
    request = StartRequest(
        type="hears", workflow_id="w", arguments=(2,), request_id="1", signal=("say", "a")
    )
    first = await server.client.start(request)
    again = await server.client.start(request)
    other = await server.client.start(replace(request, request_id="2", signal=("say", "b")))

    assert first.is_new
    assert again == replace(first, is_new=False)
    assert other == replace(first, is_new=False)
    assert await result(server.client, first.run_id) == ["a", "b"]


@virtually
async def test_a_signal_to_a_workflow_that_was_terminated_starts_another_run(cluster: Cluster):
    server = await cluster.server(hears)
    request = StartRequest(type="hears", workflow_id="w", arguments=(1,), signal=("say", "a"))
    first = await server.client.start(replace(request, arguments=(9,)))
    await server.client.terminate(first.run_id, reason="enough", by="me")
    second = await server.client.start(request)

    assert second.is_new
    assert await result(server.client, second.run_id) == ["a"]


@virtually
async def test_a_request_starts_one_run_and_an_id_has_one_open_run(cluster: Cluster):
    server = await cluster.server(sleeps)
    request = StartRequest(type="sleeps", workflow_id="w", arguments=(5.0,), request_id="1")
    first = await server.client.start(request)

    assert not (await server.client.start(request)).is_new
    with pytest.raises(AlreadyExistsError, match=first.run_id):
        await server.client.start(replace(request, request_id="2"))
    await result(server.client, first.run_id)
    assert await server.client.start(request) == replace(first, is_new=False)
    assert (await server.client.start(replace(request, request_id="2"))).is_new


@virtually
async def test_a_start_that_cannot_be_is_refused_before_anything_is_stored(cluster: Cluster):
    server = await cluster.server(sleeps)
    for request, error in (
        (StartRequest(type="sleeps", workflow_id="no spaces", arguments=(1,)), InvalidFieldsError),
        (StartRequest(type="sleeps", workflow_id="w", arguments=("x",)), UnencodableError),
        (StartRequest(type="sleeps", workflow_id="w"), UnencodableError),
    ):
        with pytest.raises(error):
            await server.client.start(request)
    assert not cluster.store._tables.runs


@virtually
async def test_a_query_is_answered_by_any_server_and_of_ended_runs_too(cluster: Cluster):
    first = await cluster.server(hears)
    second = await cluster.server(hears)
    run_id = await start(first.client, "hears", 2)
    await first.client.signal(run_id, "say", "a")
    await cluster.until(run_id, lambda row: row.next_seq > 2)

    async def asked() -> list[object]:
        answers = [await each.client.query(run_id, "heard") for each in (first, second)]
        return [decode(each, object, what="") for each in answers]

    assert await asked() == [["a"], ["a"]]
    await first.client.signal(run_id, "say", "b")
    await cluster.until(run_id, is_closed)
    assert await asked() == [["a", "b"], ["a", "b"]]


@virtually
async def test_an_operator_decides_about_a_compensation_once(cluster: Cluster):
    broken = [True]

    async def undo() -> None:
        if broken:
            raise ApplicationError("still broken", is_final=True)

    async def refuse() -> None:
        raise ApplicationError("no")

    @workflow(name="saga")
    async def saga_of(ctx: Context) -> None:
        async with ctx.saga() as saga:
            await saga.step(
                lambda: ctx.run(refuse), compensate=lambda: ctx.run(undo), name="part", retry=ONCE
            )

    server = await cluster.server(saga_of)
    run_id = await start(server.client, "saga")
    row = await cluster.until(run_id, lambda row: row.parked is not None)
    assert (row.status, row.parked.reason) == (
        RunStatus.COMPENSATING,
        ParkReason.COMPENSATION_FAILED,
    )
    assert "'part'" in row.parked.message
    with pytest.raises(WrongStateError, match="decision"):
        await server.client.unpark(run_id)

    broken.clear()
    decided = await server.client.decide(run_id, Decision.RETRY, by="operator")
    assert decided.name == "part"
    row = await cluster.until(run_id, is_closed)
    assert (row.status, row.parked) == (RunStatus.FAILED, None)
    with pytest.raises(WrongStateError):
        await server.client.decide(run_id, Decision.RETRY, by="operator")


@virtually
async def test_shards_are_shared_out_and_a_dead_servers_runs_are_taken_over(cluster: Cluster):
    first = await cluster.server(sleeps)
    assert first.engine.shards == [0, 1, 2, 3]
    second = await cluster.server(sleeps)
    await asyncio.sleep(10)
    assert sorted([*first.engine.shards, *second.engine.shards]) == [0, 1, 2, 3]
    assert first.engine.shards
    assert second.engine.shards

    first.life.kill()
    await asyncio.sleep(20)
    assert second.engine.shards == [0, 1, 2, 3]


@virtually
async def test_a_server_that_stood_still_does_not_speak_for_its_shards(cluster: Cluster):
    first = await cluster.server(sleeps)
    first.life.paused_until = cluster.loop.time() + 60
    await asyncio.sleep(14)

    assert first.engine.shards == []


@virtually
async def test_more_runs_than_fit_in_memory_go_on_all_the_same(cluster: Cluster):
    server = await cluster.server(hears, settings=EngineSettings(live_runs=2))
    runs = [await start(server.client, "hears", 2, workflow_id=f"w{n}") for n in range(6)]
    for text in ("a", "b"):
        for run_id in runs:
            await server.client.signal(run_id, "say", text)
            await asyncio.sleep(0.1)
        assert server.engine.live_runs <= 3

    assert [await result(server.client, each) for each in runs] == [["a", "b"]] * 6


@virtually
async def test_a_one_year_workflow_with_daily_timers_takes_less_than_a_second(cluster: Cluster):
    @workflow(name="year")
    async def year(ctx: Context) -> int:
        days = 0
        for _ in range(365):
            await ctx.sleep(24 * 3600)
            days += 1
        return days

    settings = EngineSettings(poll_s=24 * 3600.0)
    settings = replace(settings, leases=replace(settings.leases, ttl_s=10**6, look_s=10**5))
    server = await cluster.server(year, settings=settings)
    await server.worker.stop()
    began = time.process_time()
    run_id = await start(server.client, "year")
    row = await cluster.store.load_run(run_id)
    while row.status in OPEN:
        await asyncio.sleep(24 * 3600)
        row = await cluster.store.load_run(run_id)
    took_s = time.process_time() - began

    print(f"\none year of daily timers: {took_s:.2f} s of processor time")
    assert await result(server.client, run_id) == 365
    assert cluster.loop.time() >= 365 * 24 * 3600


async def add(total: int, number: int) -> int:
    return total + number


@workflow(name="long")
async def long(ctx: Context, steps: int) -> int:
    total = 0
    for number in range(steps):
        total = await ctx.run(add, total, number)
    await ctx.receive("end", int)
    return total


@pytest.mark.slow
@virtually
async def test_a_run_with_50_000_events_goes_on_where_it_was(cluster: Cluster):
    server = await cluster.server(long)
    run_id = await start(server.client, "long", 1)
    await cluster.until(run_id, lambda row: row.next_seq == 4)
    await server.stop()
    server.life.kill()
    row, steps = cluster.row(run_id), 24_999
    grown = history_of_long(cluster, run_id, steps)
    cluster.store._tables.history[run_id] = [planning.history_row(row, each) for each in grown]
    cluster.store._tables.runs[run_id] = replace(
        row, next_seq=len(grown) + 1, crashes=0, local_pending=False
    )
    second = await cluster.server(long)
    began = time.process_time()
    await second.client.signal(run_id, "end", 1)
    row = await cluster.until(run_id, is_closed)
    took_s = time.process_time() - began

    print(f"\n{len(grown)} events: resumed in {took_s:.2f} s of processor time")
    assert len(grown) == 49_999
    assert await result(second.client, run_id) == sum(range(steps))


def history_of_long(cluster: Cluster, run_id: RunId, steps: int) -> list[Recorded]:
    """What the run would have stored, step by step."""
    first = recorded(cluster.store._tables.history[run_id][0])
    started = replace(first.event, input=encode((steps,), what="input"))
    instance = Instance(long, started, first.at, marked=frozenset())
    grown = extend(instance, [(started, first.at)], next_seq=1)
    total = 0
    for number in range(steps):
        total += number
        ((command_id, _),) = instance.steps.items()
        answer = StepSucceeded(command_id=command_id, result=encode(total, what="result"))
        grown += extend(instance, [(answer, first.at)], next_seq=len(grown) + 1)
    instance.wind_up()
    return grown


async def outcome_of(work: object, *arguments: object, timeout_s: float | None = None) -> object:
    """What a local step comes to, on a real loop."""
    tasks_of_steps = TaskSet()
    steps = Steps(tasks_of_steps, lambda: None, BlockWatch())
    step = LocalStep(command_id=1, name="step", work=work, arguments=arguments, timeout_s=timeout_s)
    steps.bring_in_line({1: step})
    await tasks_of_steps.drain()
    (outcome,) = steps.results()
    return outcome


async def test_a_plain_function_is_a_step_and_runs_in_a_thread():
    main = threading.get_ident()

    outcome = await outcome_of(lambda: threading.get_ident() != main)

    assert decode(outcome.result, bool, what="") is True


async def test_a_lambda_that_calls_an_async_function_is_a_step():
    outcome = await outcome_of(lambda: note("x"))

    assert decode(outcome.result, str, what="") == "x"


async def test_a_step_that_takes_too_long_fails_and_one_that_times_out_inside_says_so():
    async def times_out_inside() -> None:
        raise TimeoutError("its own")

    cut = await outcome_of(hang, "x", timeout_s=0.01)
    own = await outcome_of(times_out_inside, timeout_s=60)

    assert (cut.failure.type, cut.failure.message) == ("StepTimeout", "after 0.01 s")
    assert (own.failure.type, own.failure.message) == ("TimeoutError", "its own")


async def test_a_step_that_was_cut_fails_for_good_whichever_task_of_it_was_hit():
    async def hit() -> None:
        raise BlockedError(2, ("here",))

    async def hit_in_a_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(hit())

    for work in (hit, hit_in_a_group):
        failure = (await outcome_of(work)).failure
        assert (failure.type, failure.is_final) == ("BlockedTheLoop", True)
        assert failure.message.startswith("it held up the event loop for longer than 2 s at here; ")


@pytest.fixture
def _no_guards_left() -> Iterator[None]:
    yield
    guards.uninstall()


@pytest.mark.usefixtures("_no_guards_left")
async def test_code_that_blocks_is_cut_and_the_server_lives():
    activator = ThreadActivator(limit_s=0.2)

    def spin() -> None:
        while True:
            pass

    began = time.monotonic()
    with pytest.raises(Exception, match=r"longer than 0\.2 s between two awaits"):
        await activator.run(spin)

    assert time.monotonic() - began < 10
    assert await activator.run(lambda: 7) == 7
    await activator.stop()
