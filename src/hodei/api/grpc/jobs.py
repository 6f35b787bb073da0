"""`hodei.JobExecutionService`."""

# The decorators' Callable types have no parameter names; gRPC passes both by position.
# pyright: reportIncompatibleMethodOverride=false

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc.aio

from hodei.api.grpc.job_query import decode_list_request
from hodei.api.grpc.refusals import streaming, unary
from hodei.application.cancel_job import CancelJob
from hodei.application.explain_job import ExplainJob, Explanation
from hodei.application.explain_pending import ExplainPending
from hodei.application.follow_events import FollowEvents
from hodei.application.journal import Journal
from hodei.application.retry_job import RetryJob
from hodei.application.roster import Roster
from hodei.application.submit_jobs import NewJob, SubmitJobs
from hodei.domain.jobs.evolve import evolve
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.limits import MAX_NOTE_CHARS, require_line
from hodei.kernel.clock import Clock
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import BEFORE_THE_FIRST, ID_RULE, JobId, is_valid_id
from hodei.ports.stores import JobStore
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as pb_grpc
from hodei.wire.events_view import job_events
from hodei.wire.job_definition import decode, decode_batch
from hodei.wire.job_views import (
    decode_execution_id,
    job_execution,
    job_response,
    job_summary,
)
from hodei.wire.positions import decode_position
from hodei.wire.timestamps import to_timestamp

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUseCases:
    """What the jobs' side of the API calls."""

    journal: Journal
    store: JobStore
    submit: SubmitJobs
    cancel: CancelJob
    retry: RetryJob
    follow: FollowEvents
    pending: ExplainPending
    explain: ExplainJob
    clock: Clock
    roster: Roster
    """Knows which providers a job may prefer."""


class JobExecutionService(pb_grpc.JobExecutionServiceServicer):
    """Jobs, for clients."""

    def __init__(self, cases: JobUseCases) -> None:
        self._cases = cases

    @unary
    async def QueueJob(self, request: pb.QueueJobRequest, context: Context) -> pb.QueueJobResponse:
        """One job."""
        require_line("queued_by", request.queued_by)
        job_id, spec = decode(
            request.job_definition,
            known_providers=self._cases.roster.known,
            image_providers=self._cases.roster.known_for_images,
        )
        [submitted] = await self._cases.submit.submit(
            [NewJob(id=job_id, spec=spec)], queued_by=request.queued_by
        )
        return pb.QueueJobResponse(
            success=True,
            message="already queued" if submitted.already_existed else "queued",
            queued_at=to_timestamp(submitted.queued_at),
            job_id=pb.JobId(value=submitted.id),
            already_existed=submitted.already_existed,
        )

    @unary
    async def QueueJobs(
        self, request: pb.QueueJobsRequest, context: Context
    ) -> pb.QueueJobsResponse:
        """Many jobs, all or none. Decoded beside the event loop: it may be 64 MiB of them."""
        require_line("queued_by", request.queued_by)
        decoded = await asyncio.to_thread(
            decode_batch,
            request.job_definitions,
            known_providers=self._cases.roster.known,
            image_providers=self._cases.roster.known_for_images,
        )
        submitted = await self._cases.submit.submit(
            [NewJob(id=job_id, spec=spec) for job_id, spec in decoded],
            queued_by=request.queued_by,
        )
        return pb.QueueJobsResponse(
            jobs=[
                pb.QueuedJob(job_id=pb.JobId(value=each.id), already_existed=each.already_existed)
                for each in submitted
            ],
            queued_at=to_timestamp(self._cases.clock.now()),
        )

    @unary
    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        """One job, as it is now."""
        # Taken before the job is read: whoever follows from here misses nothing.
        position = self._cases.journal.position
        job = await self._cases.journal.shown_job(required_job_id(request.job_id))
        return job_response(job, pending_reason=self._cases.pending.explain(job), position=position)

    async def GetJobStatus(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        """The same as `GetJob`."""
        return await self.GetJob(request, context)

    @unary
    async def ExplainJob(
        self, request: pb.ExplainJobRequest, context: Context
    ) -> pb.ExplainJobResponse:
        """Where one job stands, and why."""
        job = await self._cases.journal.shown_job(required_job_id(request.job_id))
        return _explained(job, self._cases.explain.explain(job))

    @unary
    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """A page of jobs, newest first."""
        query = decode_list_request(request)
        page = await self._cases.store.list_jobs(
            query.job_filter, limit=query.limit, cursor=query.cursor, offset=query.offset
        )
        return pb.ListJobsResponse(
            jobs=[
                job_summary(job, pending_reason=self._cases.pending.explain(job))
                for job in page.jobs
            ],
            total_count=page.total,
            next_page_token=page.next_cursor,
        )

    @unary
    async def CancelJob(
        self, request: pb.CancelJobRequest, context: Context
    ) -> pb.CancelJobResponse:
        """Asks for a job's end; its terminal event says when it came."""
        require_line("cancelled_by", request.cancelled_by)
        require_line("reason", request.reason, max_chars=MAX_NOTE_CHARS)
        job = await self._cases.cancel.cancel(
            required_job_id(request.job_id),
            by=request.cancelled_by or "a client",
            message=request.reason,
        )
        return pb.CancelJobResponse(
            success=True,
            message="cancelled" if job.is_terminal else "its worker is ending it",
            cancelled_at=to_timestamp(self._cases.clock.now()),
        )

    @unary
    async def RetryJob(self, request: pb.RetryJobRequest, context: Context) -> pb.RetryJobResponse:
        """A fresh round of attempts for a job that has ended."""
        require_line("requested_by", request.requested_by)
        job = await self._cases.retry.retry(
            required_job_id(request.job_id), by=request.requested_by or "a client"
        )
        return pb.RetryJobResponse(job_id=pb.JobId(value=job.id), attempt=len(job.attempts) + 1)

    @streaming
    async def StreamJobEvents(
        self, request: pb.StreamJobEventsRequest, context: Context
    ) -> AsyncGenerator[pb.JobEvent, None]:
        """What happened, and what happens."""
        after = decode_position(request.after_position, field="after_position")
        if not request.HasField("job_id"):
            events = self._cases.follow.follow_all(after=after, follow=request.follow)
        else:
            events = self._cases.follow.follow_job(
                required_job_id(request.job_id),
                after=after,
                follow=request.follow,
                with_workers=request.include_workers,
            )
        async with aclosing(events):
            async for together in events:
                for message in job_events(together, packed=request.packed):
                    yield message

    @streaming
    async def ExecutionEventStream(
        self, request: pb.ExecutionId, context: Context
    ) -> AsyncGenerator[pb.JobExecution, None]:
        """The states of a job's attempts, for clients of the original.

        The id is `<job>` or `<job>/<attempt>`.
        """
        job_id, number = decode_execution_id(request.value, field="value")
        after = decode_position(request.after_position, field="after_position")
        events = self._cases.follow.follow_job(
            job_id, after=BEFORE_THE_FIRST, follow=True, with_workers=False
        )
        job: Job | None = None
        async with aclosing(events):
            async for together in events:
                for stored in together:
                    # Only events of jobs come on streams of jobs; the union is wider.
                    job = evolve(job, stored.event, stored.at)  # pyright: ignore[reportArgumentType]
                    if stored.position <= after or not job.attempts:
                        continue
                    attempt = job.attempts[-1]
                    if number is None or attempt.number == number:
                        yield job_execution(job, attempt, position=stored.position)


def _explained(job: Job, explanation: Explanation) -> pb.ExplainJobResponse:
    return pb.ExplainJobResponse(
        job_id=pb.JobId(value=job.id),
        state=job.state.value,
        summary=explanation.summary,
        candidates=[
            pb.PlacementCandidate(
                kind=f"CANDIDATE_KIND_{each.kind}",
                name=each.name,
                provider=each.provider,
                misfits=each.misfits,
                now=each.now,
            )
            for each in explanation.candidates
        ],
        attempts=[job_execution(job, attempt) for attempt in job.attempts],
    )


def required_job_id(job_id: pb.JobId, *, field: str = "job_id.value") -> JobId:
    """The id in a request.

    Raises:
        InvalidFieldsError: It is missing, or can be no job's.
    """
    if not is_valid_id(job_id.value):
        raise InvalidFieldsError.of(field, f"{job_id.value!r} is no job's id: {ID_RULE}")
    return JobId(job_id.value)
