"""Code that holds up the event loop is cut, and nothing else is."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hodei.lifecycle.block_watch import BlockedError, BlockWatch, blocked

LIMIT_S = 0.2


@contextmanager
def started(limit_s: float) -> Iterator[BlockWatch]:
    watch = BlockWatch(limit_s=limit_s)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def sleep() -> None:
    time.sleep(600)


def spin() -> None:
    while True:
        pass


def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def read_from_a_silent_socket() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.recv(1)


def wait_for_a_process() -> None:
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"], check=False)


@pytest.mark.parametrize(
    "block",
    [
        spin,
        sleep,
        wait_for_a_lock,
        read_from_a_silent_socket,
        wait_for_a_process,
    ],
    ids=["loop", "sleep", "lock", "socket", "process"],
)
async def test_what_blocks_is_cut_and_the_rest_goes_on(block: Callable[[], None]):
    others = asyncio.Event()

    async def other() -> None:
        others.set()

    with started(LIMIT_S) as watch:
        async with asyncio.TaskGroup() as group:
            group.create_task(other())
            with pytest.raises(BlockedError, match=r"longer than 0\.2 s"), watch.watching():
                block()
        assert others.is_set()


async def test_a_task_that_the_watched_code_began_is_cut_too():
    async def blocking() -> None:
        sleep()

    async def watched(watch: BlockWatch) -> None:
        with watch.watching():
            async with asyncio.TaskGroup() as group:
                group.create_task(blocking())

    with started(LIMIT_S) as watch, pytest.raises(BaseExceptionGroup) as caught:
        await watched(watch)
    error = blocked(caught.value)
    assert error is not None
    assert "test_block_watch.py:" in error.where[0]
    assert error.where[0].endswith(" in sleep")
    assert error.where[1].endswith(".blocking")
    assert blocked(BaseExceptionGroup("others", [KeyboardInterrupt(), ValueError()])) is None


async def test_a_second_one_is_cut_after_the_first():
    with started(LIMIT_S) as watch:
        for _ in range(2):
            with pytest.raises(BlockedError), watch.watching():
                sleep()


# From here on the looks are taken by hand, so that nothing depends on what else the machine does.


def look(watch: BlockWatch) -> None:
    watch._look(signal.SIGURG, None)


async def test_one_look_is_not_enough_and_a_second_that_finds_the_same_is():
    watch = BlockWatch(limit_s=0)

    with watch.watching():
        look(watch)
        with pytest.raises(BlockedError):
            look(watch)


async def test_what_lets_the_loop_answer_in_between_is_not_cut():
    watch = BlockWatch(limit_s=0)

    with watch.watching():
        for _ in range(3):
            look(watch)
            watch._answer()


async def test_of_many_that_are_quick_none_is_cut():
    watch = BlockWatch(limit_s=0)

    async def quick() -> None:
        look(watch)

    with watch.watching():
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(quick())


async def test_what_is_not_watched_is_not_cut_though_it_blocks():
    watch = BlockWatch(limit_s=0)
    is_in, is_done = asyncio.Event(), asyncio.Event()

    async def watched() -> None:
        with watch.watching():
            is_in.set()
            await is_done.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(watched())
        await is_in.wait()
        for _ in range(3):
            look(watch)
        is_done.set()


async def test_what_has_run_for_less_than_the_limit_is_not_cut():
    watch = BlockWatch(limit_s=3600)

    with watch.watching():
        for _ in range(3):
            look(watch)


async def test_where_the_loop_has_another_thread_nothing_is_watched_and_nothing_breaks():
    async def watched() -> str:
        watch = BlockWatch(limit_s=0)
        watch.start()
        with watch.watching():
            pass
        watch.stop()
        return "done"

    assert await asyncio.to_thread(lambda: asyncio.run(watched())) == "done"


async def test_a_watch_that_stops_leaves_the_signal_to_one_that_began_later():
    with started(LIMIT_S) as second_ends_last:
        pass
    with started(LIMIT_S) as first:
        second = BlockWatch(limit_s=LIMIT_S)
        second.start()
        first.stop()
        with pytest.raises(BlockedError), second.watching():
            sleep()
        second.stop()
    assert signal.getsignal(signal.SIGURG) == signal.SIG_DFL
    second_ends_last.stop()
