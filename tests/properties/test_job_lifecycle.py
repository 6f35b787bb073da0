"""Walks the state machine of jobs: at random for its rules, exhaustively for its table."""

from collections import deque
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobEvent, JobRetryRequested
from hodei.domain.jobs.evolve import evolve, evolve_all
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import NEVER_RETRIED
from hodei.domain.jobs.states import (
    ATTEMPT_TRANSITIONS,
    HELD,
    JOB_TRANSITIONS,
    AttemptState,
    JobState,
)
from hodei.kernel.errors import BrokenError, StaleAttemptError
from hodei.kernel.ids import FencingToken, JobId
from hodei.wire import event_codec, state_codec
from properties.moves import JOB_MOVES, REASONS, START, Chance, JobMove, ask_job, chances, new_job

FIRST_CHANCE: Final = Chance(number=0, fraction=0.5, seconds=0)

Transition = tuple[JobState, JobState]
AttemptTransition = tuple[AttemptState, AttemptState]


class JobLife(RuleBasedStateMachine):
    """One job, asked for anything in any order."""

    @initialize(chance=chances)
    def submit(self, chance: Chance) -> None:
        self.now = START
        self.history: list[tuple[datetime, JobEvent]] = []
        self.job: Job | None = None
        self.take(new_job("j-1", self.now, chance))

    @rule(move=st.sampled_from(JOB_MOVES), chance=chances)
    def ask(self, move: JobMove, chance: Chance) -> None:
        assert self.job is not None
        self.now += timedelta(seconds=chance.seconds)
        # What leads nowhere is asked too; then others are, so that each step gets somewhere.
        first = JOB_MOVES.index(move)
        for each in JOB_MOVES[first:] + JOB_MOVES[:first]:
            if events := ask_job(each, self.job, self.now, chance):
                self.take(events)
                return

    @precondition(lambda self: self.job.attempts)
    @rule(wrong=st.integers(1, 2**31 - 1))
    def speak_with_another_token(self, wrong: int) -> None:
        attempt = self.job.attempts[-1]
        forged = FencingToken(attempt.token ^ wrong)
        outcome = decide.Outcome(attempt=attempt.number, token=forged, reason=None)
        with pytest.raises(StaleAttemptError):
            decide.finish(self.job, outcome, now=self.now, draw=0)
        with pytest.raises(StaleAttemptError):
            decide.accept(self.job, attempt=attempt.number, token=forged)

    @precondition(lambda self: self.job.attempts and self.job.current is None)
    @rule()
    def speak_of_an_attempt_that_is_over(self) -> None:
        attempt = self.job.attempts[-1]
        outcome = decide.Outcome(attempt=attempt.number, token=attempt.token, reason=None)
        with pytest.raises(StaleAttemptError):
            decide.finish(self.job, outcome, now=self.now, draw=0)

    def take(self, events: list[JobEvent]) -> None:
        for event in events:
            before = self.job
            self.job = evolve(before, event, self.now)
            self.history.append((self.now, event))
            if before is not None:
                assert_is_in_the_tables(before, self.job)
        assert self.job is not None
        # What commits together must hold together; between its events it need not.
        self.job.check()

    @invariant()
    def tokens_grow(self) -> None:
        if self.job is not None:
            tokens = [each.token for each in self.job.attempts]
            assert all(older < newer for older, newer in pairwise(tokens))

    @invariant()
    def retries_stay_within_the_policy(self) -> None:
        if self.job is not None:
            assert self.job.used_attempts <= self.job.spec.retry.max_attempts

    @invariant()
    def what_is_never_retried_ends_the_round(self) -> None:
        if self.job is not None and self.job.attempts and not self.asked_again_since_the_end():
            last = self.job.attempts[-1]
            if last.reason is not None and last.reason.code in NEVER_RETRIED:
                assert self.job.is_terminal

    @invariant()
    def cancelling_keeps_it_from_running_again(self) -> None:
        if self.job is not None and self.job.cancel_requested is not None:
            assert self.job.is_terminal or self.job.state in HELD

    def teardown(self) -> None:
        if self.job is not None:
            self.its_stored_history_leads_to_it(self.job)
            self.its_stored_form_is_the_same_job(self.job)

    def its_stored_history_leads_to_it(self, job: Job) -> None:
        folded: Job | None = None
        for at, event in self.history:
            stored = event_codec.decode(*event_codec.encode(event))
            assert stored == event
            folded = evolve(folded, stored, at)  # type: ignore[arg-type]
        assert folded == job

    def its_stored_form_is_the_same_job(self, job: Job) -> None:
        attempts = tuple(
            state_codec.decode_attempt(state_codec.encode_attempt(each)) for each in job.attempts
        )
        data = state_codec.encode_job(job)
        assert state_codec.decode_job(data, spec=job.spec, attempts=attempts) == job

    def asked_again_since_the_end(self) -> bool:
        assert self.job is not None
        ended = self.job.attempts[-1].finished_at
        return any(
            isinstance(event, JobRetryRequested) and (ended is None or at >= ended)
            for at, event in self.history
        )


JobLife.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    # A walk of thirty steps can be read as it is; making it shorter takes minutes.
    phases=set(Phase) - {Phase.shrink},
)
TestAnyWalk = pytest.mark.slow(JobLife.TestCase)


def assert_is_in_the_tables(before: Job, after: Job) -> None:
    if before.state is not after.state:
        assert after.state in JOB_TRANSITIONS[before.state]
    for old, new in zip(before.attempts, after.attempts, strict=False):
        if old.state is not new.state:
            assert new.state in ATTEMPT_TRANSITIONS[old.state]
    assert len(after.attempts) - len(before.attempts) in {0, 1}


def explored() -> tuple[set[Transition], set[AttemptTransition]]:
    """Every transition that any sequence of moves takes, jobs that look alike counted once."""
    moves = [
        (move, Chance(number=number, fraction=0.5, seconds=seconds))
        for move in dict.fromkeys(JOB_MOVES)
        for number in range(len(REASONS))
        for seconds in (0, 30)
    ]
    taken: set[Transition] = set()
    attempts_taken: set[AttemptTransition] = set()
    seen: set[object] = set()
    ahead: deque[tuple[Job, datetime]] = deque()
    for number in range(6):
        chance = replace(FIRST_CHANCE, number=number)
        ahead.append((evolve_all(None, new_job("j", START, chance), START), START))
    while ahead:
        job, now = ahead.popleft()
        for move, chance in moves:
            later = now + timedelta(seconds=chance.seconds)
            after = job
            for event in ask_job(move, job, later, chance) or ():
                before, after = after, evolve(after, event, later)
                taken |= {(before.state, after.state)} - {(before.state, before.state)}
                attempts_taken |= {
                    (old.state, new.state)
                    for old, new in zip(before.attempts, after.attempts, strict=False)
                    if old.state is not new.state
                }
            after.check()
            look = alike(after, later)
            if look not in seen:
                seen.add(look)
                ahead.append((after, later))
    return taken, attempts_taken


def alike(job: Job, now: datetime) -> object:
    """What decides how a job can go on."""
    return (
        job.state,
        tuple(each.state for each in job.attempts[-1:]),
        job.used_attempts,
        job.lost_unstarted_in_a_row % 3,
        job.cancel_requested is not None,
        job.deadline is not None and now >= job.deadline,
        job.not_before is not None and now >= job.not_before,
        job.spec.retry,
    )


@pytest.mark.slow
def test_every_entry_of_the_tables_is_reached_and_nothing_else():
    taken, attempts_taken = explored()

    assert taken == {(old, new) for old, news in JOB_TRANSITIONS.items() for new in news}
    assert attempts_taken == {
        (old, new) for old, news in ATTEMPT_TRANSITIONS.items() for new in news
    }


def test_a_history_that_is_none_is_broken():
    created, queued = new_job("j", START, FIRST_CHANCE)
    with pytest.raises(BrokenError, match="before JobCreated"):
        evolve(None, queued, START)
    with pytest.raises(BrokenError, match="created twice"):
        evolve_all(None, [created, created], START)
    job = evolve_all(None, [created, queued], START)
    assigned = decide.assign(job, worker_id=job.id, draw=1)  # type: ignore[arg-type]
    with pytest.raises(BrokenError, match="cannot go from ASSIGNED to ASSIGNED"):
        evolve_all(job, assigned * 2, START)


def test_check_finds_a_job_that_breaks_the_rules():
    job = evolve_all(None, new_job("j", START, FIRST_CHANCE), START)
    job.check()

    for broken in (
        replace(job, state=JobState.RUNNING),
        replace(job, state=JobState.SUCCEEDED),
        replace(job, state=JobState.FAILED, finished_at=START),
        replace(job, not_before=START),
        replace(job, used_attempts=1),
        replace(job, id=JobId("x"), finished_at=START),
    ):
        with pytest.raises(BrokenError, match="breaks"):
            broken.check()
