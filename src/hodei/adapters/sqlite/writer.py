"""The one thread that writes. What arrives while it commits shares its next transaction."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

from hodei.ports.stores import StoreUnavailableError

from .connection import transaction, translate

_GROUP_ROWS: Final = 2000
"""Batches join a group until it has this many writes: about 20 ms of work, so that a large batch
does not hold up the small ones behind it for longer than it must."""

T = TypeVar("T")

BatchT = TypeVar("BatchT")
OutcomeT = TypeVar("OutcomeT")

Write = Callable[[sqlite3.Connection, list[BatchT]], Sequence[OutcomeT]]
"""Writes batches of one kind, in their order, within the transaction of the writer, which may hold
batches of other kinds too. Gives the outcome of each; an error undoes the whole transaction."""


class _Request(NamedTuple):
    write: Write[Any, Any]
    batch: Any
    size: int
    future: "asyncio.Future[Any]"


class _Change(NamedTuple):
    work: Callable[[sqlite3.Connection], Any]
    future: "asyncio.Future[Any]"


class _Result(NamedTuple):
    future: "asyncio.Future[Any]"
    outcome: Any
    """What to answer, or the exception to raise."""


class Writer:
    """Owns the writing connection. Its methods are called on the event loop's thread.

    Args:
        connection: Is the writer's own from here on.
        at_end: Runs on the thread after the last commit, before `close` returns.
    """

    def __init__(self, connection: sqlite3.Connection, *, at_end: Callable[[], None]) -> None:
        self._connection = connection
        self._at_end = at_end
        self._loop = asyncio.get_running_loop()
        self._requests: SimpleQueue[_Request | _Change | None] = SimpleQueue()
        self._ended = asyncio.Event()
        self._closing = False
        # A daemon: a process that is told to end does not wait for it. What it has not committed
        # it has not acknowledged either.
        self._thread = threading.Thread(target=self._run, name="hodei-sqlite-writer", daemon=True)
        self._thread.start()

    async def write(self, write: Write[BatchT, OutcomeT], batch: BatchT, *, size: int) -> OutcomeT:
        """Commits a batch. Cancelled, it leaves the batch to be committed or not.

        Args:
            write: Writes batches of its kind.
            batch: What it is to write.
            size: How many writes it has.

        Raises:
            StoreUnavailableError: It was not written, or is not known to be.
        """
        if self._closing:
            raise StoreUnavailableError("the store is closed")
        request = _Request(write, batch, max(size, 1), self._loop.create_future())
        self._requests.put(request)
        return await request.future

    async def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a transaction of its own, between the groups of batches.

        Raises:
            StoreUnavailableError: It was not done, or is not known to be.
        """
        if self._closing:
            raise StoreUnavailableError("the store is closed")
        change = _Change(work, self._loop.create_future())
        self._requests.put(change)
        return await change.future

    async def close(self) -> None:
        """Commits what was handed over, then ends the thread. Idempotent."""
        if not self._closing:
            self._closing = True
            self._requests.put(None)
        await self._ended.wait()

    def _run(self) -> None:
        try:
            while (request := self._requests.get()) is not None:
                if isinstance(request, _Change):
                    results = [self._run_change(request)]
                else:
                    results = self._commit(self._group_of(request))
                self._tell(partial(_deliver, results))
        finally:
            self._at_end()
            # The last to leave, so that it is the one that moves the log into the database.
            self._connection.close()
            self._tell(self._ended.set)

    def _group_of(self, first: _Request) -> list[_Request]:
        """The first and what has arrived behind it."""
        group = [first]
        rows = first.size
        try:
            while rows < _GROUP_ROWS:
                request = self._requests.get_nowait()
                if not isinstance(request, _Request):
                    # Seen again after this group.
                    self._requests.put(request)
                    break
                group.append(request)
                rows += request.size
        except Empty:
            pass
        return group

    def _run_change(self, change: _Change) -> _Result:
        try:
            with transaction(self._connection):
                return _Result(change.future, change.work(self._connection))
        except Exception as error:  # noqa: BLE001 - handed to the caller; the thread serves others
            return _Result(change.future, _failure(error))

    def _commit(self, group: list[_Request]) -> list[_Result]:
        try:
            with transaction(self._connection):
                results = self._execute(group)
        except Exception as error:  # noqa: BLE001 - handed to the caller; the thread serves others
            if len(group) > 1 and not _is_busy(error):
                # One batch that cannot be written must not take the others with it.
                return [result for each in group for result in self._commit([each])]
            return [_Result(each.future, _failure(error)) for each in group]
        return results

    def _execute(self, group: list[_Request]) -> list[_Result]:
        results: list[_Result] = []
        # Batches of different kinds touch different tables: their order is of no matter.
        for write in dict.fromkeys(each.write for each in group):
            own = [each for each in group if each.write is write]
            outcomes = write(self._connection, [each.batch for each in own])
            results += [
                _Result(each.future, outcome) for each, outcome in zip(own, outcomes, strict=True)
            ]
        return results

    def _tell(self, callback: Callable[[], None]) -> None:
        # The loop may have been closed without closing the store: nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)


def _failure(error: Exception) -> Exception:
    """What to tell the caller."""
    if not isinstance(error, sqlite3.Error):
        return error
    failure = translate(error)
    failure.__cause__ = error
    return failure


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _deliver(results: list[_Result]) -> None:
    for future, outcome in results:
        if future.done():
            # Its caller was cancelled.
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
