"""The one task that commits. Batches that arrive while it does share its next transaction."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar, Final, Generic, NamedTuple, TypeVar

from hodei.kernel.errors import HodeiError
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.wake import Wake
from hodei.ports.stores import StoreUnavailableError

from .connection import Connection

B = TypeVar("B")
O = TypeVar("O")  # noqa: E741 - the outcome of a batch `B`

_RECONNECT_S: Final = 5.0
"""How long a lost connection is tried for again before those who wait are told: a restart of the
database takes a second or two. While it stays away, each later group is told at once."""
_TRY_AGAIN_S: Final = 0.1


class LostError(Exception):
    """The connection was lost over a commit."""


class GoneError(StoreUnavailableError):
    """The database is not there."""


class _Request(NamedTuple, Generic[B, O]):
    batch: B
    future: "asyncio.Future[O]"


class GroupCommits(ABC, Generic[B, O]):
    """Owns a writing connection. What a group is, and how it is written, its heirs know.

    Args:
        connection: Is this one's own from here on.
        connect: Makes the next one when that is lost.
        url: For what is said of failures.
        name: Of the task.
        most: A group takes batches until they weigh so much.
    """

    _concern_all: ClassVar[tuple[type[Exception], ...]] = (GoneError,)
    """Failures that are no batch's own: the group is not tried one by one after them."""

    def __init__(
        self,
        connection: Connection,
        connect: Callable[[], Awaitable[Connection]],
        url: str,
        *,
        name: str,
        most: int,
    ) -> None:
        self._connection: Connection | None = connection
        self._connect = connect
        self._url = url
        self._most = most
        self._was_connected = True
        self._requests: deque[_Request[B, O]] = deque()
        self._wake = Wake()
        self._closing = False
        self._ended = asyncio.Event()
        self._tasks = TaskSet()
        self._tasks.start(self._run(), name=name)

    @abstractmethod
    async def _commit(self, batches: list[B]) -> Sequence[O | StoreUnavailableError]:
        """The outcome of each batch, or why there is none; raises what concerns more than one."""

    @abstractmethod
    def _weight(self, batch: B, /) -> int:
        """How much of a group the batch takes."""

    async def write(self, batch: B) -> O:
        """Commits a batch. Cancelled, it leaves the batch to be committed or not.

        Raises:
            StoreUnavailableError: It was not written, or is not known to be.
        """
        if self._closing:
            raise StoreUnavailableError("the store is closed")
        request: _Request[B, O] = _Request(batch, asyncio.get_running_loop().create_future())
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

    async def _next_group(self) -> list[_Request[B, O]]:
        """What has arrived; empty at the end."""
        while not self._requests and not self._closing:
            await self._wake.wait()
        group: list[_Request[B, O]] = []
        weight = 0
        while self._requests and weight < self._most:
            request = self._requests.popleft()
            group.append(request)
            weight += self._weight(request.batch)
        return group

    async def _serve(self, group: list[_Request[B, O]]) -> None:
        try:
            outcomes = await self._commit([each.batch for each in group])
        except Exception as error:  # noqa: BLE001 - handed to the caller; the task serves others
            if len(group) > 1 and not isinstance(error, self._concern_all):
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

    async def _connected(self, doubt: str = "") -> Connection:
        """The connection, or the next one.

        Args:
            doubt: What to add where there is none.

        Raises:
            GoneError: There is none.
        """
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
                    raise GoneError(f"{error}{doubt}") from error
                await asyncio.sleep(_TRY_AGAIN_S)
        self._was_connected = True
        return self._connection

    def _drop(self, connection: Connection) -> None:
        """Lets go of a connection that is in the middle of something, or gone."""
        connection.terminate()
        self._connection = None


def _fail(requests: Iterable[_Request[B, O]], error: Exception) -> None:
    for request in requests:
        # One that is done had its caller cancelled.
        if not request.future.done():
            request.future.set_exception(error)
