"""Commits what the saga engine decides."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import asyncpg
import structlog

from hodei.adapters.postgres.connection import LOST, Connection, translate
from hodei.adapters.postgres.group_commits import GoneError, GroupCommits, LostError
from hodei.kernel.errors import HodeiError
from hodei.ports.durable import Batch, Committed, Refusal
from hodei.ports.stores import StoreUnavailableError
from hodei.wire.run_group import GroupOfRuns
from hodei.wire.run_heads import Heads, assumed, read_heads

from .writing import HEADS, WRITE, WRITE_STEP, head_arguments, step_arguments, write_arguments

log = structlog.get_logger()

_GROUP_BATCHES: Final = 500
"""As many batches as share a transaction, so that none of them waits long for the others."""
_LOOKS: Final = 10
"""Looks at what is stored before a group is given up. One is enough unless another server changes
the same runs between the look and the write, which owners of shards do not do."""

Outcome = Committed | Refusal


class RunCommitter(GroupCommits[Batch, Outcome]):
    """Owns the writing connection. Its arguments are those of `GroupCommits`."""

    def __init__(
        self, connection: Connection, connect: Callable[[], Awaitable[Connection]], url: str
    ) -> None:
        name = "hodei-postgres-run-committer"
        super().__init__(connection, connect, url, name=name, most=_GROUP_BATCHES)

    def _weight(self, _batch: Batch, /) -> int:
        return 1

    async def _commit(self, batches: Sequence[Batch]) -> Sequence[Outcome | StoreUnavailableError]:
        """Commits once, though connections may be lost over it.

        Raises:
            GoneError: There is no connection, or the second was lost too.
        """
        try:
            return await self._try(batches)
        except LostError as lost:
            log.warning("database_connection_lost", message=str(lost))
            why = str(lost)
        # What had been stored after all is refused now, or told to be a repetition. Nothing is
        # written twice: whichever of the two gets the lock first, the other finds things changed.
        doubt = f"{why}; whether the last change was stored is not known"
        try:
            outcomes = await self._try(batches)
        except (LostError, GoneError) as error:
            raise GoneError(doubt) from error
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
            raise LostError(str(failure)) from error
        except HodeiError:
            raise
        except BaseException:
            # Whatever it was, this connection is in the middle of something.
            self._drop(connection)
            raise


async def _commit(connection: Connection, batches: Sequence[Batch]) -> list[Outcome]:
    step = step_arguments(batches[0]) if len(batches) == 1 else None
    if step is not None and await connection.fetchval(WRITE_STEP, *step):
        return [Committed()]
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
