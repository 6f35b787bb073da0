"""A job's whole story in one answer: what was considered, where it ran, why there was no more."""

from collections.abc import AsyncIterator

import pytest

from hodei.application.explain_job import Candidate, CandidateKind, Explanation
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import JobSpec, Resources, RetryPolicy, Selector
from hodei.kernel.ids import JobId
from hodei.ports.providers import ProviderUnavailableError
from support.builders import TRUE, result, spec, started
from support.fake_provider import FakeProvider
from support.plane import Agent, Plane, running


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(slots=1, max_workers=1, resources=Resources(cpu_millicores=2000))


@pytest.fixture
async def plane(provider: FakeProvider) -> AsyncIterator[Plane]:
    async with running(Plane(provider), leases=False) as plane:
        yield plane


async def explained(plane: Plane, job_id: JobId) -> Explanation:
    return plane.explain_job.explain(await plane.job(job_id))


def named(explanation: Explanation, name: str) -> Candidate:
    [found] = [each for each in explanation.candidates if each.name == name]
    return found


async def test_every_reason_against_every_candidate_is_told(plane: Plane) -> None:
    agent = await plane.static_agent(labels={"zone": "a"})
    wants = spec(resources=Resources(gpu_count=1), selector=Selector(match_labels={"zone": "b"}))
    [job_id] = await plane.submit(wants)
    await plane.settle()
    told = await explained(plane, job_id)
    assert told.summary == await pending(plane, job_id)
    assert [each.kind for each in told.candidates] == [CandidateKind.PROVIDER, CandidateKind.WORKER]
    worker = named(told, agent.id)
    assert worker.misfits == ["it has 0 GPUs, not 1", "its label zone is 'a', not 'b'"]
    assert (worker.provider, worker.now) == ("static", "")
    assert len(named(told, "fake").misfits) == 2


async def pending(plane: Plane, job_id: JobId) -> str:
    return plane.explain.explain(await plane.job(job_id))


async def test_what_fits_says_why_it_has_not_taken_the_job(
    plane: Plane, provider: FakeProvider
) -> None:
    wants = spec(preferred_provider="fake")
    await plane.submit(wants)
    [waits] = await plane.submit(wants)
    await plane.settle()
    worker_id = provider.requests[0].worker_id
    assert named(await explained(plane, waits), worker_id).now == "it is on its way"
    agent = await plane.agent_of(provider)
    await plane.settle()
    told = await explained(plane, waits)
    assert named(told, worker_id).now == "all 1 slots of it are taken"
    assert named(told, "fake").now == "it makes no more just now: 1 of 1 workers"
    await agent.disconnect()
    assert named(await explained(plane, waits), worker_id).now == "its stream is down"
    await plane.drainer.drain(worker_id, by="test")
    assert "takes no more jobs" in named(await explained(plane, waits), worker_id).now


async def test_no_room_beside_what_runs_is_told_of_the_worker(plane: Plane) -> None:
    agent = await plane.static_agent(slots=2, resources=Resources(cpu_millicores=1000))
    large = spec(resources=Resources(cpu_millicores=900), preferred_provider="static")
    await plane.submit(large)
    [waits] = await plane.submit(large)
    await plane.settle()
    told = await explained(plane, waits)
    assert named(told, agent.id).now == "it has no room beside what runs there"
    assert named(told, "fake").misfits == ["it belongs to provider fake, not static"]


async def test_an_open_breaker_is_told_with_its_end_and_the_last_failure(
    plane: Plane, provider: FakeProvider
) -> None:
    def fail(request: object) -> None:
        raise ProviderUnavailableError("its disk is full")

    provider.on_provision = fail
    [job_id] = await plane.submit()
    await plane.settle()
    now = named(await explained(plane, job_id), "fake").now
    assert now == (
        "its circuit breaker is open; it failed last: its disk is full; it is tried again at "
        "2026-03-01T12:01:00Z"
    )


async def ran(plane: Plane, agent: Agent, job_id: JobId, code: ReasonCode | None) -> Explanation:
    job = await plane.job(job_id)
    await agent.say(started(job), result(job, code))
    return await explained(plane, job_id)


async def queued(plane: Plane, definition: JobSpec = TRUE) -> tuple[Agent, JobId]:
    agent = await plane.static_agent()
    [job_id] = await plane.submit(definition)
    await plane.settle()
    return agent, job_id


async def test_a_job_on_a_worker_says_on_which(plane: Plane) -> None:
    agent, job_id = await queued(plane)
    told = await explained(plane, job_id)
    assert told == Explanation(summary=f"attempt 1 was given to worker {agent.id}", candidates=())
    await agent.say(started(await plane.job(job_id)))
    assert (await explained(plane, job_id)).summary == f"attempt 1 runs on worker {agent.id}"


async def test_a_success_needed_no_other_attempt(plane: Plane) -> None:
    agent, job_id = await queued(plane)
    told = await ran(plane, agent, job_id, None)
    assert told.summary == f"attempt 1 on worker {agent.id} succeeded: no other was needed"
    assert told.candidates == ()


@pytest.mark.parametrize(
    ("retry", "code", "why"),
    [
        (RetryPolicy(), ReasonCode.NON_ZERO_EXIT_CODE, "its retry policy allows 1 in all"),
        (
            RetryPolicy(max_attempts=3, retry_on=frozenset({ReasonCode.WORKER_LOST})),
            ReasonCode.NON_ZERO_EXIT_CODE,
            "its retry policy retries only WORKER_LOST",
        ),
        (
            RetryPolicy(max_attempts=3),
            ReasonCode.DEADLINE_EXCEEDED,
            "DEADLINE_EXCEEDED is never retried",
        ),
    ],
)
async def test_a_failure_says_why_no_other_attempt_followed(
    plane: Plane, retry: RetryPolicy, code: ReasonCode, why: str
) -> None:
    agent, job_id = await queued(plane, spec(retry=retry))
    told = await ran(plane, agent, job_id, code)
    assert f"attempt 1 on worker {agent.id} ended as " in told.summary
    assert told.summary.endswith(f"({code}); no other followed: {why}")


async def test_a_job_cancelled_between_attempts_says_by_whom(plane: Plane) -> None:
    agent, job_id = await queued(plane, spec(retry=RetryPolicy(max_attempts=3)))
    told = await ran(plane, agent, job_id, ReasonCode.NON_ZERO_EXIT_CODE)
    assert "before its next attempt" in told.summary
    assert named(told, agent.id).now == "it has room"
    await plane.canceller.cancel(job_id, by="ann", message="enough")
    told = await explained(plane, job_id)
    assert "ended as FAILED (NON_ZERO_EXIT_CODE)" in told.summary
    assert "cancelled by ann: enough (CANCELLED is never retried)" in told.summary


async def test_a_job_that_never_ran_says_why(plane: Plane) -> None:
    [job_id] = await plane.submit(spec(resources=Resources(gpu_count=1)))
    await plane.canceller.cancel(job_id, by="ann", message="")
    assert (await explained(plane, job_id)).summary == "it never ran: cancelled by ann"
