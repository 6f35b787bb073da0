"""How much of the queue a server reads before it has slots for it."""

from hodei.application.read_ahead import ReadAhead


def test_where_the_queue_is_shared_it_is_what_was_given_away_in_the_last_moments() -> None:
    ahead = ReadAhead(0)
    assert ahead.jobs(10.0) == 0
    ahead.note(2, at=10.0)
    ahead.note(3, at=10.2)
    assert [ahead.jobs(at) for at in (10.2, 10.5, 10.6, 10.8)] == [5, 5, 3, 0]


def test_it_is_never_much() -> None:
    ahead = ReadAhead(0)
    for number in range(1000):
        ahead.note(1, at=10 + number / 10_000)
    assert ahead.jobs(10.1) == 128


def test_where_nobody_shares_the_queue_it_is_always_the_same() -> None:
    ahead = ReadAhead(64)
    ahead.note(100, at=10.0)
    assert ahead.jobs(10.0) == 64
