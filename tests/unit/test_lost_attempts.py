"""What becomes of a job whose workers are lost as they begin it."""

from hodei.domain.jobs import decide
from hodei.domain.jobs.evolve import evolve_all
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import RetryPolicy
from hodei.domain.jobs.states import JobState
from hodei.kernel.ids import JobId, WorkerId
from support.builders import spec
from support.chance import NOON


def queued(max_attempts: int = 1) -> Job:
    policy = RetryPolicy(max_attempts=max_attempts, initial_backoff_s=0)
    events = decide.submit(JobId("j"), spec(retry=policy), queued_by="", now=NOON)
    return evolve_all(None, events, NOON)


def assigned(job: Job) -> Job:
    return evolve_all(job, decide.assign(job, worker_id=WorkerId("w"), draw=1), NOON)


def lost(job: Job, times: int = 1, *, has_run: bool = False) -> Job:
    for _ in range(times):
        job = assigned(job)
        current = job.attempts[-1]
        if has_run:
            accepted = decide.accept(job, attempt=current.number, token=current.token)
            job = evolve_all(job, accepted, NOON)
        events = decide.lose(job, attempt=current.number, message="it is gone", now=NOON, draw=0)
        job = evolve_all(job, events, NOON)
    return job


def test_workers_that_are_lost_as_they_begin_a_job_use_up_no_retry_but_not_for_ever() -> None:
    job = lost(queued(), 2)
    assert (job.state, job.used_attempts) == (JobState.QUEUED, 0)
    job = lost(job)
    assert (job.state, job.used_attempts) == (JobState.FAILED, 1)
    assert job.reason is not None
    assert job.reason.code is ReasonCode.WORKER_LOST
    assert job.reason.message == "it is gone; 3 workers in a row were lost as they began this job"


def test_each_three_of_them_use_up_one_attempt_of_the_policy() -> None:
    job = lost(queued(max_attempts=2), 5)
    assert (job.state, job.used_attempts) == (JobState.QUEUED, 1)
    assert lost(job).state is JobState.FAILED


def test_one_that_ran_in_between_begins_the_count_anew() -> None:
    job = lost(lost(queued(max_attempts=9), 1), has_run=True)
    assert lost(job, 2).used_attempts == 1
    assert lost(job, 3).used_attempts == 2


def test_a_job_that_is_asked_for_again_gets_as_many_as_at_first() -> None:
    failed = lost(queued(), 3)
    job = evolve_all(failed, decide.retry(failed, by="me"), NOON)
    assert lost(job, 2).state is JobState.QUEUED
    assert lost(job, 3).state is JobState.FAILED
