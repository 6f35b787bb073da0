"""What a group of batches comes to, and what it takes for granted of what is stored. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hodei.wire.store_group import GroupPlan, Head
from hodei.wire.store_rows import PreparedBatch, PreparedJob, PreparedWorker

from .columns import Call, calls


class Versions(NamedTuple):
    """Of what is stored, by id; 0 of what is not."""

    jobs: Mapping[str, int]
    workers: Mapping[str, int]


class Planned(NamedTuple):
    """A group, ready to be written where the versions are those that it was planned with."""

    outcomes: list[int | tuple[str, ...]]
    """Of each batch: the offset of its first event, or the streams that conflict."""
    calls: list[Call]
    """What writes it; nothing where every batch conflicts."""
    first_event: tuple[Any, ...] | None


def assumed(batches: Sequence[PreparedBatch]) -> Versions:
    """The versions that the batches expect, the first of each where they differ."""
    jobs: dict[str, int] = {}
    workers: dict[str, int] = {}
    for batch in batches:
        for job in batch.jobs:
            jobs.setdefault(job.row.id, _expected(job))
        for worker in batch.workers:
            workers.setdefault(worker.row.id, _expected(worker))
    return Versions(jobs, workers)


def plan(batches: Sequence[PreparedBatch], versions: Versions) -> Planned:
    """Decides which batches may commit together.

    All that it says, refusals included, holds where these versions are what is stored.
    """
    group = GroupPlan(last_position=0, jobs=_heads(versions.jobs), workers=_heads(versions.workers))
    outcomes = [group.add(each) for each in batches]
    are_taken = any(isinstance(each, int) for each in outcomes)
    return Planned(
        outcomes=outcomes,
        calls=list(calls(group, jobs=versions.jobs, workers=versions.workers)) if are_taken else [],
        first_event=group.events[0] if group.events else None,
    )


def _heads(versions: Mapping[str, int]) -> dict[str, Head]:
    """Each with a position of its own, below those that are offsets."""
    stored = [(id_, version) for id_, version in versions.items() if version]
    return {id_: Head(-number, version) for number, (id_, version) in enumerate(stored, start=1)}


def _expected(write: PreparedJob | PreparedWorker) -> int:
    return write.row.version - len(write.events)
