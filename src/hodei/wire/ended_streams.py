"""What the stores with tables share of letting go: which rows are old enough, and whose they are."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from hodei.domain.jobs.states import TERMINAL
from hodei.kernel.ids import Position
from hodei.ports.stores import EndedPage
from hodei.wire.store_rows import JOB_STREAM, WORKER_STREAM

ENDED_STATES: Final = sorted(str(state) for state in TERMINAL)
"""Of jobs, as their rows have them."""


class Found(NamedTuple):
    """A job or a worker that has ended; times are microseconds since 1970."""

    position: int
    stream: str
    began_at: int
    ended_at: int


def page_of(found: Sequence[Found], limit: int, at_most: int) -> EndedPage:
    """The page of those found next, of which there are less than `at_most` only at the end."""
    old = [each for each in found if each.began_at < limit]
    return EndedPage(
        streams=tuple(each.stream for each in old if each.ended_at < limit),
        # One that began later, and nobody after it can have ended before the limit.
        next=Position(old[-1].position) if len(old) == at_most else None,
    )


def ids_of(streams: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ids of the jobs and of the workers among streams."""
    return (
        [each.removeprefix(JOB_STREAM) for each in streams if each.startswith(JOB_STREAM)],
        [each.removeprefix(WORKER_STREAM) for each in streams if each.startswith(WORKER_STREAM)],
    )
