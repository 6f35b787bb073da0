"""No read of the saga engine looks at every row of a table."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hodei.adapters.sqlite import run_reads, schema
from hodei.adapters.sqlite.connection import connect
from hodei.adapters.sqlite.named_sql import load
from hodei.ports.durable import RunFilter
from hodei.ports.durable_rows import RunStatus

QUERIES = {
    name: sql
    for name, sql in load("runs.sql").items()
    if re.match(r"(--.*\n)*SELECT", sql) and not name.startswith("runs_of") and name != "runs_head"
}
FILTERS = {
    "none": RunFilter(),
    "statuses": RunFilter(statuses=(RunStatus.RUNNING, RunStatus.FAILED)),
    "workflow": RunFilter(namespace="default", workflow_id="wf"),
    "type": RunFilter(type="greet"),
    "parked": RunFilter(only_parked=True),
}
LISTS = {f"list by {name}": run_reads.list_statement(each) for name, each in FILTERS.items()}

PARTIAL = {"runs_pending", "run_inbox_unread", "runs_parked"}
"""Indices that hold nothing but what is asked for, so that all of one may be read."""
SMALL = {"json_each", "wanted", "busy", "found", "run_shards", "(subquery", "CONSTANT"}

REMOVALS = ("remove_runs", "remove_histories", "remove_inboxes")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path)
    schema.prepare(connection)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", sorted(QUERIES.keys() | LISTS.keys()))
def test_reads_only_what_it_needs(database: sqlite3.Connection, name: str):
    sql = (QUERIES | LISTS)[name]
    named = dict.fromkeys(re.findall(r":(\w+)", sql), "[]")
    plan = database.execute(f"EXPLAIN QUERY PLAN {sql}", named).fetchall()

    scans = [detail for *_, detail in plan if detail.startswith("SCAN")]
    assert plan
    assert [
        each for each in scans if not set(each.replace("-", " ").split()) & (PARTIAL | SMALL)
    ] == []


@pytest.mark.parametrize(
    "name", ["change_runs", "delete_timers", "mark_read", "clear_inbox", *REMOVALS]
)
def test_writes_only_what_it_must(database: sqlite3.Connection, name: str):
    sql = load("runs.sql")[name]
    plan = database.execute(f"EXPLAIN QUERY PLAN {sql}", ["[]"] * sql.count("?")).fetchall()

    scans = [detail for *_, detail in plan if detail.startswith("SCAN")]
    assert [each for each in scans if not set(each.split()) & {*SMALL, "changed"}] == []


def test_the_page_of_a_type_is_read_in_order(database: sqlite3.Connection):
    plan = database.execute(
        f"EXPLAIN QUERY PLAN {LISTS['list by type']}", {"type": "t", "before": 9, "limit": 3}
    ).fetchall()

    assert [detail for *_, detail in plan if "TEMP B-TREE" in detail] == []
