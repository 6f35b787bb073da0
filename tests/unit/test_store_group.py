"""What a group of batches comes to, before anything is written."""

import sqlite3

import pytest

from conformance.stores_under_test import (
    NOON,
    W1,
    accepted,
    assigned,
    cancelled,
    demand_id_of,
    new_job,
    new_worker,
    spec,
)
from hodei.adapters.sqlite.bulk import BulkStatement
from hodei.ports.stores import Batch, JobWrite, WorkerWrite
from hodei.wire.store_group import GroupPlan, Head
from hodei.wire.store_rows import PreparedBatch, prepare

DEMAND = demand_id_of(spec())


def prepared(*jobs: JobWrite, workers: tuple[WorkerWrite, ...] = ()) -> PreparedBatch:
    return prepare(Batch(at=NOON, jobs=jobs, workers=workers))


def plan(**jobs: Head) -> GroupPlan:
    return GroupPlan(last_position=100, jobs=jobs, workers={})


def test_batches_of_one_stream_follow_one_another_within_a_group():
    created = new_job("a")
    given = assigned(created.after)
    running = accepted(given.after)
    group = plan()

    assert [group.add(prepared(each)) for each in (created, given, running)] == [101, 103, 104]

    assert [(row[0], row[1], row[2]) for row in group.events] == [
        (101, "job:a", 1),
        (102, "job:a", 2),
        (103, "job:a", 3),
        (104, "job:a", 4),
    ]
    # Only what it comes to in the end is written of the job and of its attempt.
    ((position, *row),) = group.jobs.values()
    assert (position, row[0], row[1]) == (101, "a", 4)
    assert list(group.attempts) == [(101, 1)]
    assert group.queued[DEMAND] == 0


def test_of_two_that_decided_on_the_same_state_the_first_wins():
    created = new_job("a")
    group = plan(a=Head(position=7, version=2, queued_demand=DEMAND))

    assert group.add(prepared(assigned(created.after), workers=(new_worker("w-9"),))) == 101
    assert group.add(prepared(cancelled(created.after), new_job("b"))) == ("job:a",)
    assert group.add(prepared(new_job("b"))) == 103

    assert [row[1] for row in group.events] == ["job:a", "worker:w-9", "job:b", "job:b"]
    assert sorted(group.jobs) == [7, 103]
    assert W1 in group.jobs[7]


def test_the_count_of_a_demand_changes_by_what_comes_and_goes():
    created = new_job("a")
    group = plan(a=Head(position=7, version=2, queued_demand=DEMAND))
    group.add(prepared(new_job("b"), new_job("c")))
    assert group.queued == {DEMAND: 2}

    group.add(prepared(assigned(created.after)))
    assert group.queued == {DEMAND: 1}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 63, 64, 65, 127, 200])
def test_any_number_of_rows_is_written_in_order(count: int):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b)")
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    rows = [(number, f"row {number}") for number in range(count)]

    statement = BulkStatement("INSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT (id) DO NOTHING")
    statement.execute(connection, rows)

    connection.set_trace_callback(None)
    assert connection.execute("SELECT a, b FROM t ORDER BY id").fetchall() == rows
    assert sum(each.startswith("INSERT") for each in statements) <= 6 + count // 64
    connection.close()
