"""What workflow code must not call: found when it is declared, or else when it runs."""

import asyncio
import logging
import os
import random
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from random import choice

import pytest

from hodei.durable.definitions import (
    DefinitionError,
    UnknownWorkflowError,
    Workflows,
    workflow,
)
from hodei.durable.lint import WorkflowLintError
from hodei.durable.loop import guards
from hodei.durable.loop.context import Context
from hodei.durable.loop.instance import TaskFailedError
from support.histories_of_runs import DrivenRun, names


@pytest.fixture
def guarded() -> Iterator[None]:
    guards.install()
    yield
    guards.uninstall()


def refused(code: object) -> str:
    with pytest.raises(WorkflowLintError) as caught:
        workflow(name="w")(code)
    return str(caught.value)


def test_each_forbidden_call_is_told_with_its_place_and_what_to_use_instead():
    async def code(ctx: Context) -> None:
        time.time()
        datetime.now()
        uuid.uuid4()
        random.random()
        choice([1])
        os.urandom(1)
        subprocess.run(["true"], check=False)
        open("x").close()
        await asyncio.to_thread(print)

    told = refused(code).splitlines()

    assert len(told) == 10
    assert "test_workflow_guards.py:" in told[1]
    assert told[1].endswith(
        "it calls time.time; use ctx.now() for the time and ctx.sleep() to wait"
    )
    assert "datetime.datetime.now; use ctx.now()" in told[2]
    assert "uuid.uuid4; use ctx.uuid()" in told[3]
    assert "use ctx.random()" in told[4]
    assert "use ctx.random()" in told[5]
    assert "await ctx.run" in told[6]


def test_going_through_a_set_is_refused():
    async def loop(ctx: Context) -> None:
        for each in set("ab"):
            await ctx.run(print, each)

    async def comprehension(ctx: Context) -> list[str]:
        return [each * 2 for each in frozenset("ab")]

    assert "sorted" in refused(loop)
    assert "sorted" in refused(comprehension)


def test_what_only_looks_like_it_is_let_through():
    @workflow(name="w")
    async def code(ctx: Context) -> float:
        time = ctx.now()
        drawn = random.Random(4).random()
        return drawn + time.timestamp()

    assert names(DrivenRun(code).first) == ["RunCompleted"]


def hidden_time() -> float:
    return time.time()


def hidden_chance() -> object:
    return (random.random(), uuid.uuid4())


def hidden_file() -> str:
    with open("/dev/null") as file:
        return file.read()


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("helper", [hidden_time, hidden_chance, hidden_file])
def test_a_call_further_down_fails_the_task_even_when_it_is_caught(helper: object):
    @workflow(name="w")
    async def code(ctx: Context) -> None:
        try:
            helper()
        except Exception:  # noqa: BLE001 - as careless code does
            await ctx.sleep(1)

    with pytest.raises(TaskFailedError, match="workflow code calls"):
        DrivenRun(code)


@pytest.mark.usefixtures("guarded")
def test_others_get_the_real_time_and_so_does_a_log_in_a_workflow():
    @workflow(name="w")
    async def code(ctx: Context) -> None:
        logging.getLogger("w").warning("hello")

    assert abs(time.time() - datetime.now().timestamp()) < 5
    assert hidden_chance() != hidden_chance()
    assert hidden_file() == ""
    assert names(DrivenRun(code).first) == ["RunCompleted"]


def test_the_guards_can_be_taken_out_again():
    guards.uninstall()
    real = time.time
    guards.install()
    guards.install()
    assert time.time is not real
    guards.uninstall()
    guards.uninstall()
    assert time.time is real


def test_a_workflow_is_declared_with_a_name_a_version_and_an_async_function():
    async def code(ctx: Context) -> None: ...

    async def no_context() -> None: ...

    def not_async(ctx: Context) -> None: ...

    with pytest.raises(DefinitionError, match="1 to 128 letters"):
        workflow(name="no spaces")(code)
    with pytest.raises(DefinitionError, match="versions begin at 1"):
        workflow(name="w", version=0)(code)
    with pytest.raises(DefinitionError, match="async def"):
        workflow(name="w")(not_async)
    with pytest.raises(DefinitionError, match="first parameter"):
        workflow(name="w")(no_context)


def test_workflows_are_found_by_name_and_version():
    async def code(ctx: Context) -> None: ...

    one, two = workflow(name="w")(code), workflow(name="w", version=2)(code)
    loaded = Workflows([two, one])

    assert loaded.newest("w") is two
    assert loaded.find("w", 1) is one
    assert loaded.find("w", 3) is None
    with pytest.raises(UnknownWorkflowError, match="there is w"):
        loaded.newest("v")
    with pytest.raises(DefinitionError, match="twice"):
        Workflows([one, one])
