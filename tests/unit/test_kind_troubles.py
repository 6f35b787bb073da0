"""Kinds of workers that did not come up are tried with care, and others are not held up."""

from hodei.application.kind_troubles import GIVES_UP_AFTER, KindTroubles
from hodei.domain.placement.breaker import OPENS_AFTER
from hodei.domain.placement.kinds import WorkerKind

BAD, GOOD = WorkerKind(image="bad"), WorkerKind(image="good")


def test_a_kind_without_trouble_may_be_made_as_often_as_wanted():
    troubles = KindTroubles()
    troubles.failed(BAD, "no", 0.0)
    assert troubles.most(GOOD, 0.0, in_progress=5) is None
    troubles.succeeded(BAD)
    assert troubles.most(BAD, 0.0, in_progress=5) is None


def test_after_a_failure_one_at_a_time_is_tried_until_one_comes_up():
    troubles = KindTroubles()
    troubles.failed(BAD, "no", 0.0)
    assert troubles.most(BAD, 0.0, in_progress=0) == 1
    assert troubles.most(BAD, 0.0, in_progress=1) == 0
    assert troubles.message(BAD) == "no"


def test_after_many_failures_none_is_tried_for_a_while():
    troubles = KindTroubles()
    for _ in range(OPENS_AFTER):
        troubles.failed(BAD, "no", 0.0)
    assert troubles.most(BAD, 1.0, in_progress=0) == 0
    again_at = troubles.next_try(1.0)
    assert again_at is not None
    assert troubles.most(BAD, again_at, in_progress=0) == 1


def test_a_kind_that_ends_as_it_starts_is_given_up():
    troubles = KindTroubles()
    verdicts = [troubles.ended(BAD, "it crashed", 0.0) for _ in range(GIVES_UP_AFTER)]
    assert verdicts == [False] * (GIVES_UP_AFTER - 1) + [True]


def test_a_refused_kind_is_left_to_others_for_a_while_and_then_tried_again():
    troubles = KindTroubles()
    troubles.refused(BAD, "never", 0.0)
    assert troubles.most(BAD, 1.0, in_progress=0) == 0
    again_at = troubles.next_try(1.0)
    assert again_at is not None
    assert troubles.most(BAD, again_at, in_progress=0) == 1
    troubles.forget(BAD)
    assert troubles.most(BAD, 0.0, in_progress=0) is None
