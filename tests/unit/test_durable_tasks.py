"""What becomes of a task: each decision, and nothing beside it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from conformance.durable_stores_under_test import NOON, run_row
from hodei.durable import codec, tasks
from hodei.durable.definitions import limits
from hodei.durable.events import ActivityFailed, ActivityScheduled, ActivitySucceeded
from hodei.durable.failures import Ended, Failure
from hodei.durable.payloads import encode
from hodei.durable.retry import FOR_EVER, ONCE, retry
from hodei.kernel.errors import StaleAttemptError
from hodei.ports.durable_rows import RetryRule, RunId, TaskLimits, TaskRow, TaskState

INPUT = encode((1,), what="input")
OOPS = Failure(type="Oops", message="it went wrong")


def at(seconds: float):
    return NOON + timedelta(seconds=seconds)


def scheduled(rule: RetryRule = FOR_EVER, times: TaskLimits | None = None) -> TaskRow:
    event = ActivityScheduled(
        command_id=7,
        activity="send",
        input=INPUT,
        queue="q",
        priority=2,
        retry=rule,
        limits=times or limits(),
    )
    return tasks.schedule(event, run_row(RunId("run-1")), NOON)


def claimed(task: TaskRow, *, now: float = 1.0, bits: int = 5) -> TaskRow:
    after = tasks.claim(task, worker="w", token_bits=bits, now=at(now)).after
    assert after is not None
    return after


def failed(task: TaskRow, failure: Failure = OOPS, *, now: float = 2.0) -> tasks.TaskDecision:
    return tasks.fail(task, token=task.token, failure=failure, now=at(now))


def told(decision: tasks.TaskDecision | None) -> object:
    assert decision is not None
    assert decision.delivery is not None
    assert decision.write.after is None
    return codec.decode_delivery(decision.delivery.data)


def ended(decision: tasks.TaskDecision | None) -> tuple[Ended, str]:
    event = told(decision)
    assert isinstance(event, ActivityFailed)
    return event.ended, event.failure.type


def test_a_task_that_is_claimed_begins_an_attempt_with_a_token_that_grows():
    first = claimed(scheduled())
    second = claimed(failed(first).write.after, bits=0)

    assert (first.state, first.attempt, first.worker) == (TaskState.RUNNING, 1, "w")
    assert (second.attempt, second.revision) == (2, 4)
    assert second.token > first.token


def test_a_result_is_told_once_by_the_command():
    task = claimed(scheduled())
    decision = tasks.succeed(task, token=task.token, result=INPUT)

    assert told(decision) == ActivitySucceeded(command_id=7, result=INPUT, attempt=1)
    assert decision.delivery.key == "task:7"


@pytest.mark.parametrize("word", ["succeed", "fail", "heartbeat"])
def test_a_word_of_an_attempt_that_is_not_the_current_one_is_refused(word: str):
    first = claimed(scheduled())
    second = claimed(failed(first).write.after)
    say = {
        "succeed": lambda task: tasks.succeed(task, token=first.token, result=INPUT),
        "fail": lambda task: tasks.fail(task, token=first.token, failure=OOPS, now=NOON),
        "heartbeat": lambda task: tasks.heartbeat(task, token=first.token, details=None, now=NOON),
    }[word]

    for task in (second, scheduled()):
        with pytest.raises(StaleAttemptError, match="discard"):
            say(task)
    with pytest.raises(StaleAttemptError):
        tasks.require_current(None, first.token)


def test_a_failed_attempt_is_followed_by_another_after_its_backoff_and_no_event_tells_of_it():
    task = claimed(scheduled(retry(3, initial_s=4)))
    decision = failed(task, now=10)
    again = decision.write.after

    assert decision.delivery is None
    assert (again.state, again.available_at, again.worker) == (TaskState.QUEUED, at(14), "")
    assert codec.decode_failure(again.last_failure) == OOPS
    assert failed(claimed(again), now=20).write.after.available_at == at(28)


def test_a_failure_may_say_itself_when_to_try_again():
    wait = replace(OOPS, retry_after_s=77)

    assert failed(claimed(scheduled()), wait, now=1).write.after.available_at == at(78)


def test_the_last_attempt_is_told_with_its_failure():
    assert ended(failed(claimed(scheduled(ONCE)))) == (Ended.ATTEMPTS_USED, "Oops")


def test_a_final_failure_is_not_tried_again():
    never = scheduled(retry(never_on=("Oops",)))

    assert ended(failed(claimed(never))) == (Ended.FINAL, "Oops")
    assert ended(failed(claimed(scheduled()), replace(OOPS, is_final=True)))[0] is Ended.FINAL


def test_no_attempt_begins_that_could_only_end_too_late():
    task = claimed(scheduled(retry(initial_s=30), limits(schedule_to_close_s=60)))

    assert ended(failed(task, now=31)) == (Ended.TIMED_OUT, "Oops")
    assert failed(task, now=29).delivery is None


def test_a_task_that_nobody_takes_in_time_ends():
    task = scheduled(times=limits(schedule_to_start_s=5))

    assert task.due_at == at(5)
    assert tasks.expire(task, at(4.9)) is None
    assert ended(tasks.expire(task, at(5))) == (Ended.TIMED_OUT, "ScheduleToStartTimeout")
    assert tasks.expire(claimed(task, now=4), at(6)) is None


def test_an_attempt_that_takes_too_long_is_tried_again():
    task = claimed(scheduled(retry(2), limits(start_to_close_s=5, heartbeat_s=100)), now=1)

    assert task.due_at == at(6)
    again = tasks.expire(task, at(6)).write.after
    assert again.state is TaskState.QUEUED
    last = claimed(again, now=10)
    assert ended(tasks.expire(last, at(15))) == (Ended.ATTEMPTS_USED, "StartToCloseTimeout")


def test_an_attempt_without_signs_of_life_is_tried_again_with_what_it_said_last():
    task = claimed(scheduled(times=limits(heartbeat_s=5)), now=0)
    details = encode("half", what="details")
    task = tasks.heartbeat(task, token=task.token, details=details, now=at(4)).after

    assert tasks.expire(task, at(8.9)) is None
    again = tasks.expire(task, at(9)).write.after
    assert codec.decode_failure(again.last_failure).type == "HeartbeatTimeout"
    assert claimed(again).heartbeat_details == details


def test_a_task_whose_time_is_up_ends_whatever_it_does():
    queued = scheduled(times=limits(schedule_to_close_s=5))

    for task in (queued, claimed(queued)):
        assert task.due_at == at(5)
        assert ended(tasks.expire(task, at(5))) == (Ended.TIMED_OUT, "ScheduleToCloseTimeout")


def test_a_task_that_is_no_longer_wanted_ends_at_once_when_nobody_has_it():
    unwanted = replace(scheduled(), cancel_requested=True)

    assert ended(tasks.expire(unwanted, NOON)) == (Ended.CANCELLED, "Cancelled")


def test_a_task_that_is_no_longer_wanted_is_not_tried_again():
    task = replace(claimed(scheduled()), cancel_requested=True)

    assert tasks.expire(task, at(2)) is None
    assert ended(failed(task)) == (Ended.CANCELLED, "Oops")
    assert ended(tasks.expire(task, at(100))) == (Ended.CANCELLED, "HeartbeatTimeout")
    assert isinstance(told(tasks.succeed(task, token=task.token, result=INPUT)), ActivitySucceeded)
