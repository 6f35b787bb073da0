"""The one task that commits. Batches that arrive while it does share its next transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import asyncpg
import structlog

from hodei.adapters.postgres.connection import LOST, Connection, translate
from hodei.kernel.errors import HodeiError
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.wake import Wake
from hodei.ports.durable import Batch, Committed, Refusal
from hodei.ports.stores import StoreUnavailableError
from hodei.wire.run_group import GroupOfRuns
from hodei.wire.run_heads import Heads, assumed, read_heads

from .writing import HEADS, WRITE, head_arguments, write_arguments

log = structlog.get_logger()

_GROUP_BATCHES: Final = 500
"""As many batches as share a transaction, so that none of them waits long for the others."""
_LOOKS: Final = 10
"""Looks at what is stored before a group is given up. One is enough unless another server changes
the same runs between the look and the write, which owners of shards do not do."""
_RECONNECT_S: Final = 5.0
"""How long a lost connection is tried for again before those who wait are told: a restart of the
database takes a second or two. While it stays away, each later group is told at once."""
_TRY_AGAIN_S: Final = 0.1

Outcome = Committed | Refusal


class _Request(NamedTuple):
    batch: Batch
    future: "asyncio.Future[Outcome]"


class RunCommitter:
    """Owns the writing connection.

    Args:
        connection: Is the committer's own from here on.
        connect: Makes the next one when that is lost.
        url: For what is said of failures.
    """

    def __init__(
        self, connection: Connection, connect: Callable[[], Awaitable[Connection]], url: str
    ) -> None:
        self._connection: Connection | None = connection
        self._connect = connect
        self._url = url
        self._was_connected = True
        self._requests: deque[_Request] = deque()
        self._wake = Wake()
        self._closing = False
        self._ended = asyncio.Event()
        self._tasks = TaskSet()
        self._tasks.start(self._run(), name="hodei-postgres-run-committer")

    async def write(self, batch: Batch) -> Outcome:
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
        size = min(len(self._requests), _GROUP_BATCHES)
        return [self._requests.popleft() for _ in range(size)]

    async def _serve(self, group: list[_Request]) -> None:
        try:
            outcomes = await self._commit([each.batch for each in group])
        except Exception as error:  # noqa: BLE001 - handed to the caller; the task serves others
            if len(group) > 1 and not isinstance(error, _GoneError):
                # One batch that cannot be written must not take the others with it.
                for each in group:
                    await self._serve([each])
                return
            _fail(group, error)
            return
        for request, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, StoreUnavailableError):
                _fail([request], outcome)
            elif not request.future.done():
                request.future.set_result(outcome)

    async def _commit(self, batches: Sequence[Batch]) -> Sequence[Outcome | StoreUnavailableError]:
        """Commits once, though connections may be lost over it.

        Raises:
            _GoneError: There is no connection, or the second was lost too.
        """
        try:
            return await self._try(batches)
        except _LostError as lost:
            log.warning("database_connection_lost", message=str(lost))
            why = str(lost)
        # What had been stored after all is refused now, or told to be a repetition. Nothing is
        # written twice: whichever of the two gets the lock first, the other finds things changed.
        doubt = f"{why}; whether the last change was stored is not known"
        try:
            outcomes = await self._try(batches)
        except (_LostError, _GoneError) as error:
            raise _GoneError(doubt) from error
        return [each if each == Committed() else StoreUnavailableError(doubt) for each in outcomes]

    async def _try(self, batches: Sequence[Batch]) -> list[Outcome]:
        connection = await self._connected()
        try:
            return await _commit(connection, batches)
        except (asyncpg.PostgresError, *LOST) as error:
            failure = translate(error, self._url)
            if not isinstance(error, LOST) and not connection.is_closed():
                # Each statement is a transaction of its own: it is in the middle of nothing.
                raise failure from error
            self._drop(connection)
            raise _LostError(str(failure)) from error
        except HodeiError:
            raise
        except BaseException:
            # Whatever it was, this connection is in the middle of something.
            self._drop(connection)
            raise

    def _drop(self, connection: Connection) -> None:
        connection.terminate()
        self._connection = None

    async def _connected(self) -> Connection:
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
                    raise _GoneError(str(error)) from error
                await asyncio.sleep(_TRY_AGAIN_S)
        self._was_connected = True
        return self._connection


class _LostError(Exception):
    """The connection was lost over a commit."""


class _GoneError(StoreUnavailableError):
    """The database is not there."""


async def _commit(connection: Connection, batches: Sequence[Batch]) -> list[Outcome]:
    outcomes = await _write(connection, batches, assumed(batches), is_read=False)
    for _ in range(_LOOKS):
        if outcomes is not None:
            return outcomes
        ((stored,),) = await connection.fetch(HEADS, *head_arguments(batches))
        outcomes = await _write(connection, batches, read_heads(stored), is_read=True)
    raise StoreUnavailableError("others change the same runs all the time: try again")


async def _write(
    connection: Connection, batches: Sequence[Batch], heads: Heads, *, is_read: bool
) -> list[Outcome] | None:
    """Writes the batches that nothing stands against, judged by these heads.

    Returns:
        The outcome of each; None when the heads are not what is stored, and nothing was written.
    """
    group = GroupOfRuns(heads)
    outcomes: list[Outcome] = [group.add(each) for each in batches]
    are_taken = [isinstance(each, Committed) for each in outcomes]
    if not is_read and not all(are_taken):
        # What a refusal rests on is not looked at when the others are written.
        return None
    if not any(are_taken):
        return outcomes
    is_written = await connection.fetchval(WRITE, *write_arguments(group))
    return outcomes if is_written else None


def _fail(requests: Sequence[_Request] | deque[_Request], error: Exception) -> None:
    for request in requests:
        # One that is done had its caller cancelled.
        if not request.future.done():
            request.future.set_exception(error)
