"""Output is read from anywhere, each byte once and in order, and followed to its end."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hodei.application.links import Output, Run
from hodei.application.log_hub import LogHub
from hodei.application.tail_logs import LogWindow, TailLogs
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import RetryPolicy
from hodei.domain.logs import LogEntry, LogStream
from hodei.kernel.errors import InvalidFieldsError, NotFoundError
from hodei.kernel.ids import JobId
from hodei.lifecycle.wake import Wake
from support.builders import chunk, result, spec, started
from support.plane import Agent, Plane, running

OUT, ERR = LogStream.STDOUT, LogStream.STDERR


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with running(Plane()) as plane:
        yield plane


class Reader:
    def __init__(
        self,
        plane: Plane,
        window: LogWindow,
        *,
        follow: bool = True,
        look_again_s: float | None = None,
    ) -> None:
        self.entries: list[LogEntry] = []
        self.has_more = Wake()
        tail = plane.tail
        if look_again_s is not None:
            # With a hub of its own, where nobody says anything.
            hub = LogHub()
            tail = TailLogs(
                journal=plane.journal, logs=plane.logs, hub=hub, look_again_s=look_again_s
            )
        self._tail = tail.tail(JobId("a"), window, follow=follow)
        self.task = plane.tasks.start(self._read(), name="reader")

    async def _read(self) -> None:
        async for entry in self._tail:
            self.entries.append(entry)
            self.has_more.notify()

    def of(self, stream: LogStream) -> bytes:
        return b"".join(e.chunk.data for e in self.entries if e.chunk.stream is stream)


async def given(plane: Plane, **definition: object) -> tuple[Agent, Job]:
    agent = await plane.static_agent()
    await plane.submit(spec(**definition), ids=("a",))
    await plane.settle()
    job = agent.link.of(Run)[-1].job
    await agent.say(started(job))
    return agent, job


async def write(agent: Agent, job: Job, data: bytes, offset: int, stream: LogStream = OUT) -> None:
    await agent.say(Output(chunks=(chunk(job, data, offset=offset, stream=stream),)))


async def test_a_reader_gets_what_is_stored_then_what_comes_and_is_let_go_at_the_end(
    plane: Plane,
) -> None:
    agent, job = await given(plane)
    await write(agent, job, b"one\n", 0)
    reader = Reader(plane, LogWindow())
    await plane.settle()
    assert reader.of(OUT) == b"one\n"
    await write(agent, job, b"two\n", 4)
    await write(agent, job, b"oh\n", 0, ERR)
    assert (reader.of(OUT), reader.of(ERR)) == (b"one\ntwo\n", b"oh\n")
    await agent.say(result(job, stdout_bytes=8, stderr_bytes=3))
    assert reader.task.done()


async def test_bytes_stored_just_before_the_end_are_told_before_the_reader_is_let_go(
    plane: Plane,
) -> None:
    agent, job = await given(plane)
    reader = Reader(plane, LogWindow())
    await plane.settle()
    await agent.session.receive(Output(chunks=(chunk(job, b"last"),)))
    await agent.session.receive(result(job, stdout_bytes=4))
    await plane.settle()
    assert (reader.of(OUT), reader.task.done()) == (b"last", True)


async def test_bytes_and_an_end_that_come_between_two_looks_are_told(plane: Plane) -> None:
    agent, job = await given(plane)

    async def overtake() -> None:
        plane.logs.after_read = _nothing
        await agent.session.receive(Output(chunks=(chunk(job, b"last"),)))
        await agent.session.receive(result(job, stdout_bytes=4))
        # The test itself waits for everything to settle, this too; so it is turns that are counted.
        for _ in range(50):
            await asyncio.sleep(0)
        assert (await plane.job(job.id)).is_terminal

    plane.logs.after_read = overtake
    reader = Reader(plane, LogWindow())
    await plane.settle()
    assert (reader.of(OUT), reader.task.done()) == (b"last", True)


async def _nothing() -> None:
    pass


async def test_a_reader_without_follow_gets_what_is_stored_and_no_more(plane: Plane) -> None:
    agent, job = await given(plane)
    await write(agent, job, b"one\n", 0)
    reader = Reader(plane, LogWindow(), follow=False)
    await plane.settle()
    assert (reader.of(OUT), reader.task.done()) == (b"one\n", True)


async def test_a_reader_waits_for_a_job_that_has_not_started_and_is_let_go_when_it_is_cancelled(
    plane: Plane,
) -> None:
    await plane.submit(ids=("a",))
    reader = Reader(plane, LogWindow())
    await plane.settle()
    assert not reader.task.done()
    await plane.canceller.cancel(JobId("a"), by="me", message="")
    await plane.settle()
    assert (reader.entries, reader.task.done()) == ([], True)


async def test_offsets_cut_each_stream_exactly(plane: Plane) -> None:
    agent, job = await given(plane)
    await write(agent, job, b"0123456789", 0)
    await write(agent, job, b"abcdef", 0, ERR)
    await write(agent, job, b"ABC", 10)
    reader = Reader(plane, LogWindow(offsets={OUT: 7, ERR: 6}), follow=False)
    await plane.settle()
    assert (reader.of(OUT), reader.of(ERR)) == (b"789ABC", b"")
    assert reader.entries[0].chunk.offset == 7


async def test_a_sequence_is_where_a_reader_goes_on(plane: Plane) -> None:
    agent, job = await given(plane)
    await write(agent, job, b"one\n", 0)
    await write(agent, job, b"two\n", 4)
    first = Reader(plane, LogWindow(), follow=False)
    await plane.settle()
    rest = Reader(plane, LogWindow(after_sequence=first.entries[0].sequence), follow=False)
    await plane.settle()
    assert rest.of(OUT) == b"two\n"


async def test_a_reader_from_now_on_gets_only_what_comes(plane: Plane) -> None:
    agent, job = await given(plane)
    await write(agent, job, b"old\n", 0)
    reader = Reader(plane, LogWindow(from_now=True))
    await plane.settle()
    await write(agent, job, b"new\n", 4)
    assert reader.of(OUT) == b"new\n"


async def test_attempts_are_read_one_after_the_other_or_alone(plane: Plane) -> None:
    agent, job = await given(plane, retry=RetryPolicy(max_attempts=2, initial_backoff_s=0))
    await write(agent, job, b"first\n", 0)
    reader = Reader(plane, LogWindow())
    await agent.say(result(job, ReasonCode.NON_ZERO_EXIT_CODE, stdout_bytes=6))
    assert not reader.task.done()
    again = agent.link.of(Run)[-1].job
    await write(agent, again, b"second\n", 0)
    assert reader.of(OUT) == b"first\nsecond\n"
    for window, expected in (
        (LogWindow(attempt=1), b"first\n"),
        (LogWindow(attempt=2), b"second\n"),
        # An offset means the newest attempt, where none is named.
        (LogWindow(offsets={OUT: 3}), b"ond\n"),
    ):
        alone = Reader(plane, window, follow=False)
        await plane.settle()
        assert alone.of(OUT) == expected


async def test_an_offset_before_the_first_attempt_is_of_the_first_attempt(plane: Plane) -> None:
    agent = await plane.static_agent(slots=1)
    twice = spec(retry=RetryPolicy(max_attempts=2, initial_backoff_s=0))
    await plane.submit(twice, twice, ids=("first", "a"))
    await plane.settle()
    reader = Reader(plane, LogWindow(offsets={OUT: 2}))
    await plane.settle()
    await agent.say(result(agent.link.of(Run)[0].job))
    job = agent.link.of(Run)[-1].job
    await write(agent, job, b"abcd", 0)
    await agent.say(result(job, ReasonCode.NON_ZERO_EXIT_CODE, stdout_bytes=4))
    await write(agent, agent.link.of(Run)[-1].job, b"ABCD", 0)
    assert reader.of(OUT) == b"cd"


async def test_a_slow_reader_holds_nobody_up_and_loses_nothing(plane: Plane) -> None:
    agent, job = await given(plane)
    slow = plane.tail.tail(JobId("a"), LogWindow(), follow=True)
    await write(agent, job, b"0", 0)
    first = await anext(slow)
    for offset in range(1, 50):
        await write(agent, job, b"x", offset)
    await agent.say(result(job, stdout_bytes=50))
    rest = [entry async for entry in slow]
    assert b"".join(entry.chunk.data for entry in (first, *rest)) == b"0" + b"x" * 49


async def test_readers_that_leave_leave_nothing_behind(plane: Plane) -> None:
    await given(plane)
    reader = Reader(plane, LogWindow())
    await plane.settle()
    reader.task.cancel()
    await plane.settle()
    assert not plane.hub._readers


async def test_what_is_not_there_is_refused_by_name(plane: Plane) -> None:
    with pytest.raises(NotFoundError):
        await plane.tail.page(JobId("nothing"), attempt=0, after_sequence=0, max_bytes=1)
    await given(plane)
    with pytest.raises(InvalidFieldsError, match=r"attempt.*has 1 attempts"):
        await plane.tail.page(JobId("a"), attempt=2, after_sequence=0, max_bytes=1)


async def test_output_that_another_server_has_stored_is_found_without_a_word_of_it(
    plane: Plane,
) -> None:
    _, job = await given(plane)
    reader = Reader(plane, LogWindow(), look_again_s=0.01)
    await plane.settle()

    await plane.logs.append([chunk(job, b"from elsewhere\n", offset=0)])

    async with asyncio.timeout(10):
        while reader.of(OUT) != b"from elsewhere\n":
            await reader.has_more.wait()
