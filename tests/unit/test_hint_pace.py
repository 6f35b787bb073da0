"""When servers tell one another that there is something new."""

import pytest

from hodei.adapters.postgres.hint_pace import COMPANY_S, HintPace
from hodei.ports.signals import Topic


def test_the_first_hint_goes_at_once_and_the_next_that_can_wait_goes_with_others() -> None:
    pace = HintPace()
    assert pace.wait_s(Topic.LOGS, 50.0, can_wait=True) == 0
    pace.note([Topic.LOGS], 50.0)
    assert pace.wait_s(Topic.LOGS, 50.03, can_wait=True) == pytest.approx(COMPANY_S - 0.03)
    assert pace.wait_s(Topic.LOGS, 50.0 + 2 * COMPANY_S, can_wait=True) == 0


def test_a_hint_that_somebody_waits_for_never_waits_itself() -> None:
    pace = HintPace()
    pace.note([Topic.EVENTS], 50.0)
    assert pace.wait_s(Topic.EVENTS, 50.0, can_wait=False) == 0


def test_a_hint_of_one_thing_does_not_hold_up_another() -> None:
    pace = HintPace()
    pace.note([Topic.EVENTS], 50.0)
    assert pace.wait_s(Topic.LOGS, 50.0, can_wait=True) == 0
