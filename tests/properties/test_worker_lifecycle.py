"""Walks the state machine of workers: at random for its rules, exhaustively for its table."""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hodei.domain.workers import decide
from hodei.domain.workers.events import WorkerEvent
from hodei.domain.workers.evolve import evolve, evolve_all
from hodei.domain.workers.states import ENDED, WORKER_TRANSITIONS, WorkerState, shown_state
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import BrokenError, PermissionDeniedError, UnauthenticatedError
from hodei.wire import event_codec, state_codec
from properties.moves import (
    START,
    WORKER_MOVES,
    Chance,
    WorkerMove,
    ask_worker,
    chances,
    new_worker,
)

FIRST_CHANCE: Final = Chance(number=0, fraction=0.5, seconds=0)

NEVER_STORED: Final = WorkerState.BUSY
"""People see it; the store has READY, and the jobs say that it is busy (see `states`)."""


class WorkerLife(RuleBasedStateMachine):
    """One worker, asked for anything in any order."""

    @initialize(chance=chances)
    def request(self, chance: Chance) -> None:
        self.now = START
        self.history: list[tuple[datetime, WorkerEvent]] = []
        self.worker: Worker | None = None
        self.take(new_worker("w-1", self.now, chance))

    @rule(move=st.sampled_from(WORKER_MOVES), chance=chances)
    def ask(self, move: WorkerMove, chance: Chance) -> None:
        assert self.worker is not None
        self.now += timedelta(seconds=chance.seconds)
        # What leads nowhere is asked too; then others are, so that each step gets somewhere.
        first = WORKER_MOVES.index(move)
        for each in WORKER_MOVES[first:] + WORKER_MOVES[:first]:
            if events := ask_worker(each, self.worker, self.now, chance):
                self.take(events)
                return

    @rule()
    def enrol_with_a_wrong_password(self) -> None:
        with pytest.raises(UnauthenticatedError):
            decide.admit(self.worker, otp_hmac=b"wrong", key_hash=b"k1", now=self.now)

    @precondition(lambda self: self.worker.registration and not self.worker.has_ended)
    @rule()
    def enrol_again_with_another_key(self) -> None:
        with pytest.raises(PermissionDeniedError):
            decide.admit(self.worker, otp_hmac=b"\x00\xff", key_hash=b"k3", now=self.now)

    def take(self, events: list[WorkerEvent]) -> None:
        for event in events:
            before = self.worker
            self.worker = evolve(before, event, self.now)
            self.history.append((self.now, event))
            if before is not None:
                assert_is_in_the_table(before, self.worker)

    @invariant()
    def an_end_is_for_good(self) -> None:
        if self.worker is not None:
            assert self.worker.has_ended == (self.worker.ended_at is not None)
            assert not (self.worker.has_ended and self.worker.connected)
            assert (self.worker.reason is not None) == (self.worker.state is WorkerState.LOST)

    @invariant()
    def only_one_that_was_ready_is_ready(self) -> None:
        if self.worker is not None:
            assert self.worker.state is not NEVER_STORED
            assert self.worker.state is not WorkerState.READY or self.worker.ready_at is not None

    def teardown(self) -> None:
        if self.worker is not None:
            self.its_stored_history_leads_to_it()
            stored = state_codec.encode_worker(self.worker)
            assert state_codec.decode_worker(stored) == self.worker

    def its_stored_history_leads_to_it(self) -> None:
        folded: Worker | None = None
        for at, event in self.history:
            stored = event_codec.decode(*event_codec.encode(event))
            assert stored == event
            folded = evolve(folded, stored, at)  # type: ignore[arg-type]
        assert folded == self.worker


WorkerLife.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    # A walk of thirty steps can be read as it is; making it shorter takes minutes.
    phases=set(Phase) - {Phase.shrink},
)
TestAnyWalk = pytest.mark.slow(WorkerLife.TestCase)


def assert_is_in_the_table(before: Worker, after: Worker) -> None:
    if before.state is not after.state:
        assert after.state in WORKER_TRANSITIONS[before.state]


def test_every_entry_of_the_table_is_reached_and_nothing_else():
    moves = [
        (move, Chance(number=number, fraction=0.5, seconds=0))
        for move in WORKER_MOVES
        for number in range(2)
    ]
    taken: set[tuple[WorkerState, WorkerState]] = set()
    seen: set[object] = set()
    ahead = deque([evolve_all(None, new_worker("w", START, FIRST_CHANCE), START)])
    while ahead:
        worker = ahead.popleft()
        for move, chance in moves:
            after = worker
            for event in ask_worker(move, worker, START, chance) or ():
                before, after = after, evolve(after, event, START)
                taken |= {(before.state, after.state)} - {(before.state, before.state)}
            look = (
                after.state,
                after.handle is None,
                after.registration is None,
                after.connected,
                after.ready_at,
            )
            if look not in seen:
                seen.add(look)
                ahead.append(after)

    assert taken == {
        (old, new)
        for old, news in WORKER_TRANSITIONS.items()
        for new in news
        if NEVER_STORED not in {old, new}
    }


def test_people_see_a_ready_worker_with_jobs_as_busy():
    assert shown_state(WorkerState.READY, held_jobs=1) is WorkerState.BUSY
    assert shown_state(WorkerState.READY, held_jobs=0) is WorkerState.READY
    for state in ENDED | {WorkerState.DRAINING}:
        assert shown_state(state, held_jobs=1) is state


def test_a_history_that_is_none_is_broken():
    (requested,) = new_worker("w", START, FIRST_CHANCE)
    with pytest.raises(BrokenError, match="requested twice"):
        evolve_all(None, [requested, requested], START)
    worker = evolve_all(None, [requested], START)
    ended = decide.end(worker, why=None, message="")
    with pytest.raises(BrokenError, match="before WorkerProvisioningRequested"):
        evolve(None, ended[0], START)
    with pytest.raises(BrokenError, match="cannot go from TERMINATED"):
        evolve_all(worker, ended * 2, START)
