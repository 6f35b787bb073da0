"""The one task that appends. What arrives while it does shares its next statement."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import asyncpg
import structlog

from hodei.adapters.postgres.connection import Connection
from hodei.adapters.postgres.named_sql import load
from hodei.domain.logs import LogChunk, LogGapError
from hodei.kernel.clock import Clock
from hodei.kernel.ids import JobId
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.wake import Wake
from hodei.ports.logs import LogStoreUnavailableError, StreamEnd
from hodei.wire.instants import to_micros

from .group import Head, LogGroup, Outcome
from .heads import KnownHeads
from .line import GoneError, Line, LostError

log = structlog.get_logger()

_SQL: Final = load("logs.sql")

_GROUP_BYTES: Final = 4 * 2**20
"""Of one statement, about: more would only add latency and memory."""
_INLINE_BYTES: Final = 16 * 2**10
"""What is compressed on the event loop, in about 0.1 ms; more goes to a thread."""


class _Request(NamedTuple):
    chunks: Sequence[LogChunk]
    future: "asyncio.Future[list[StreamEnd]]"

    @property
    def size(self) -> int:
        """Bytes of output."""
        return sum(len(chunk.data) for chunk in self.chunks)

    @property
    def jobs(self) -> set[JobId]:
        """Whose output it is."""
        return {chunk.job_id for chunk in self.chunks}


@dataclass(slots=True)
class _Group:
    """Appends that are stored together, and what is known of their jobs."""

    requests: list[_Request]
    doubted: set[JobId] = field(default_factory=set[JobId])
    """Jobs that are not stored as far as was thought."""
    read: set[JobId] = field(default_factory=set[JobId])
    """Jobs whose heads were read since these appends came."""

    @property
    def jobs(self) -> set[JobId]:
        """Whose output it is."""
        return {job_id for request in self.requests for job_id in request.jobs}


class Appender:
    """Owns the connection that appends.

    Args:
        connection: Is the appender's own from here on.
        connect: Makes the next one when that is lost.
        url: For what is said of failures.
        clock: Says when output is stored.
        on_stored: Is told of each job that has got something, and how many rows of it have not been
            put together yet.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        connect: Callable[[], Awaitable[Connection]],
        url: str,
        clock: Clock,
        on_stored: Callable[[dict[JobId, int]], None],
    ) -> None:
        self._line = Line(connection, connect, url)
        self._clock = clock
        self._on_stored = on_stored
        self._known = KnownHeads(clock.monotonic)
        self._requests: deque[_Request] = deque()
        self._wake = Wake()
        self._closing = False
        self._ended = asyncio.Event()
        self._tasks = TaskSet()
        self._tasks.start(self._run(), name="hodei-postgres-logs")

    async def append(self, chunks: Sequence[LogChunk]) -> list[StreamEnd]:
        """See `LogStore.append`. Cancelled, it leaves the chunks to be stored or not."""
        if self._closing:
            raise _closed()
        request = _Request(chunks, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._wake.notify()
        return await request.future

    def forget(self, job_ids: Iterable[JobId]) -> None:
        """Forgets up to where jobs were stored whose output is let go of."""
        self._known.forget(job_ids)

    async def close(self) -> None:
        """Stores what was handed over, then lets go of the connection. Idempotent."""
        self._closing = True
        self._wake.notify()
        await self._ended.wait()

    async def _run(self) -> None:
        try:
            while group := await self._next_group():
                await self._serve(group)
        finally:
            self._closing = True
            _fail(self._requests, _closed())
            await self._line.close()
            self._ended.set()

    async def _next_group(self) -> list[_Request]:
        """What has arrived; empty at the end."""
        while not self._requests and not self._closing:
            await self._wake.wait()
        group: list[_Request] = []
        size = 0
        while self._requests and size < _GROUP_BYTES:
            group.append(self._requests.popleft())
            size += group[-1].size
        return group

    async def _serve(self, requests: list[_Request]) -> None:
        group = _Group(requests)
        was_lost = False
        while group.requests:
            try:
                await self._round(group)
            except LostError as error:
                # Whether it was stored is not known: what is there now says so.
                group.doubted |= group.jobs
                if was_lost:
                    _fail(group.requests, LogStoreUnavailableError(str(error)))
                    return
                log.warning("log_connection_lost", message=str(error))
                was_lost = True
            except Exception as error:  # noqa: BLE001 - handed to the callers; the task serves on
                self._known.forget(group.jobs)
                if len(group.requests) == 1 or isinstance(error, GoneError):
                    _fail(group.requests, error)
                    return
                # One that cannot be stored must not take the others with it.
                for request in group.requests:
                    await self._serve([request])
                return

    async def _round(self, group: _Group) -> None:
        """Stores and answers what it can; leaves the rest in the group, to be looked at again."""
        plan = LogGroup(await self._heads(group))
        outcomes = [plan.add(request.chunks) for request in group.requests]
        stored = await self._write(plan)
        self._known.keep({job_id: plan.heads[job_id] for job_id in stored})
        overtaken = plan.heads.keys() - stored.keys()
        group.doubted |= overtaken
        again: list[_Request] = []
        for request, outcome in zip(group.requests, outcomes, strict=True):
            # What was neither written just now nor looked up is as far as it was known: another
            # server may have filled a gap, or gone on with what is not new.
            told_of = {outcome.chunk.job_id} if isinstance(outcome, LogGapError) else request.jobs
            unsure = told_of - group.read - stored.keys()
            if unsure or not overtaken.isdisjoint(request.jobs):
                group.doubted |= unsure
                again.append(request)
            else:
                _answer(request.future, outcome)
        group.requests = again
        if stored:
            self._on_stored(stored)

    async def _heads(self, group: _Group) -> dict[JobId, Head]:
        self._known.forget(group.doubted)
        heads: dict[JobId, Head] = {}
        unknown: set[JobId] = set()
        for request in group.requests:
            for chunk in request.chunks:
                job_id = chunk.job_id
                if job_id in heads:
                    continue
                head = self._known.get(job_id)
                if head is None and not (_is_first(chunk) and job_id not in group.doubted):
                    unknown.add(job_id)
                heads[job_id] = head or Head()
        if unknown:
            rows = await self._line.fetch(_SQL["heads"], list(unknown))
            heads |= {JobId(row["job_id"]): Head.of(row["sequence"], row["ends"]) for row in rows}
            self._known.keep({job_id: heads[job_id] for job_id in unknown})
            group.read |= unknown
            group.doubted -= unknown
        return heads

    async def _write(self, plan: LogGroup) -> dict[JobId, int]:
        """The jobs whose output was stored, with how many rows of theirs are loose."""
        if not plan.heads:
            return {}
        now = to_micros(self._clock.now())
        if plan.size <= _INLINE_BYTES:
            arguments = plan.arguments(now)
        else:
            arguments = await asyncio.to_thread(plan.arguments, now)
        try:
            rows = await self._line.fetch(_SQL["append"], *arguments)
        except asyncpg.exceptions.TransactionRollbackError:
            # Two servers waited for one another, or one overtook the other: nothing was written.
            return {}
        return {JobId(row["job_id"]): row["loose"] for row in rows}


def _is_first(chunk: LogChunk) -> bool:
    """Whether it is the first that a job has to say, most likely: the statement finds out."""
    return chunk.attempt == 1 and chunk.offset == 0 and bool(chunk.data)


def _closed() -> LogStoreUnavailableError:
    return LogStoreUnavailableError("the log store is closed; the server is stopping")


def _answer(future: "asyncio.Future[list[StreamEnd]]", outcome: Outcome) -> None:
    if future.done():
        # Its caller was cancelled.
        return
    if isinstance(outcome, LogGapError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _fail(requests: Iterable[_Request], error: Exception) -> None:
    for request in requests:
        if not request.future.done():
            request.future.set_exception(error)
