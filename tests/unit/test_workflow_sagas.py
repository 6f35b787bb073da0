"""Sagas: what is undone, in which order, and what may happen meanwhile."""

import asyncio

from hodei.durable.definitions import Activity, workflow
from hodei.durable.events import (
    ActivityScheduled,
    CompensationExhausted,
    CompensationRegistered,
    CompensationSkipped,
    CompensationStarted,
    Decision,
    RunCancelled,
    RunFailed,
    SagaFailed,
    SagaUndone,
    StepCompensated,
    StepScheduled,
)
from hodei.durable.failures import Ended, StepFailedError
from hodei.durable.loop.context import Context
from hodei.durable.retry import ONCE, retry
from support.histories_of_runs import DrivenRun, names, result_of

UNDO = Activity(name="undo", returns=str)


async def act() -> str:
    return "done"


@workflow(name="trip")
async def trip(ctx: Context, count: int) -> str:
    async with ctx.saga() as saga:
        for number in range(count):
            await saga.step(
                lambda number=number: ctx.run(act, name=f"do {number}"),
                compensate=lambda number=number: ctx.run(act, name=f"undo {number}"),
                name=f"part {number}",
                retry=retry(2, initial_s=1),
            )
    return "arrived"


def steps(commands: list[object]) -> list[str]:
    return [each.name for each in commands if isinstance(each, StepScheduled)]


def begun(count: int = 3, failing: int = 2) -> DrivenRun:
    """A run of which step `failing` is under way."""
    run = DrivenRun(trip, count)
    for number in range(failing):
        run.step_returns(2 * number + 2, "done")
    return run


def test_a_compensation_is_registered_before_what_it_undoes_begins():
    run = DrivenRun(trip, 1)

    assert run.first[0] == CompensationRegistered(command_id=1, name="part 0")
    assert steps(run.first) == ["do 0"]


def test_a_saga_that_succeeds_undoes_nothing():
    run = begun(count=2, failing=1)

    assert result_of(run.step_returns(4, "done")) == "arrived"
    assert "SagaFailed" not in names([each.event for each in run.history])


def test_a_saga_that_fails_undoes_last_first_and_the_failed_step_too():
    run = begun()

    failed = run.step_raises(6)
    assert isinstance(failed[0], SagaFailed)
    assert failed[0].to_undo == 3
    assert failed[1] == CompensationStarted(registration=5, attempt=1)
    assert steps(failed) == ["undo 2"]
    assert steps(run.step_returns(8, "x")) == ["undo 1"]
    assert steps(run.step_returns(9, "x")) == ["undo 0"]
    ended = run.step_returns(10, "x")
    assert ended[:2] == [StepCompensated(registration=1), SagaUndone(command_id=7)]
    assert isinstance(ended[2], RunFailed)
    assert ended[2].failure.type == "StepFailedError"


def test_a_saga_that_is_cancelled_undoes_what_it_did():
    run = begun()

    assert run.cancel() == []
    assert steps(run.step_returns(6, "done after all")) == ["undo 2"]
    run.step_returns(8, "x")
    run.step_returns(9, "x")
    assert isinstance(run.step_returns(10, "x")[-1], RunCancelled)


def test_neither_a_cancellation_nor_a_second_one_stops_the_undoing():
    run = begun()
    run.step_raises(6)

    assert run.cancel() == []
    assert steps(run.step_returns(8, "x")) == ["undo 1"]
    assert run.cancel() == []
    assert run.cancel() == []
    assert steps(run.step_returns(9, "x")) == ["undo 0"]
    assert names(run.step_returns(10, "x")) == ["StepCompensated", "SagaUndone", "RunCancelled"]


def test_a_cancellation_that_came_while_a_saga_was_undone_is_late_and_not_lost():
    @workflow(name="persistent")
    async def persistent(ctx: Context) -> str:
        try:
            async with ctx.saga() as saga:
                await saga.step(lambda: ctx.run(act), compensate=lambda: ctx.run(act), name="part")
        except StepFailedError:
            await ctx.sleep(1000)
        return "slept"

    run = DrivenRun(persistent)
    run.step_raises(2)
    run.cancel()

    assert names(run.step_returns(4, "x")) == ["StepCompensated", "SagaUndone", "RunCancelled"]


def test_a_compensation_is_tried_again_by_the_rule_of_its_step():
    run = begun(count=1, failing=0)
    run.step_raises(2)

    assert names(run.step_raises(4)) == ["TimerStarted"]
    assert steps(run.fires(5)) == ["undo 0"]
    assert names(run.step_returns(6, "x")) == ["StepCompensated", "SagaUndone", "RunFailed"]


def exhausted() -> tuple[DrivenRun, CompensationExhausted]:
    run = begun(count=2, failing=1)
    run.step_raises(4)
    run.step_raises(6)
    run.fires(7)
    (event,) = run.step_raises(8)
    assert isinstance(event, CompensationExhausted)
    return run, event


def test_a_compensation_without_retries_left_waits_for_an_operator_and_so_do_those_behind_it():
    run, event = exhausted()

    assert (event.name, event.registration) == ("part 1", 3)
    assert run.cancel() == []


def test_an_operator_may_have_a_compensation_tried_again():
    run, event = exhausted()

    again = run.decide(event.command_id, Decision.RETRY)
    assert again[0] == CompensationStarted(registration=3, attempt=2)
    assert steps(again) == ["undo 1"]
    assert steps(run.step_returns(again[1].command_id, "x")) == ["undo 0"]


def test_an_operator_may_skip_a_compensation():
    run, event = exhausted()

    skipped = run.decide(event.command_id, Decision.SKIP)
    assert skipped[0] == CompensationSkipped(registration=3)
    assert steps(skipped) == ["undo 0"]


def test_a_decision_that_nobody_waits_for_leaves_no_trace():
    run, event = exhausted()
    before = len(run.history)

    assert run.decide(event.command_id + 1, Decision.SKIP) == []
    assert len(run.history) == before


def test_activities_in_a_compensation_are_tried_again_by_its_rule():
    @workflow(name="remote")
    async def remote(ctx: Context) -> None:
        async with ctx.saga() as saga:
            await saga.step(
                lambda: ctx.run(act),
                compensate=lambda: ctx.activity(UNDO, "x"),
                name="part",
                retry=retry(7, initial_s=2),
            )

    run = DrivenRun(remote)
    asked = run.step_raises(2)

    assert isinstance(asked[-1], ActivityScheduled)
    assert asked[-1].retry == retry(7, initial_s=2)
    assert names(run.activity_ends(4, Ended.ATTEMPTS_USED)) == ["CompensationExhausted"]


def test_a_compensation_that_raises_by_itself_waits_for_an_operator():
    @workflow(name="broken")
    async def broken(ctx: Context) -> None:
        async def undo() -> None:
            raise KeyError("a slip")

        async with ctx.saga() as saga:
            await saga.step(lambda: ctx.run(act), compensate=undo, retry=ONCE)

    commands = DrivenRun(broken).step_raises(2)
    assert names(commands)[-1] == "CompensationExhausted"
    assert commands[-1].name == "undo"


def test_an_inner_saga_is_undone_before_the_outer_one():
    @workflow(name="nested")
    async def nested(ctx: Context) -> None:
        def part(saga: object, name: str) -> object:
            return saga.step(
                lambda: ctx.run(act, name=f"do {name}"),
                compensate=lambda: ctx.run(act, name=f"undo {name}"),
                name=name,
            )

        async with ctx.saga() as outer:
            await part(outer, "outer")
            async with ctx.saga() as inner:
                await part(inner, "inner")

    run = DrivenRun(nested)
    run.step_returns(2, "x")
    assert steps(run.step_raises(4)) == ["undo inner"]
    assert steps(run.step_returns(6, "x")) == ["undo outer"]


def test_an_inner_saga_that_succeeded_is_not_undone_by_the_outer_one():
    @workflow(name="settled")
    async def settled(ctx: Context) -> None:
        async with ctx.saga() as outer:
            async with ctx.saga() as inner:
                await inner.step(lambda: ctx.run(act), compensate=lambda: ctx.run(act), name="in")
            await outer.step(lambda: ctx.run(act), compensate=lambda: ctx.run(act), name="out")

    run = DrivenRun(settled)
    run.step_returns(2, "x")
    failed = run.step_raises(4)
    assert failed[1] == CompensationStarted(registration=3, attempt=1)
    assert names(run.step_returns(failed[-1].command_id, "x")) == [
        "StepCompensated",
        "SagaUndone",
        "RunFailed",
    ]


def test_a_saga_in_a_timeout_is_undone_and_then_times_out():
    @workflow(name="timed")
    async def timed(ctx: Context) -> str:
        try:
            async with asyncio.timeout(5), ctx.saga() as saga:
                await saga.step(lambda: ctx.sleep(60), compensate=lambda: ctx.run(act), name="part")
        except TimeoutError:
            return "too slow, and undone"
        return "in time"

    run = DrivenRun(timed)
    assert "StepScheduled" in names(run.fires(1, after_s=5))
    assert result_of(run.step_returns(5, "x")) == "too slow, and undone"


def test_an_activity_under_way_is_over_before_its_compensation_begins():
    @workflow(name="careful")
    async def careful(ctx: Context) -> None:
        async with ctx.saga() as saga:
            await saga.step(
                lambda: ctx.activity(Activity(name="do", returns=str)),
                compensate=lambda: ctx.activity(UNDO),
                name="part",
            )

    run = DrivenRun(careful)
    assert names(run.cancel()) == ["ActivityCancelAsked"]
    assert names(run.activity_ends(2, Ended.CANCELLED))[-1] == "ActivityScheduled"


def test_a_compensation_may_be_registered_alone():
    @workflow(name="alone")
    async def alone(ctx: Context) -> None:
        async with ctx.saga() as saga:
            saga.on_failure(lambda: ctx.run(act, name="tidy"), name="tidy")
            raise ValueError

    assert steps(DrivenRun(alone).first) == ["tidy"]
