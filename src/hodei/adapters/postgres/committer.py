"""The one task that commits. Batches that arrive while it does share its next transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import asyncpg
import structlog

from hodei.kernel.errors import HodeiError
from hodei.kernel.ids import ServerId
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.wake import Wake
from hodei.ports.stores import StoreUnavailableError
from hodei.wire.store_group import GroupPlan, Head
from hodei.wire.store_rows import PreparedBatch

from .columns import write_arguments
from .connection import LOST, Connection, translate
from .named_sql import load

log = structlog.get_logger()

_SQL: Final = load("writes.sql")

_GROUP_ROWS: Final = 2000
"""Batches join a group until it has this many writes, so that a large batch does not hold up the
small ones behind it for longer than it must."""
_PLANNED_INLINE: Final = 1000
"""Writes that are planned on the event loop, at about 5 µs each; more go to a thread."""
_RECONNECT_S: Final = 5.0
"""How long a lost connection is tried for again before those who wait are told: a restart of the
database takes a second or two. While it stays away, each later group is told at once."""
_TRY_AGAIN_S: Final = 0.1

_NO_MEMBER: Final = (
    "this server has lost its place among those that share the database, and may write nothing "
    "before it has joined them again"
)

Outcome = int | tuple[str, ...]
"""The position of a batch's first event, or the streams that conflict."""


class _Request(NamedTuple):
    batch: PreparedBatch
    future: "asyncio.Future[Outcome]"


class _Sent(NamedTuple):
    """A group whose COMMIT was sent."""

    first_event: tuple[Any, ...]
    outcomes: list[Outcome]


class Committer:
    """Owns the writing connection.

    Args:
        connection: Is the committer's own from here on.
        connect: Makes the next one when that is lost.
        url: For what is said of failures.
        member: As which server it commits; nothing, while that is none. Without it nobody asks.
    """

    def __init__(
        self,
        connection: Connection,
        connect: Callable[[], Awaitable[Connection]],
        url: str,
        member: Callable[[], ServerId | None] | None,
    ) -> None:
        self._connection: Connection | None = connection
        self._connect = connect
        self._url = url
        self._member = member
        self._was_connected = True
        self._requests: deque[_Request] = deque()
        self._wake = Wake()
        self._closing = False
        self._ended = asyncio.Event()
        self._tasks = TaskSet()
        self._tasks.start(self._run(), name="hodei-postgres-committer")

    async def write(self, batch: PreparedBatch) -> Outcome:
        """Commits a batch. Cancelled, it leaves the batch to be committed or not.

        Raises:
            StoreUnavailableError: It was not written, or is not known to be.
        """
        if self._closing:
            raise StoreUnavailableError("the store is closed")
        request = _Request(batch, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._wake.notify()
        return await request.future

    async def close(self) -> None:
        """Commits what was handed over, then lets go of the connection. Idempotent."""
        self._closing = True
        self._wake.notify()
        await self._ended.wait()

    async def _run(self) -> None:
        try:
            while group := await self._next_group():
                await self._serve(group)
        finally:
            self._closing = True
            _fail(self._requests, StoreUnavailableError("the store is closed"))
            if self._connection is not None:
                await self._connection.close()
            self._ended.set()

    async def _next_group(self) -> list[_Request]:
        """What has arrived; empty at the end."""
        while not self._requests and not self._closing:
            await self._wake.wait()
        group: list[_Request] = []
        rows = 0
        while self._requests and rows < _GROUP_ROWS:
            request = self._requests.popleft()
            group.append(request)
            rows += _size(request.batch)
        return group

    async def _serve(self, group: list[_Request]) -> None:
        try:
            outcomes = await self._commit([each.batch for each in group])
        except Exception as error:  # noqa: BLE001 - handed to the caller; the task serves others
            if len(group) > 1 and not isinstance(error, _GoneError | NoMemberError):
                # One batch that cannot be written must not take the others with it.
                for each in group:
                    await self._serve([each])
                return
            _fail(group, error)
            return
        for request, outcome in zip(group, outcomes, strict=True):
            if not request.future.done():
                request.future.set_result(outcome)

    async def _commit(self, batches: list[PreparedBatch]) -> list[Outcome]:
        """Commits once, though connections may be lost over it.

        Raises:
            _GoneError: There is no connection, or the second was lost too.
        """
        attempt = _Attempt(batches, self._member_now())
        try:
            return await self._try(attempt)
        except _LostError as lost:
            log.warning("database_connection_lost", message=str(lost))
        try:
            return await self._try(attempt)
        except _LostError as lost:
            raise _GoneError(f"{lost}{attempt.doubt}") from lost

    def _member_now(self) -> ServerId | None:
        if self._member is None:
            return None
        if (member := self._member()) is None:
            raise NoMemberError(_NO_MEMBER)
        return member

    async def _try(self, attempt: "_Attempt") -> list[Outcome]:
        connection = await self._connected(attempt)
        try:
            return await attempt.run(connection)
        except (asyncpg.PostgresError, *LOST) as error:
            failure = translate(error, self._url)
            if await _rolled_back(connection, error):
                raise failure from error
            self._connection = None
            raise _LostError(str(failure)) from error
        except NoMemberError:
            raise
        except BaseException:
            # Whatever it was, this connection is in the middle of something.
            connection.terminate()
            self._connection = None
            raise

    async def _connected(self, attempt: "_Attempt") -> Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._connection = None
        deadline = asyncio.get_running_loop().time() + _RECONNECT_S
        while self._connection is None:
            try:
                self._connection = await self._connect()
            except HodeiError as error:
                if not self._was_connected or asyncio.get_running_loop().time() > deadline:
                    self._was_connected = False
                    raise _GoneError(f"{error}{attempt.doubt}") from error
                await asyncio.sleep(_TRY_AGAIN_S)
        self._was_connected = True
        return self._connection


class _LostError(Exception):
    """The connection was lost over a commit."""


class NoMemberError(StoreUnavailableError):
    """Others have taken this server for dead, and over what it did."""

    code = "NO_MEMBER"


class _GoneError(StoreUnavailableError):
    """The database is not there."""


class _Attempt:
    """A group on its way into the database, on one connection or on the next."""

    def __init__(self, batches: Sequence[PreparedBatch], member: ServerId | None) -> None:
        self._batches = batches
        self._member = member
        self._sent: _Sent | None = None

    @property
    def doubt(self) -> str:
        """What to add to a failure when it is not known whether it was committed."""
        return "" if self._sent is None else "; whether the last change was stored is not known"

    async def run(self, connection: Connection) -> list[Outcome]:
        """Commits, unless an earlier run turns out to have done so."""
        await connection.execute(_SQL["begin"])
        if self._sent is not None:
            # The lock is here, so that the lost session's transaction is over: it is there or not.
            if await connection.fetchval(_SQL["is_stored"], *self._sent.first_event):
                await connection.execute("ROLLBACK")
                return self._sent.outcomes
            self._sent = None
        plan = await self._empty_plan(connection)
        outcomes, writes = await self._planned(connection, plan)
        for arguments in writes:
            await connection.execute(_SQL["write"], *arguments)
        if plan.events:
            self._sent = _Sent(plan.events[0], outcomes)
        await connection.execute("COMMIT")
        return outcomes

    async def _empty_plan(self, connection: Connection) -> GroupPlan:
        heads: dict[str, dict[str, Head]] = {"job": {}, "worker": {}}
        last_position = 0
        is_member = self._member is None
        job_ids = [job.row.id for batch in self._batches for job in batch.jobs]
        worker_ids = [worker.row.id for batch in self._batches for worker in batch.workers]
        for kind, id_, *head in await connection.fetch(
            _SQL["heads"], job_ids, worker_ids, self._member
        ):
            if kind == "last":
                last_position = head[0]
            elif kind == "member":
                is_member = True
            else:
                heads[kind][id_] = Head(*head)
        if not is_member:
            await connection.execute("ROLLBACK")
            raise NoMemberError(_NO_MEMBER)
        return GroupPlan(last_position=last_position, jobs=heads["job"], workers=heads["worker"])

    async def _planned(
        self, connection: Connection, plan: GroupPlan
    ) -> tuple[list[Outcome], list[list[Any]]]:
        """The outcome of each batch, and the arguments of each `write`."""

        def add_all() -> tuple[list[Outcome], list[list[Any]]]:
            before = plan.last_position
            outcomes: list[Outcome] = [plan.add(each) for each in self._batches]
            return outcomes, list(write_arguments(plan, last_position=before))

        if sum(map(_size, self._batches)) <= _PLANNED_INLINE:
            return add_all()
        await connection.execute(_SQL["wait_longer"])
        return await asyncio.to_thread(add_all)


async def _rolled_back(connection: Connection, error: Exception) -> bool:
    """Undoes what the connection is in the middle of; whether it can be used again."""
    if isinstance(error, LOST) or connection.is_closed():
        connection.terminate()
        return False
    try:
        await connection.execute("ROLLBACK")
    except (asyncpg.PostgresError, *LOST):
        connection.terminate()
        return False
    return True


def _size(batch: PreparedBatch) -> int:
    return len(batch.jobs) + len(batch.workers)


def _fail(requests: Sequence[_Request] | deque[_Request], error: Exception) -> None:
    for request in requests:
        # One that is done had its caller cancelled.
        if not request.future.done():
            request.future.set_exception(error)
