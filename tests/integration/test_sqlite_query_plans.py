"""No read that the dispatcher makes, and no list without a search text, looks at every row."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hodei.adapters.sqlite import job_list, schema
from hodei.adapters.sqlite.connection import connect
from hodei.adapters.sqlite.named_sql import load
from hodei.domain.jobs.states import JobState
from hodei.ports.stores import JobFilter

READS = load("reads.sql")
HEADS = {name: sql for name, sql in load("writes.sql").items() if name.endswith("_heads")}
HISTORY = load("history.sql")
FILTERS = {
    "none": JobFilter(),
    "states": JobFilter(states=(JobState.QUEUED,)),
    "labels and tags": JobFilter(labels={"a": "1", "b": "2"}, tags=("x",)),
    "name": JobFilter(name="n"),
}
LISTS = {f"list by {name}": job_list._page(each) for name, each in FILTERS.items()}

PARTIAL = {"demands_queued", "workers_living"}
"""Indices that hold nothing but what is asked for, so that all of one may be read."""
SMALL = {"json_each", "wanted", "picked", "ended", "(subquery-4)", "(subquery-6)"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path)
    schema.prepare(connection)
    yield connection
    connection.close()


def statement(name: str, sql: str) -> str:
    if name.startswith("pick_"):
        return f"WITH picked AS ({sql})\n{READS['picked_jobs']}"
    return sql


@pytest.mark.parametrize("name", sorted((READS | HEADS | LISTS | HISTORY).keys() - {"picked_jobs"}))
def test_reads_only_what_it_needs(database: sqlite3.Connection, name: str):
    sql = statement(name, (READS | HEADS | LISTS | HISTORY)[name])
    named = dict.fromkeys(re.findall(r":(\w+)", sql), "[]")
    plan = database.execute(
        f"EXPLAIN QUERY PLAN {sql}", named or ["[]"] * sql.count("?")
    ).fetchall()

    scans = [detail for *_, detail in plan if detail.startswith("SCAN")]
    assert plan
    assert [each for each in scans if not set(each.split()) & (PARTIAL | SMALL)] == []
