"""Commits what is decided of jobs and workers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import asyncpg
import structlog

from hodei.kernel.ids import Position, ServerId
from hodei.ports.stores import OthersEvents, StoreUnavailableError
from hodei.wire.store_rows import PreparedBatch

from .columns import COMMIT
from .connection import LOST, Connection, translate
from .event_reads import stored_events
from .group_commits import GoneError, GroupCommits, LostError
from .named_sql import load
from .planning import Planned, Versions, assumed, plan

log = structlog.get_logger()

_SQL: Final = load("writes.sql")

_GROUP_ROWS: Final = 2000
"""Batches join a group until it has this many writes, so that a large batch does not hold up the
small ones behind it for longer than it must."""
_PLANNED_INLINE: Final = 1000
"""Writes that are planned on the event loop, at about 5 µs each; more go to a thread."""
_LOOKS: Final = 10
"""Looks at what is stored before a group is given up: others change the same jobs between each look
and the write that follows it, which they do not do for long."""
_MOST_BROUGHT: Final = 500
"""Positions: what others have stored beyond these is left to be read. The function knows it too."""
_NO_MEMBER: Final = (
    "this server has lost its place among those that share the database, and may write nothing "
    "before it has joined them again"
)


@dataclass(frozen=True, slots=True)
class Written:
    """A batch that is stored."""

    position: int
    """Of its first event."""
    others: OthersEvents | None
    """What other servers have stored before it."""


Outcome = Written | tuple[str, ...]
"""That, or the streams that conflict."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the database answers to a group that it takes."""

    position: int
    """The last before the group's own."""
    others: OthersEvents | None


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
        self._heard: int | None = None
        """Up to here, what others have stored was brought along."""
        name = "hodei-postgres-committer"
        super().__init__(connection, connect, url, name=name, most=_GROUP_ROWS)

    def _weight(self, batch: PreparedBatch, /) -> int:
        return _size(batch)

    async def _commit(self, batches: list[PreparedBatch]) -> list[Outcome]:
        """Commits once, though connections may be lost over it.

        Raises:
            GoneError: There is no connection, or the second was lost too.
        """
        # A server that is alone with its database hears of no others.
        heard = None if self._member is None else self._heard
        attempt = _Attempt(batches, self._member_now(), heard)
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
            outcomes = await attempt.run(connection)
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
        self._heard = attempt.end or self._heard
        return outcomes


class _Attempt:
    """A group on its way into the database, on one connection or on the next.

    Mostly one call: it takes what is stored to be what the batches expect, and the database looks
    whether it is (docs/adr/0015).
    """

    def __init__(
        self, batches: Sequence[PreparedBatch], member: ServerId | None, heard: int | None
    ) -> None:
        self._batches = batches
        self._member = member
        self._heard = heard
        self._is_large = sum(map(_size, batches)) > _PLANNED_INLINE
        self._sent: Planned | None = None
        """What may be stored."""
        self.end: int | None = None
        """The last position that it was given."""

    @property
    def doubt(self) -> str:
        """What to add to a failure when it is not known whether it was committed."""
        return "" if self._sent is None else "; whether the last change was stored is not known"

    async def run(self, connection: Connection) -> list[Outcome]:
        """Commits, unless an earlier run turns out to have done so."""
        if (sent := self._sent) is None:
            return await self._write(connection, is_within=False)
        await connection.execute(_SQL["begin"])
        if self._is_large:
            await connection.execute(_SQL["wait_longer"])
        # The lock is here, so that the lost session's transaction is over: it is there or not.
        _, *event = sent.first_event or (0,)
        first = await connection.fetchval(_SQL["position_of"], *event) if event else None
        if first is not None:
            await connection.execute("ROLLBACK")
            return self._outcomes(sent, _Begun(first - 1, None))
        self._sent = None
        return await self._write(connection, is_within=True)

    async def _write(self, connection: Connection, *, is_within: bool) -> list[Outcome]:
        """Writes what no version stands against.

        Args:
            connection: To the database.
            is_within: Whether a transaction has begun, which has the lock. It ends it.
        """
        versions = assumed(self._batches)
        for _ in range(_LOOKS):
            planned = await self._planned(versions)
            if not planned.calls:
                break
            if len(planned.calls) > 1 and not is_within:
                await connection.execute(_SQL["begin"])
            is_one_call = not connection.is_in_transaction()
            if is_one_call:
                self._sent = planned
            answer = await self._begun(connection, planned)
            if isinstance(answer, _Begun):
                await self._finish(connection, planned, answer, is_one_call=is_one_call)
                return self._outcomes(planned, answer)
            self._sent = None
            if not is_within:
                # Others may go on while it is planned anew.
                await _leave(connection)
            versions = answer
        else:
            await _leave(connection)
            raise StoreUnavailableError("others change the same jobs all the time: try again")
        await _leave(connection)
        return self._outcomes(planned, _Begun(0, None))

    async def _begun(self, connection: Connection, planned: Planned) -> _Begun | Versions:
        """Writes the first part of it; or says what is stored instead, and nothing is written."""
        call = planned.calls[0]
        arguments = call.arguments(begun=None, member=self._member, heard=self._heard)
        rows = await connection.fetch(COMMIT, *arguments)
        if rows and rows[0]["kind"] == "no member":
            await _leave(connection)
            raise NoMemberError(_NO_MEMBER)
        if rows and rows[0]["kind"] == "begun":
            position = rows[0]["position"]
            return _Begun(position, self._others(position, rows[1:]))
        stored = {
            kind: dict.fromkeys(call.facts[at] or (), 0) for kind, at in (("job", 0), ("worker", 2))
        }
        for row in rows:
            stored[row["kind"]][row["stream"]] = row["version"]
        return Versions(stored["job"], stored["worker"])

    async def _finish(
        self, connection: Connection, planned: Planned, begun: _Begun, *, is_one_call: bool
    ) -> None:
        for call in planned.calls[1:]:
            arguments = call.arguments(begun=begun.position, member=None, heard=None)
            await connection.execute(COMMIT, *arguments)
        if not is_one_call:
            self._sent = planned
            await connection.execute("COMMIT")

    async def _planned(self, versions: Versions) -> Planned:
        if self._is_large:
            return await asyncio.to_thread(plan, self._batches, versions)
        return plan(self._batches, versions)

    def _others(self, until: int, rows: Sequence[asyncpg.Record]) -> OthersEvents | None:
        if self._heard is None or until - self._heard > _MOST_BROUGHT:
            return None
        events = stored_events(row[1:] for row in rows)
        return OthersEvents(
            after=Position(self._heard), until=Position(until), events=tuple(events)
        )

    def _outcomes(self, planned: Planned, begun: _Begun) -> list[Outcome]:
        if planned.calls:
            self.end = begun.position + planned.calls[0].given
        return [
            Written(begun.position + each, begun.others) if isinstance(each, int) else each
            for each in planned.outcomes
        ]


async def _leave(connection: Connection) -> None:
    """Undoes what was begun, if anything was."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


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
