"""Code that changed under an open history: what is noticed, what is said, and how to change it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from hodei.durable import codec
from hodei.durable.definitions import Activity, Workflow, workflow
from hodei.durable.events import EVENT_TYPES, PatchMarked, RunCompleted
from hodei.durable.loop.context import Context
from hodei.durable.recorded import Recorded
from hodei.durable.replay import NonDeterminismError
from support.histories_of_runs import DrivenRun, names, result_of

SEND = Activity(name="send", returns=str)


async def act(_number: int = 0) -> str:
    return "done"


def flow(code: Callable[[Context], Awaitable[object]]) -> Workflow:
    return workflow(name="flow")(code)


@flow
async def original(ctx: Context) -> str:
    await ctx.run(act, 1, name="one")
    await ctx.activity(SEND, "x")
    await ctx.sleep(60)
    return "done"


def run_of(definition: Workflow, upto: int = 3) -> DrivenRun:
    run = DrivenRun(definition)
    for each in [
        lambda: run.step_returns(1, "done"),
        lambda: run.activity_returns(2, "sent"),
        lambda: run.fires(3),
    ][:upto]:
        each()
    return run


def difference_of(changed: Workflow, upto: int = 3) -> str:
    with pytest.raises(NonDeterminismError) as caught:
        run_of(original, upto).replayed_by(changed)
    return str(caught.value)


def test_the_same_code_replays():
    for upto in range(4):
        run_of(original, upto).replayed_by(original)


def test_a_step_of_another_name_is_told_with_both_names():
    @flow
    async def renamed(ctx: Context) -> str:
        await ctx.run(act, 1, name="uno")
        return "done"

    said = difference_of(renamed)

    assert "at event 2, after RunStarted" in said
    assert "recorded: StepScheduled(command_id=1, name='one'" in said
    assert "the code: StepScheduled(command_id=1, name='uno'" in said
    assert "ctx.patched" in said


def test_other_arguments_are_told():
    @flow
    async def other_step(ctx: Context) -> None:
        await ctx.run(act, 2, name="one")

    @flow
    async def other_activity(ctx: Context) -> None:
        await ctx.run(act, 1, name="one")
        await ctx.activity(SEND, "y")

    assert "arguments=" in difference_of(other_step)
    assert 'input=["x"]' in difference_of(other_activity)
    assert 'input=["y"]' in difference_of(other_activity)


def test_a_command_that_is_missing_is_told():
    @flow
    async def shorter(ctx: Context) -> str:
        await ctx.run(act, 1, name="one")
        return "done"

    said = difference_of(shorter, upto=1)
    assert "recorded: ActivityScheduled" in said
    assert "the code: RunCompleted" in said


def test_a_command_too_many_is_told_even_at_the_end():
    @flow
    async def longer(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.run(act, 1, name="one"))
            group.create_task(ctx.run(act, 2, name="two"))

    said = difference_of(longer, upto=0)
    assert "at event 3" in said
    assert "recorded: nothing" in said
    assert "name='two'" in said


def test_commands_in_another_order_are_told():
    @flow
    async def swapped(ctx: Context) -> None:
        await ctx.activity(SEND, "x")
        await ctx.run(act, 1, name="one")

    assert "the code: ActivityScheduled" in difference_of(swapped)


def test_a_run_that_ended_otherwise_is_told():
    @flow
    async def other_end(ctx: Context) -> str:
        await original.code(ctx)
        return "otherwise"

    assert 'recorded: RunCompleted(result="done")' in difference_of(other_end)


def test_times_queues_and_retries_may_change():
    @flow
    async def tuned(ctx: Context) -> str:
        await ctx.run(act, 1, name="one", timeout_s=9)
        await ctx.activity(replace(SEND, queue="other", priority=9), "x")
        await ctx.sleep(5)
        return "done"

    run_of(original).replayed_by(tuned)


@flow
async def patched(ctx: Context) -> str:
    way = "new" if ctx.patched("p") else "old"
    await ctx.run(act, name=f"{way} way")
    await ctx.sleep(1)
    return "new" if ctx.patched("p") else "old"


@flow
async def before_the_patch(ctx: Context) -> str:
    await ctx.run(act, name="old way")
    await ctx.sleep(1)
    return "old"


@flow
async def after_the_patch(ctx: Context) -> str:
    ctx.deprecate_patch("p")
    await ctx.run(act, name="new way")
    await ctx.sleep(1)
    return "new"


@flow
async def long_after_the_patch(ctx: Context) -> str:
    await ctx.run(act, name="new way")
    await ctx.sleep(1)
    return "new"


def at_the_sleep(definition: Workflow) -> DrivenRun:
    run = DrivenRun(definition)
    run.step_returns(1, "done")
    return run


def continued_by(run: DrivenRun, definition: Workflow) -> object:
    run.definition = definition
    return result_of(run.fires(2))


def test_a_new_run_takes_the_new_branch_and_says_so_in_its_history():
    run = DrivenRun(patched)

    assert run.first[0] == PatchMarked(patch_id="p")
    assert continued_by(at_the_sleep(patched), patched) == "new"


def test_a_run_that_took_the_old_branch_stays_on_it():
    assert continued_by(at_the_sleep(before_the_patch), patched) == "old"


def test_a_patch_that_is_deprecated_replays_runs_that_took_it():
    assert continued_by(at_the_sleep(patched), after_the_patch) == "new"
    assert continued_by(at_the_sleep(after_the_patch), patched) == "new"
    assert continued_by(at_the_sleep(after_the_patch), after_the_patch) == "new"


def test_a_deprecated_patch_may_go_and_one_that_is_not_may_not():
    assert continued_by(at_the_sleep(after_the_patch), long_after_the_patch) == "new"
    with pytest.raises(NonDeterminismError, match="PatchMarked"):
        at_the_sleep(patched).replayed_by(long_after_the_patch)


def test_a_patch_reached_late_in_an_old_run_is_taken():
    @flow
    async def plain(ctx: Context) -> str:
        await ctx.sleep(1)
        return "old"

    @flow
    async def patched_late(ctx: Context) -> str:
        await ctx.sleep(1)
        return "new" if ctx.patched("late") else "old"

    run = DrivenRun(plain)
    run.definition = patched_late
    commands = run.fires(1)

    assert names(commands) == ["PatchMarked", "RunCompleted"]
    assert result_of(commands) == "new"


def test_every_event_is_read_as_it_was_written():
    run = run_of(original)

    for each in run.history:
        kind = type(each.event).__name__
        assert (
            Recorded(seq=each.seq, at=each.at, event=codec.decode(kind, codec.encode(each.event)))
            == each
        )
    assert {RunCompleted, PatchMarked} <= set(EVENT_TYPES)


def test_an_event_of_a_newer_version_is_named():
    with pytest.raises(codec.UnreadableEventError, match="'RunTeleported'"):
        codec.decode("RunTeleported", b"")
    with pytest.raises(codec.UnreadableEventError, match="damaged"):
        codec.decode("RunCompleted", b"\xc1")
