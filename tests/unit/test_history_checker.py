"""The checker lets through what can be, and finds what cannot."""

from dataclasses import replace

import pytest

from support.history_checker import Did, Heard, History, Lost, Seen, Wrote, faults_of

LIFE = [
    ("JobCreated", "PENDING", 0),
    ("JobQueued", "QUEUED", 0),
    ("JobAssigned", "ASSIGNED", 1),
    ("JobAccepted", "RUNNING", 1),
    ("JobRetried", "QUEUED", 1),
    ("JobQueued", "QUEUED", 0),
    ("JobAssigned", "ASSIGNED", 2),
    ("JobSucceeded", "SUCCEEDED", 2),
]


def events(life: list[tuple[str, str, int]] = LIFE) -> list[Heard]:
    return [
        Heard(position=str(number), job_id="j", kind=kind, state=state, attempt=attempt)
        for number, (kind, state, attempt) in enumerate(life)
    ]


def seen(began: float, ended: float, state: str, attempts: int = 1) -> Seen:
    return Seen(began=began, ended=ended, server="a", job_id="j", state=state, attempts=attempts)


def possible() -> History:
    return History(
        submitted={"j": 1.0},
        seen=[
            seen(0.5, 0.8, ""),
            seen(2.0, 3.0, "RUNNING"),
            # At the same time: either may be first.
            seen(2.5, 2.9, "QUEUED", 0),
            seen(4.0, 5.0, "SUCCEEDED", 2),
        ],
        heard={"a": events(), "b": events()[3:6]},
        did={"j": Did(runs=2, ends=1, overlaps=0)},
        lost=[Lost(job_id="j", attempt=1, worker_id="killed", why="signal 9")],
        harmed={"killed", "not-missed"},
        wrote=[wrote("one\n", came_to_its_end=False), wrote("one\ntwo\n", came_to_its_end=True)],
    )


def wrote(text: str, *, came_to_its_end: bool) -> Wrote:
    return Wrote(
        job_id="j", attempt=1, text=text, whole="one\ntwo\n", came_to_its_end=came_to_its_end
    )


def test_what_can_be_is_let_through() -> None:
    assert faults_of(possible()) == []
    assert faults_of(History()) == []


@pytest.mark.parametrize(
    ("later", "fault"),
    [
        (seen(6.0, 7.0, ""), "did not know it"),
        (seen(6.0, 7.0, "RUNNING", 2), "after a had shown SUCCEEDED"),
        (seen(6.0, 7.0, "FAILED", 2), "after a had shown SUCCEEDED"),
        (seen(3.5, 7.0, "QUEUED", 0), "after a had shown RUNNING"),
        (seen(6.0, 7.0, "SUCCEEDED", 3), "given away 2 times"),
    ],
)
def test_a_call_that_shows_less_than_one_before_it_is_found(later: Seen, fault: str) -> None:
    history = possible()
    history.seen.append(later)
    [found] = faults_of(history)
    assert fault in found


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ([*events()[3:6], events()[4]], "twice"),
        ([events()[4], events()[3]], "another order"),
        ([events()[3], events()[5]], "not told all"),
        ([replace(events()[3], state="FAILED")], "another event"),
    ],
)
def test_followers_that_were_told_different_things_are_found(told: list[Heard], fault: str) -> None:
    history = possible()
    history.heard["b"] = told
    assert any(fault in each for each in faults_of(history))


@pytest.mark.parametrize(
    ("life", "fault"),
    [
        (LIFE[1:], "began with JobQueued"),
        (LIFE[:-1], "never ended"),
        ([*LIFE, ("JobQueued", "QUEUED", 0)], "after its end"),
        ([*LIFE[:4], *LIFE[6:]], "was open"),
        ([*LIFE[:5], LIFE[4], *LIFE[5:]], "JobRetried of attempt 1 while none was open"),
        ([*LIFE[:7], ("JobSucceeded", "SUCCEEDED", 1)], "attempt 1 while 2 was open"),
        ([*LIFE[:7], ("JobAccepted", "RUNNING", 1), LIFE[7]], "attempt 1 while 2 was open"),
        ([*LIFE[:6], ("JobAssigned", "ASSIGNED", 1), LIFE[7]], "given away as number 2"),
    ],
)
def test_a_life_that_cannot_be_is_found(life: list[tuple[str, str, int]], fault: str) -> None:
    history = possible()
    history.heard = {"a": events(life)}
    assert any(fault in each for each in faults_of(history))


@pytest.mark.parametrize(
    ("did", "fault"),
    [
        (Did(runs=3, ends=1, overlaps=0), "ran 3 times, and was given away 2 times"),
        (Did(runs=2, ends=0, overlaps=0), "without coming to its end"),
        (Did(runs=2, ends=1, overlaps=1), "beside itself"),
    ],
)
def test_what_a_job_did_outside_must_fit(did: Did, fault: str) -> None:
    history = possible()
    history.did["j"] = did
    [found] = faults_of(history)
    assert fault in found


@pytest.mark.parametrize(
    ("kept", "fault"),
    [
        (wrote("one\n", came_to_its_end=True), "of which other 4 were kept"),
        (wrote("one\ntwo\ntwo\n", came_to_its_end=True), "of which other 12 were kept"),
        (wrote("two\n", came_to_its_end=False), "never wrote what was kept"),
    ],
)
def test_output_that_is_not_what_was_written_is_found(kept: Wrote, fault: str) -> None:
    history = possible()
    history.wrote.append(kept)
    [found] = faults_of(history)
    assert fault in found


def test_an_attempt_that_is_lost_although_its_worker_was_left_alone_is_found() -> None:
    history = possible()
    history.lost.append(Lost(job_id="j", attempt=1, worker_id="well", why="came back without it"))
    [found] = faults_of(history)
    assert "nobody had harmed its worker well: came back without it" in found
