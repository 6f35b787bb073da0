"""What workflow code may do, and what comes of it. Each test replays at each of its steps."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from hodei.durable.definitions import Activity, OnCancel, limits, workflow
from hodei.durable.events import (
    ActivityCancelAsked,
    ActivityScheduled,
    RunCancelled,
    RunCompleted,
    RunFailed,
    SignalReceived,
    StepScheduled,
    TimerCancelled,
    TimerFired,
    TimerStarted,
)
from hodei.durable.failures import (
    ActivityFailedError,
    ApplicationError,
    Ended,
    StepFailedError,
    WorkflowMisuseError,
)
from hodei.durable.loop.context import Context
from hodei.durable.loop.instance import TaskFailedError
from hodei.durable.payloads import UnencodableError
from hodei.durable.retry import retry
from hodei.kernel.errors import NotFoundError
from support.histories_of_runs import T0, DrivenRun, names, result_of, signal_of

SEND = Activity(name="send", returns=str)


def add(left: int, right: int) -> int:
    return left + right


async def fetch() -> "Page":
    return Page(title="t", at=T0)


@dataclass(frozen=True)
class Page:
    title: str
    at: datetime


@workflow(name="sum")
async def summing(ctx: Context, count: int) -> int:
    total = 0
    for number in range(count):
        total = await ctx.run(add, total, number)
    return total


def test_a_workflow_without_waits_ends_at_once():
    run = DrivenRun(summing, 0)

    assert names(run.first) == ["RunCompleted"]
    assert result_of(run.first) == 0


def test_a_step_is_recorded_before_it_runs_and_its_stored_result_is_what_the_code_gets():
    run = DrivenRun(summing, 2)

    assert run.first == [StepScheduled(command_id=1, name="add", arguments=run.first[0].arguments)]
    assert names(run.step_returns(1, 40)) == ["StepScheduled"]
    assert result_of(run.step_returns(2, 41)) == 41


def test_a_result_has_the_type_that_its_step_declares():
    @workflow(name="typed")
    async def typed(ctx: Context) -> list[str]:
        page = await ctx.run(fetch)
        return [type(page).__name__, (page.at + timedelta(seconds=1)).isoformat()]

    run = DrivenRun(typed)

    assert result_of(run.step_returns(1, Page(title="t", at=T0))) == [
        "Page",
        "2026-03-01T12:00:01+00:00",
    ]


def test_a_step_that_fails_raises_what_was_stored():
    @workflow(name="catching")
    async def catching(ctx: Context) -> str:
        try:
            await ctx.run(add, 1, 2)
        except StepFailedError as error:
            return f"{error.failure.type}: {error.failure.message}"
        return "no"

    assert result_of(DrivenRun(catching).step_raises(1, "Oops")) == "Oops: it went wrong"


def test_a_step_is_tried_again_after_a_durable_wait():
    @workflow(name="retrying")
    async def retrying(ctx: Context) -> int:
        return await ctx.run(add, 1, 2, retry=retry(3, initial_s=5, factor=2))

    run = DrivenRun(retrying)

    assert run.step_raises(1) == [TimerStarted(command_id=2, delay_s=5)]
    again = run.fires(2)
    assert [(each.command_id, each.attempt) for each in again] == [(3, 2)]
    assert run.step_raises(3) == [TimerStarted(command_id=4, delay_s=10)]
    run.fires(4)
    assert names(run.step_raises(5)) == ["RunFailed"]


def test_a_step_is_not_tried_again_after_a_failure_that_is_final():
    @workflow(name="final")
    async def final(ctx: Context) -> int:
        return await ctx.run(add, 1, 2, retry=retry(3, never_on=("Bad",)))

    assert names(DrivenRun(final).step_raises(1, "Bad")) == ["RunFailed"]
    assert names(DrivenRun(final).step_raises(1, "Other", is_final=True)) == ["RunFailed"]


def test_a_workflow_that_raises_fails_with_the_type_and_the_causes():
    @workflow(name="raising")
    async def raising(ctx: Context) -> None:
        try:
            await ctx.activity(SEND, "x")
        except ActivityFailedError as error:
            raise ApplicationError("gave up", type="GaveUp") from error

    run = DrivenRun(raising)
    (failed,) = run.activity_ends(1, Ended.ATTEMPTS_USED, "Timeout")

    assert isinstance(failed, RunFailed)
    assert failed.failure.type == "GaveUp"
    assert failed.failure.cause is not None
    assert failed.failure.cause.cause is not None
    assert failed.failure.cause.cause.type == "Timeout"


def test_an_activity_is_asked_for_with_its_options():
    special = replace(SEND, queue="gpu", priority=3, retry=retry(2), limits=limits(heartbeat_s=4))

    @workflow(name="asking")
    async def asking(ctx: Context) -> str:
        return await ctx.activity(special, "x", 1)

    run = DrivenRun(asking)
    (scheduled,) = run.first

    assert isinstance(scheduled, ActivityScheduled)
    assert (scheduled.queue, scheduled.priority, scheduled.retry) == ("gpu", 3, retry(2))
    assert scheduled.input.data == b'["x",1]'
    assert result_of(run.activity_returns(1, "sent")) == "sent"


@workflow(name="both")
async def both(ctx: Context) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ctx.activity(SEND, number)) for number in range(3)]
    return [task.result() for task in tasks]


def test_activities_in_a_task_group_run_side_by_side():
    run = DrivenRun(both)

    assert [each.command_id for each in run.first] == [1, 2, 3]
    run.activity_returns(3, "c")
    run.activity_returns(1, "a")
    assert result_of(run.activity_returns(2, "b")) == ["a", "b", "c"]


def test_when_one_of_a_task_group_fails_the_others_are_asked_to_stop_and_waited_for():
    run = DrivenRun(both)

    asked = run.activity_ends(2)

    assert sorted(each.command_id for each in asked) == [1, 3]
    assert all(isinstance(each, ActivityCancelAsked) for each in asked)
    assert run.activity_ends(1, Ended.CANCELLED) == []
    assert names(run.activity_returns(3, "too late to matter")) == ["RunFailed"]


def cancelling(on_cancel: OnCancel):
    activity = replace(SEND, on_cancel=on_cancel)

    @workflow(name="cancelling")
    async def code(ctx: Context) -> str:
        return await ctx.activity(activity, "x")

    return code


def test_a_cancelled_activity_is_waited_for():
    run = DrivenRun(cancelling(OnCancel.WAIT))

    assert run.cancel() == [ActivityCancelAsked(command_id=1)]
    assert run.cancel() == []
    assert names(run.activity_ends(1, Ended.CANCELLED)) == ["RunCancelled"]


def test_a_cancelled_activity_that_is_only_to_try_is_not_waited_for():
    assert names(DrivenRun(cancelling(OnCancel.TRY)).cancel()) == [
        "ActivityCancelAsked",
        "RunCancelled",
    ]


def test_an_abandoned_activity_is_not_asked_to_stop():
    assert names(DrivenRun(cancelling(OnCancel.ABANDON)).cancel()) == ["RunCancelled"]


def test_what_an_abandoned_activity_comes_to_leaves_no_trace():
    activity = replace(SEND, on_cancel=OnCancel.ABANDON)

    @workflow(name="abandoning")
    async def abandoning(ctx: Context) -> str:
        try:
            async with asyncio.timeout(5):
                await ctx.activity(activity, "x")
        except TimeoutError:
            await ctx.sleep(60)
        return "done"

    run = DrivenRun(abandoning)
    run.fires(2)
    before = len(run.history)

    assert run.activity_returns(1, "late") == []
    assert len(run.history) == before


def test_a_run_that_is_cancelled_says_by_whom():
    (cancelled,) = DrivenRun(cancelling(OnCancel.ABANDON)).cancel()

    assert cancelled == RunCancelled(reason="no longer needed", by="tester")


def test_a_workflow_may_clean_up_when_it_is_cancelled():
    @workflow(name="cleaning")
    async def cleaning(ctx: Context) -> None:
        try:
            await ctx.sleep(100)
        finally:
            await ctx.run(add, 0, 0, name="clean up")

    run = DrivenRun(cleaning)

    assert names(run.cancel()) == ["TimerCancelled", "StepScheduled"]
    assert names(run.step_returns(2, 0)) == ["RunCancelled"]


def test_a_workflow_may_carry_on_although_it_is_cancelled():
    @workflow(name="stubborn")
    async def stubborn(ctx: Context) -> str:
        try:
            await ctx.sleep(100)
        except asyncio.CancelledError:
            return "I was not done"
        return "done"

    assert result_of(DrivenRun(stubborn).cancel()) == "I was not done"


def test_a_cancelled_step_is_waited_for():
    run = DrivenRun(summing, 2)

    assert run.cancel() == []
    assert names(run.step_returns(1, 0)) == ["RunCancelled"]


def test_shielded_work_goes_on():
    @workflow(name="shielding")
    async def shielding(ctx: Context) -> str:
        inner = asyncio.ensure_future(ctx.activity(SEND, "x"))
        try:
            await asyncio.shield(inner)
        except asyncio.CancelledError:
            return f"cancelled, but {await inner}"
        return "done"

    run = DrivenRun(shielding)

    assert run.cancel() == []
    assert result_of(run.activity_returns(1, "sent")) == "cancelled, but sent"


def test_a_timer_is_a_command_and_the_time_stands_still_between_events():
    @workflow(name="sleeping")
    async def sleeping(ctx: Context) -> list[str]:
        before = ctx.now()
        await ctx.sleep(60)
        return [before.isoformat(), ctx.now().isoformat()]

    run = DrivenRun(sleeping)

    assert run.first == [TimerStarted(command_id=1, delay_s=60)]
    assert result_of(run.fires(1, after_s=61.5)) == [
        "2026-03-01T12:00:00+00:00",
        "2026-03-01T12:01:01.500000+00:00",
    ]


@workflow(name="impatient")
async def impatient(ctx: Context) -> str:
    try:
        async with asyncio.timeout(10):
            return await ctx.activity(SEND, "x")
    except TimeoutError:
        return "too slow"


def test_a_timeout_that_is_not_needed_is_cancelled():
    run = DrivenRun(impatient)

    assert names(run.first) == ["TimerStarted", "ActivityScheduled"]
    ended = run.activity_returns(2, "quick")
    assert ended[0] == TimerCancelled(command_id=1)
    assert result_of(ended) == "quick"


def test_a_timeout_that_passes_cancels_what_is_inside():
    run = DrivenRun(impatient)

    assert run.fires(1, after_s=10) == [ActivityCancelAsked(command_id=2)]
    assert result_of(run.activity_ends(2, Ended.CANCELLED)) == "too slow"


def test_the_time_of_a_run_never_goes_back_whatever_the_clocks_of_others_say():
    @workflow(name="timing")
    async def timing(ctx: Context) -> list[bool]:
        times = [ctx.now()]
        for _ in range(2):
            await ctx.receive("say", str)
            times.append(ctx.now())
        return [times == sorted(times), times[2] > times[0]]

    run = DrivenRun(timing)
    run.hear(signal_of("say", "late"), after_s=60)

    assert result_of(run.hear(signal_of("say", "early"), after_s=-30)) == [True, True]


def test_a_timer_that_fires_after_it_was_cancelled_leaves_no_trace():
    @workflow(name="racing")
    async def racing(ctx: Context) -> str:
        async with asyncio.timeout(10):
            await ctx.activity(SEND, "x")
        await ctx.sleep(5)
        return "done"

    run = DrivenRun(racing)
    run.activity_returns(2, "x")
    before = len(run.history)

    assert run.hear(TimerFired(command_id=1)) == []
    assert len(run.history) == before


def test_timers_that_are_due_together_fire_each_for_itself():
    @workflow(name="together")
    async def together(ctx: Context) -> list[int]:
        woken: list[int] = []

        async def one(number: int) -> None:
            await ctx.sleep(5)
            woken.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(one(number))
        return woken

    run = DrivenRun(together)
    run.fires(2)
    run.fires(3, after_s=0)

    assert result_of(run.fires(1, after_s=0)) == [1, 2, 0]


def test_gather_and_as_completed_keep_their_order_in_a_replay():
    @workflow(name="combining")
    async def combining(ctx: Context) -> list[str]:
        first = await asyncio.gather(*(ctx.activity(SEND, n) for n in range(2)))
        tasks = [asyncio.ensure_future(ctx.activity(SEND, n)) for n in range(5)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        await asyncio.wait(pending)
        return [*first, *(each.result() for each in done)]

    run = DrivenRun(combining, seed=12345)
    run.activity_returns(2, "b")
    run.activity_returns(1, "a")
    asked = run.activity_returns(5, "e")
    for each in asked:
        ended = run.activity_ends(each.command_id, Ended.CANCELLED)

    assert len(asked) == 4
    assert result_of(ended) == ["a", "b", "e"]


def test_queues_and_locks_of_asyncio_work():
    @workflow(name="queueing")
    async def queueing(ctx: Context) -> list[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        lock = asyncio.Lock()

        async def produce(number: int) -> None:
            async with lock:
                await queue.put(await ctx.activity(SEND, number))

        async with asyncio.TaskGroup() as group:
            for number in range(2):
                group.create_task(produce(number))
            return [await queue.get(), await queue.get()]

    run = DrivenRun(queueing)
    assert names(run.first) == ["ActivityScheduled"]
    assert names(run.activity_returns(1, "a")) == ["ActivityScheduled"]
    assert result_of(run.activity_returns(2, "b")) == ["a", "b"]


def test_chance_and_ids_are_the_same_in_each_replay_and_differ_between_runs():
    @workflow(name="drawing")
    async def drawing(ctx: Context) -> list[str]:
        drawn = [str(ctx.uuid()), str(ctx.random().randint(0, 10**9))]
        await ctx.sleep(1)
        return [*drawn, str(ctx.uuid())]

    one = result_of(DrivenRun(drawing, seed=5).fires(1))
    same = result_of(DrivenRun(drawing, seed=5).fires(1))
    other = result_of(DrivenRun(drawing, seed=6).fires(1))

    assert one == same
    assert one != other
    assert UUID(one[0]).version == 4


@workflow(name="approval")
async def approval(ctx: Context) -> list[str]:
    first = await ctx.receive("approve", str)
    second = await ctx.receive("approve", str)
    return [first, second]


def test_signals_are_kept_until_they_are_asked_for():
    @workflow(name="late")
    async def late(ctx: Context) -> list[str]:
        await ctx.sleep(5)
        return [await ctx.receive("approve", str), await ctx.receive("approve", str)]

    run = DrivenRun(late)
    run.signal("approve", "ann")
    run.signal("approve", "bob")

    assert result_of(run.fires(1)) == ["ann", "bob"]


def test_signals_are_heard_in_the_order_of_their_arrival():
    run = DrivenRun(approval)

    assert run.signal("approve", "ann") == []
    assert run.signal("other", "nobody listens") == []
    assert result_of(run.signal("approve", "bob")) == ["ann", "bob"]


def test_each_of_two_receivers_gets_a_signal():
    @workflow(name="two")
    async def two(ctx: Context) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ctx.receive("go", str)) for _ in range(2)]
        return [task.result() for task in tasks]

    run = DrivenRun(two)
    run.signal("go", "1")

    assert result_of(run.signal("go", "2")) == ["1", "2"]


def test_signals_that_arrive_with_the_start_are_heard_before_the_code_can_end():
    @workflow(name="hasty")
    async def hasty(ctx: Context) -> list[str]:
        heard: list[str] = []
        ctx.on_signal("say", heard.append)
        await asyncio.sleep(0)
        return heard

    run = DrivenRun.__new__(DrivenRun)
    started = DrivenRun(hasty).history[0].event
    run.definition, run.history, run._at = hasty, [], T0

    commands = run.hear(started, signal_of("say", "a"), signal_of("say", "b"))

    assert result_of(commands) == ["a", "b"]
    assert [type(each.event) for each in run.history[:3]] == [
        type(started),
        SignalReceived,
        SignalReceived,
    ]


def test_a_handler_may_be_async_and_start_steps():
    @workflow(name="handling")
    async def handling(ctx: Context) -> int:
        total = 0

        async def on_add(number: int) -> None:
            nonlocal total
            total = await ctx.run(add, total, number)

        ctx.on_signal("add", on_add)
        await ctx.wait_until(lambda: total >= 3)
        return total

    run = DrivenRun(handling)
    assert names(run.signal("add", 3)) == ["StepScheduled"]
    assert result_of(run.step_returns(1, 3)) == 3


def test_a_run_whose_handler_raises_is_cancelled_and_fails_with_that():
    @workflow(name="unlucky")
    async def unlucky(ctx: Context) -> None:
        def on_say(_text: str) -> None:
            raise ValueError("not that")

        ctx.on_signal("say", on_say)
        await ctx.sleep(100)

    cancelled, failed = DrivenRun(unlucky).signal("say", "x")

    assert isinstance(cancelled, TimerCancelled)
    assert isinstance(failed, RunFailed)
    assert failed.failure.type == "ValueError"


def test_waiting_for_a_condition_may_be_bounded():
    @workflow(name="bounded")
    async def bounded(ctx: Context) -> str:
        try:
            async with asyncio.timeout(5):
                await ctx.wait_until(lambda: False)
        except TimeoutError:
            return "never"
        return "met"

    assert result_of(DrivenRun(bounded).fires(1)) == "never"


@workflow(name="asked")
async def asked(ctx: Context) -> None:
    seen: list[str] = []
    ctx.on_query("seen", lambda: seen)
    ctx.on_query("seen_from", lambda start: seen[start:])
    ctx.on_query("meddle", lambda: ctx.run(add, 1, 2))
    ctx.on_query("start", lambda: ctx.uuid() and asyncio.ensure_future(ctx.sleep(1)) and None)
    while True:
        seen.append(await ctx.receive("say", str))


def test_a_query_shows_the_variables_of_the_code():
    run = DrivenRun(asked)
    run.signal("say", "a")
    run.signal("say", "b")

    assert run.ask("seen") == ["a", "b"]
    assert run.ask("seen_from", 1) == ["b"]


def test_a_query_may_not_ask_for_anything_and_an_unknown_one_is_refused():
    run = DrivenRun(asked)

    with pytest.raises(WorkflowMisuseError, match="async function"):
        run.ask("meddle")
    with pytest.raises(NotFoundError, match="seen"):
        run.ask("what")


def test_a_query_with_arguments_that_do_not_fit_is_refused():
    run = DrivenRun(asked)

    with pytest.raises(UnencodableError, match="query seen"):
        run.ask("seen", 1)


@dataclass(frozen=True)
class Parcel:
    raw: bytes
    weights: dict[str, float]
    inner: "Parcel | None" = None


def test_values_come_back_as_what_they_were():
    @workflow(name="parcels")
    async def parcels(ctx: Context, parcel: Parcel, nothing: None, *, more: int = 0) -> bool:
        back: Parcel = await ctx.run(send_back, parcel)
        return back == parcel and nothing is None

    parcel = Parcel(raw=b"\x00\xff", weights={"a": 0.1}, inner=Parcel(raw=b"", weights={}))
    run = DrivenRun(parcels, parcel, None)

    assert result_of(run.step_returns(1, parcel)) is True


async def send_back(parcel: Parcel) -> Parcel:
    return parcel


def test_a_result_that_cannot_be_stored_fails_the_task_and_not_the_run():
    @workflow(name="unstorable")
    async def unstorable(ctx: Context) -> object:
        return object()

    @workflow(name="huge")
    async def huge(ctx: Context) -> str:
        return "x" * 3_000_000

    with pytest.raises(TaskFailedError, match="result of unstorable"):
        DrivenRun(unstorable)
    with pytest.raises(TaskFailedError, match="2097152 are allowed"):
        DrivenRun(huge)


def test_input_that_does_not_fit_fails_the_task():
    with pytest.raises(TaskFailedError, match="input of sum"):
        DrivenRun(summing, "not a number")


def test_threads_are_refused():
    @workflow(name="threading")
    async def threads(ctx: Context) -> None:
        await asyncio.get_running_loop().run_in_executor(None, add, 1, 2)

    (failed,) = DrivenRun(threads).first
    assert isinstance(failed, RunFailed)
    assert "ctx.run" in failed.failure.message


def test_a_task_that_nobody_waits_for_does_not_hold_up_the_end():
    @workflow(name="leaving")
    async def leaving(ctx: Context) -> str:
        task = asyncio.ensure_future(ctx.sleep(1000))
        await asyncio.sleep(0)
        assert not task.done()
        return "gone"

    run = DrivenRun(leaving)
    assert names(run.first) == ["TimerStarted", "RunCompleted"]
    assert isinstance(run.history[-1].event, RunCompleted)
