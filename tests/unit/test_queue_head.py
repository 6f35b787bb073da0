"""The front of the queue: in the order of the store, whatever is committed while it is read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hodei.application.queue_head import MOST_AT_HAND, QueueHead
from hodei.domain.jobs import decide, evolve
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import Priority, Resources
from hodei.domain.jobs.states import JobState
from hodei.kernel.ids import JobId
from support.builders import spec

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(
    job_id: str, *, age_s: int = 0, priority: Priority = Priority.NORMAL, **changes: object
) -> Job:
    at = NOW - timedelta(seconds=age_s)
    definition = spec(priority=priority, **changes)
    events = decide.submit(JobId(job_id), definition, queued_by="test", now=at)
    return evolve.evolve_all(None, events, at)


def ended(of: Job) -> Job:
    return replace(of, version=of.version + 1, state=JobState.CANCELLED, finished_at=NOW)


def names(head: QueueHead) -> list[str]:
    return [each.job.id for each in head]


def whole(*jobs: Job) -> QueueHead:
    head = QueueHead()
    head.begin_read()
    head.fill(jobs, is_whole=True)
    return head


def test_a_new_job_goes_behind_its_equals_and_before_lower_priorities() -> None:
    head = whole(job("old", age_s=9), job("low", age_s=9, priority=Priority.LOW))
    head.see(job("new"))
    head.see(job("high", priority=Priority.HIGH))
    assert names(head) == ["high", "old", "new", "low"]


def test_a_job_that_is_queued_again_has_its_old_place() -> None:
    head = whole(job("old", age_s=9), job("new", age_s=1))
    head.see(job("again", age_s=5))
    assert names(head) == ["old", "again", "new"]


def test_a_job_that_left_the_queue_leaves_the_head() -> None:
    first = job("first")
    head = whole(first, job("second"))
    head.see(ended(first))
    assert names(head) == ["second"]
    assert head.is_whole


def test_behind_the_last_of_a_part_nothing_is_known() -> None:
    head = QueueHead()
    head.begin_read()
    head.fill([job("a", age_s=9), job("b", age_s=5)], is_whole=False)
    assert not head.is_stale
    head.see(job("between", age_s=7))
    head.see(job("behind", age_s=1))
    assert (names(head), head.is_stale) == (["a", "between", "b"], True)


def test_a_job_that_ends_behind_the_last_of_a_part_makes_it_stale() -> None:
    head = QueueHead()
    head.begin_read()
    head.fill([job("a", age_s=9)], is_whole=False)
    head.see(ended(job("behind")))
    assert head.is_stale


def test_what_is_committed_during_a_read_counts_where_it_is_newer() -> None:
    stale, fresh = job("stale"), job("fresh")
    head = QueueHead()
    head.begin_read()
    head.see(ended(stale))
    head.see(job("unread", priority=Priority.HIGH))
    head.see(fresh)
    head.fill([stale, replace(fresh, version=fresh.version + 2)], is_whole=True)
    assert names(head) == ["unread", "fresh"]
    assert [each.job.version for each in head] == [2, fresh.version + 2]


def test_more_than_it_holds_makes_it_a_part() -> None:
    head = whole()
    for number in range(MOST_AT_HAND + 3):
        head.see(job(f"j{number}"))
    assert (len(names(head)), head.is_whole, head.is_stale) == (MOST_AT_HAND, False, True)
    head.begin_read()
    for number in range(MOST_AT_HAND + 3):
        head.see(job(f"k{number}"))
    head.fill([], is_whole=True)
    assert not head.is_whole


def test_a_job_that_was_not_as_thought_makes_everything_uncertain() -> None:
    head = whole(job("a"), job("b"))
    head.drop([JobId("a")])
    assert (names(head), head.is_whole) == (["b"], False)


def test_what_waits_is_told_by_demand_in_the_order_of_the_queue() -> None:
    large = Resources(cpu_millicores=4000)
    head = whole(job("a"), job("b", resources=large), job("c"))
    assert [(each.count, each.first_job) for each in head.waiting()] == [(2, "a"), (1, "b")]


def front(*jobs: Job) -> QueueHead:
    """With more behind it."""
    head = QueueHead()
    head.begin_read()
    head.fill(jobs, is_whole=False)
    return head


def test_what_others_queue_behind_the_front_leaves_it_as_it_is() -> None:
    head = front(job("first", age_s=9), job("second", age_s=5))
    head.come(job("theirs", age_s=1))
    assert names(head) == ["first", "second"]
    assert head.is_stale


def test_what_others_queue_before_the_end_of_the_front_makes_it_unknown() -> None:
    for theirs in (job("older", age_s=7), job("high", priority=Priority.HIGH)):
        head = front(job("first", age_s=9), job("second", age_s=5))
        head.come(theirs)
        assert (names(head), head.is_whole, head.is_stale) == ([], False, True)


def test_what_others_queue_makes_a_whole_queue_unknown() -> None:
    head = whole(job("first", age_s=9))
    head.come(job("theirs"))
    assert (names(head), head.is_whole, head.is_stale) == ([], False, True)
