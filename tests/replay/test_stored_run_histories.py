"""Histories that any release has stored are replayed by this version's engine."""

from pathlib import Path

import pytest

from hodei.durable.events import EVENT_TYPES, RunTerminated
from hodei.durable.replay import rebuild
from replay.run_histories import HISTORIES_DIR, RUNS, read_stored

STORED = sorted(HISTORIES_DIR.glob("v*/*.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_stored_history_replays_to_its_end(path: Path):
    definition, history = read_stored(path)

    instance = rebuild(definition, history)
    closing = instance.closing
    instance.wind_up()

    assert closing is None or closing == history[-1].event


@pytest.mark.parametrize("name", RUNS)
def test_the_same_run_makes_the_same_history_today(name: str):
    newest = max(path.parent.name for path in STORED)
    _, stored = read_stored(HISTORIES_DIR / newest / f"{name}.json")

    assert RUNS[name]().history == stored


def test_every_type_of_event_is_in_a_stored_history():
    kept = {type(each.event) for path in STORED for each in read_stored(path)[1]}

    # An operator's end is no answer of any code, so there is nothing to replay.
    assert kept == set(EVENT_TYPES) - {RunTerminated}
