"""Commits what is decided of jobs and workers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import asyncpg
import structlog

from hodei.kernel.ids import ServerId
from hodei.ports.stores import StoreUnavailableError
from hodei.wire.store_group import GroupPlan, Head
from hodei.wire.store_rows import PreparedBatch

from .columns import write_arguments
from .connection import LOST, Connection, translate
from .group_commits import GoneError, GroupCommits, LostError
from .named_sql import load

log = structlog.get_logger()

_SQL: Final = load("writes.sql")

_GROUP_ROWS: Final = 2000
"""Batches join a group until it has this many writes, so that a large batch does not hold up the
small ones behind it for longer than it must."""
_PLANNED_INLINE: Final = 1000
"""Writes that are planned on the event loop, at about 5 µs each; more go to a thread."""
_NO_MEMBER: Final = (
    "this server has lost its place among those that share the database, and may write nothing "
    "before it has joined them again"
)

Outcome = int | tuple[str, ...]
"""The position of a batch's first event, or the streams that conflict."""


class _Sent(NamedTuple):
    """A group whose COMMIT was sent."""

    first_event: tuple[Any, ...]
    outcomes: list[Outcome]


class NoMemberError(StoreUnavailableError):
    """Others have taken this server for dead, and over what it did."""

    code = "NO_MEMBER"


class Committer(GroupCommits[PreparedBatch, Outcome]):
    """Owns the writing connection.

    Args:
        connection: Is the committer's own from here on.
        connect: Makes the next one when that is lost.
        url: For what is said of failures.
        member: As which server it commits; nothing, while that is none. Without it nobody asks.
    """

    _concern_all: ClassVar = (GoneError, NoMemberError)

    def __init__(
        self,
        connection: Connection,
        connect: Callable[[], Awaitable[Connection]],
        url: str,
        member: Callable[[], ServerId | None] | None,
    ) -> None:
        self._member = member
        name = "hodei-postgres-committer"
        super().__init__(connection, connect, url, name=name, most=_GROUP_ROWS)

    def _weight(self, batch: PreparedBatch, /) -> int:
        return _size(batch)

    async def _commit(self, batches: list[PreparedBatch]) -> list[Outcome]:
        """Commits once, though connections may be lost over it.

        Raises:
            GoneError: There is no connection, or the second was lost too.
        """
        attempt = _Attempt(batches, self._member_now())
        try:
            return await self._try(attempt)
        except LostError as lost:
            log.warning("database_connection_lost", message=str(lost))
        try:
            return await self._try(attempt)
        except LostError as lost:
            raise GoneError(f"{lost}{attempt.doubt}") from lost

    def _member_now(self) -> ServerId | None:
        if self._member is None:
            return None
        if (member := self._member()) is None:
            raise NoMemberError(_NO_MEMBER)
        return member

    async def _try(self, attempt: "_Attempt") -> list[Outcome]:
        connection = await self._connected(attempt.doubt)
        try:
            return await attempt.run(connection)
        except (asyncpg.PostgresError, *LOST) as error:
            failure = translate(error, self._url)
            if await _rolled_back(connection, error):
                raise failure from error
            self._connection = None
            raise LostError(str(failure)) from error
        except NoMemberError:
            raise
        except BaseException:
            # Whatever it was, this connection is in the middle of something.
            self._drop(connection)
            raise


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
