"""Batches of the saga engine that share a transaction see what those before them leave behind."""

from dataclasses import replace

from conformance.durable_stores_under_test import (
    NOON,
    R1,
    R2,
    at,
    delivery,
    event,
    evolved,
    run_row,
    task,
)
from hodei.ports.durable import Batch, Committed, Moved, NotOpen, Taken, TaskWrite, Unread
from hodei.ports.durable_rows import RunStatus
from hodei.wire.run_group import GroupOfRuns
from hodei.wire.run_heads import assumed

FIRST = run_row()
END = Batch(
    at=NOON,
    runs=(evolved(FIRST, status=RunStatus.COMPLETED, closed_at=at(1)),),
    require_read=(R1,),
)
TELL = Batch(at=NOON, deliveries=(delivery("s"),))


def outcomes(*batches: Batch) -> list[object]:
    group = GroupOfRuns(assumed(batches))
    return [group.add(each) for each in batches]


def test_a_run_does_not_end_over_what_arrived_with_its_end():
    assert outcomes(TELL, END) == [Committed(), Unread(run_id=R1)]


def test_what_comes_behind_the_end_of_a_run_is_refused():
    assert outcomes(END, TELL) == [Committed(), NotOpen(run_id=R1)]


def test_of_two_that_grow_a_run_from_the_same_revision_the_second_is_refused():
    grow = Batch(at=NOON, runs=(evolved(FIRST),), history=(event(1),))

    assert outcomes(grow, grow) == [Committed(), Moved(key=R1)]
    assert outcomes(replace(grow, runs=()), replace(grow, runs=())) == [
        Committed(),
        Moved(key=R1),
    ]


def test_of_two_that_start_a_workflow_id_the_second_is_told_of_the_first():
    start = Batch(at=NOON, new_runs=(run_row(workflow_id="order"),))
    other = Batch(at=NOON, new_runs=(run_row(R2, workflow_id="order"),))

    assert outcomes(start, other) == [Committed(), Taken(by=R1)]


def test_a_key_that_came_twice_is_delivered_once():
    assert outcomes(TELL, TELL) == [Committed(), Committed(repeated=("s",))]


def test_a_task_that_is_to_be_cancelled_is_not_taken_as_it_was_read_before():
    queued = task(1)
    cancel = Batch(at=NOON, tasks_cancelled=(queued.task_id,))
    claim = Batch(at=NOON, tasks=(TaskWrite(before=queued, after=None),))

    assert outcomes(cancel, claim) == [Committed(), Moved(key=queued.task_id)]


def test_a_refused_batch_leaves_nothing_to_be_written():
    late = replace(TELL, history=(event(1),))
    group = GroupOfRuns(assumed([END, late]))
    group.add(END)

    assert group.add(late) == NotOpen(run_id=R1)

    assert (group.history, group.inbox, group.facts.open_runs) == ([], [], {})


def test_what_rests_on_an_earlier_batch_is_no_fact_about_what_is_stored():
    second = evolved(FIRST)
    batches = [
        Batch(at=NOON, runs=(second,), history=(event(1),)),
        Batch(at=NOON, runs=(evolved(second),), history=(event(2),)),
    ]
    group = GroupOfRuns(assumed(batches))

    assert [group.add(each) for each in batches] == [Committed(), Committed()]
    assert group.facts.runs == {R1: 1}
    assert group.facts.last_seqs == {R1: 0}
