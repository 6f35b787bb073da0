"""The client for programs on asyncio."""

import asyncio
import getpass
import json
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack

from hodei.lifecycle.system_clock import SystemIdSource
from hodei.sdk import calls
from hodei.sdk.connection import Connection
from hodei.sdk.endpoint import find_endpoints
from hodei.sdk.explanation import Explanation, explanation_from_wire
from hodei.sdk.job import Job, job_from_answer, job_from_wire, queued_job
from hodei.sdk.job_event import JobEvent, event_from_wire
from hodei.sdk.job_listing import JobFilter, listing_request
from hodei.sdk.job_request import JobRequest, encode_request
from hodei.sdk.log_chunk import LogChunk, chunk_from_wire
from hodei.sdk.provider import Provider, ProviderTest, provider_from_wire
from hodei.sdk.provider_changes import ProviderSettings, changed_provider, new_provider
from hodei.sdk.server import Server, server_from_wire
from hodei.sdk.server_info import ServerInfo, server_info_from_wire
from hodei.sdk.times import seconds_of
from hodei.sdk.worker import (
    Invitation,
    Orphan,
    Worker,
    invitation_from_wire,
    orphan_from_wire,
    worker_from_wire,
)
from hodei.sdk.workflow import WorkflowEvent, WorkflowFilter, WorkflowRun, run_from_wire
from hodei.sdk.workflow import event_from_wire as workflow_event_from_wire
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import provider_management_pb2 as providers_pb

_PAGE_SIZE: Final = 500
_MOST_JOBS: Final = 2**63


class AsyncClient:
    """A client of a Hodei Jobs server, for one event loop.

    Use it in an `async with` block, or call `close` when done. Its methods raise `RefusedError`
    (or a child of it) for what the server refuses, and `UnavailableError` when no server answers.
    Streams outlive a server that is started again: they go on where they were.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] | None = None,
        *,
        ca_file: Path | None = None,
        call_timeout: float = 60.0,
        reconnect_within: float = 60.0,
    ) -> None:
        """Connects at the first call, not here.

        Args:
            addresses: `host:port`, or several; the next is tried when one is gone. Without any,
                `HODEI_SERVER_ADDRESS`, else localhost:50051.
            ca_file: The CA that the servers' certificates come from. Without it `HODEI_CA_FILE`;
                a server on this machine publishes its own for its user.
            call_timeout: Seconds that one call may take; cleaning up may take ten minutes.
            reconnect_within: Seconds that a stream or a wait goes on without any server.

        Raises:
            InvalidFieldsError: An address is not one, or the CA file is not there.
        """
        self._connection = Connection(
            find_endpoints(addresses, ca_file=ca_file),
            call_timeout_s=call_timeout,
            reconnect_within_s=reconnect_within,
        )
        self._ids = SystemIdSource()
        self._user = getpass.getuser()

    async def submit(self, **request: Unpack[JobRequest]) -> Job:
        """Queues a job; it is durable once this returns. `JobRequest` lists the arguments.

        Without an `id` one is drawn, so that a call that is sent again makes one job only. Of an
        `id` that is there already with the same definition, the job as it is now is returned.

        Raises:
            InvalidFieldsError: Something in it is not allowed; `violations` names the fields.
            AlreadyExistsError: The id belongs to a job with another definition.
        """
        definition = encode_request(request, new_id=self._ids.new())
        answer = await self._connection.unary(
            calls.QUEUE_JOB, pb.QueueJobRequest(job_definition=definition, queued_by=self._user)
        )
        if answer.already_existed:
            return await self.get(answer.job_id.value)
        return queued_job(definition, answer.queued_at, self._user)

    async def submit_many(self, requests: Iterable[JobRequest]) -> list[Job]:
        """Queues several jobs, all of them or none; as `submit` otherwise.

        Raises:
            InvalidFieldsError: As `submit` does, or there are more than a batch may hold.
            AlreadyExistsError: As `submit` does.
        """
        definitions = [encode_request(each, new_id=self._ids.new()) for each in requests]
        if not definitions:
            return []
        answer = await self._connection.unary(
            calls.QUEUE_JOBS,
            pb.QueueJobsRequest(job_definitions=definitions, queued_by=self._user),
        )
        return [
            await self.get(queued.job_id.value)
            if queued.already_existed
            else queued_job(definition, answer.queued_at, self._user)
            for definition, queued in zip(definitions, answer.jobs, strict=True)
        ]

    async def get(self, job_id: str) -> Job:
        """The job as it is now.

        Raises:
            NotFoundError: There is none with this id.
        """
        return await self._get(job_id)

    async def wait(self, job_id: str, *, timeout: float | str | None = None) -> Job:  # noqa: ASYNC109 - what users of clients expect
        """Waits for the job's end and returns it. Follows its events; does not poll.

        Args:
            job_id: The job.
            timeout: Seconds, or text such as `2m`; without it, as long as it takes.

        Raises:
            NotFoundError: There is none with this id.
            TimeoutError: It had not ended in time; it goes on.
        """
        within_s = None if timeout is None else seconds_of(timeout, field="timeout")
        try:
            async with asyncio.timeout(within_s):
                job = await self._get(job_id, is_patient=True)
                while not job.is_terminal:
                    async for _ in self.events(job_id, after=job.position):
                        pass
                    job = await self._get(job_id, is_patient=True)
                return job
        except TimeoutError:
            raise TimeoutError(f"job {job_id} had not ended after {timeout}; it goes on") from None

    async def cancel(self, job_id: str, *, reason: str = "") -> Job:
        """Asks for the job's end; it may take its grace. Asking again changes nothing.

        Raises:
            NotFoundError: There is none with this id.
            WrongStateError: It has ended in another way.
        """
        await self._connection.unary(
            calls.CANCEL_JOB,
            pb.CancelJobRequest(
                job_id=pb.JobId(value=job_id), reason=reason, cancelled_by=self._user
            ),
        )
        return await self.get(job_id)

    async def retry(self, job_id: str) -> Job:
        """Queues a job that has ended, but not succeeded, for a fresh round of attempts.

        Raises:
            NotFoundError: There is none with this id.
            WrongStateError: It has not ended, or has succeeded.
        """
        await self._connection.unary(
            calls.RETRY_JOB,
            pb.RetryJobRequest(job_id=pb.JobId(value=job_id), requested_by=self._user),
        )
        return await self.get(job_id)

    async def jobs(
        self, *, limit: int | None = None, **wanted: Unpack[JobFilter]
    ) -> AsyncGenerator[Job, None]:
        """Yields jobs, the newest first, at most `limit`. `JobFilter` lists the conditions."""
        request = listing_request(wanted)
        left = _MOST_JOBS if limit is None else limit
        while left > 0:
            request.page_size = min(left, _PAGE_SIZE)
            answer = await self._connection.unary(calls.LIST_JOBS, request)
            for summary in answer.jobs[:left]:
                yield job_from_wire(summary.job_id.value, summary.name, summary.detail)
            left -= len(answer.jobs)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def logs(
        self,
        job_id: str,
        *,
        follow: bool = True,
        attempt: int = 0,
        stdout_offset: int = 0,
        stderr_offset: int = 0,
        after_sequence: int = 0,
    ) -> AsyncGenerator[LogChunk, None]:
        """Yields the job's output, byte for byte, in the order in which it was stored.

        Args:
            job_id: The job.
            follow: Go on with what comes until the job's end; else end with what there is.
            attempt: Of this attempt only; 0: of each in turn, or of the newest one when an offset
                is given.
            stdout_offset: Leave out what comes before this byte of stdout.
            stderr_offset: Leave out what comes before this byte of stderr.
            after_sequence: Go on after the chunk that had this sequence.

        Raises:
            NotFoundError: There is no such job.
        """
        request = pb.SubscribeLogsRequest(
            job_id=job_id,
            include_history=True,
            follow=follow,
            attempt=attempt,
            stdout_offset=stdout_offset,
            stderr_offset=stderr_offset,
            after_sequence=after_sequence,
            raw=True,
        )
        has_offset = stdout_offset > 0 or stderr_offset > 0
        entries = self._connection.stream(calls.SUBSCRIBE_LOGS, lambda: request)
        async with aclosing(entries):
            async for entry in entries:
                request.after_sequence = entry.sequence
                if has_offset:
                    # "The newest attempt" must stay the same one after a break.
                    request.attempt = entry.attempt
                yield chunk_from_wire(entry)

    async def events(
        self,
        job_id: str | None = None,
        *,
        after: str | None = None,
        follow: bool = True,
        include_workers: bool = False,
    ) -> AsyncGenerator[JobEvent, None]:
        """Yields what happened and happens, each event once, in order.

        Args:
            job_id: Only this job's; ends with the job.
            after: Goes on after this position; without it, from the first event.
            follow: Go on with what happens from now on.
            include_workers: With a job, also the events of workers that are provisioned for it.

        Raises:
            NotFoundError: There is no such job.
        """
        request = pb.StreamJobEventsRequest(
            job_id=pb.JobId(value=job_id) if job_id else None,
            after_position=after or "",
            follow=follow,
            include_workers=include_workers,
            packed=True,
        )
        events = self._connection.stream(calls.STREAM_JOB_EVENTS, lambda: request)
        async with aclosing(events):
            async for first in events:
                for event in (first, *first.more):
                    request.after_position = event.position
                    yield event_from_wire(event)

    async def workers(self, *, include_ended: bool = False) -> AsyncGenerator[Worker, None]:
        """Yields the workers; also those that have ended, when asked."""
        request = pb.ListWorkersRequest(include_ended=include_ended, page_size=_PAGE_SIZE)
        while True:
            answer = await self._connection.unary(calls.LIST_WORKERS, request)
            for worker in answer.workers:
                yield worker_from_wire(worker)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def get_worker(self, worker_id: str) -> Worker:
        """The worker as it is now.

        Raises:
            NotFoundError: There is none with this id.
        """
        request = pb.GetWorkerRequest(worker_id=worker_id)
        answer = await self._connection.unary(calls.GET_WORKER, request)
        return worker_from_wire(answer.worker)

    async def drain_worker(self, worker_id: str) -> Worker:
        """Lets the worker finish what it has and end. Asking again changes nothing.

        Raises:
            NotFoundError: There is none with this id.
        """
        request = pb.DrainWorkerRequest(worker_id=worker_id, requested_by=self._user)
        answer = await self._connection.unary(calls.DRAIN_WORKER, request)
        return worker_from_wire(answer.worker)

    async def invite_worker(
        self, *, name: str = "", labels: Mapping[str, str] | None = None
    ) -> Invitation:
        """Makes a one-time password for a worker that somebody starts by hand."""
        request = pb.InviteWorkerRequest(name=name, labels=labels)
        answer = await self._connection.unary(calls.INVITE_WORKER, request)
        server = await self.server_info()
        return invitation_from_wire(answer, request, cluster_id=server.cluster_id)

    async def clean_up_workers(self, *, provider: str = "", dry_run: bool = False) -> list[Orphan]:
        """Removes what providers have that is no worker's; with `dry_run` only says what there is.

        Args:
            provider: Its name; by default all that the server has.
            dry_run: Whether to leave everything as it is.

        Raises:
            NotFoundError: The server has no such provider.
        """
        request = pb.CleanUpWorkersRequest(provider=provider, dry_run=dry_run)
        answer = await self._connection.unary(calls.CLEAN_UP_WORKERS, request)
        return [orphan_from_wire(each) for each in answer.orphans]

    async def server_info(self) -> ServerInfo:
        """What the server says of itself."""
        answer = await self._connection.unary(calls.GET_SERVER_INFO, pb.GetServerInfoRequest())
        return server_info_from_wire(answer)

    async def servers(self) -> list[Server]:
        """The servers that share a database, and those that did until lately, as one sees them."""
        answer = await self._connection.unary(calls.LIST_SERVERS, pb.ListServersRequest())
        return [server_from_wire(each) for each in answer.servers]

    async def workflows(
        self, *, limit: int | None = None, **wanted: Unpack[WorkflowFilter]
    ) -> AsyncGenerator[WorkflowRun, None]:
        """Yields runs of workflows, the newest first, at most `limit`.

        Raises:
            InvalidFieldsError: A status is not one.
        """
        request = pb.ListWorkflowsRequest(**wanted)
        left = _MOST_JOBS if limit is None else limit
        while left > 0:
            request.page_size = min(left, _PAGE_SIZE)
            answer = await self._connection.unary(calls.LIST_WORKFLOWS, request)
            for run in answer.runs[:left]:
                yield run_from_wire(run)
            left -= len(answer.runs)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def get_workflow(self, run: str, *, namespace: str = "") -> WorkflowRun:
        """The run as it is now.

        Args:
            run: A run id, or a workflow id: then its open run, else its newest.
            namespace: Of the workflow id.

        Raises:
            NotFoundError: There is none.
        """
        request = pb.GetWorkflowRequest(run=run, namespace=namespace)
        answer = await self._connection.unary(calls.GET_WORKFLOW, request)
        return run_from_wire(answer.run)

    async def workflow_history(
        self, run: str, *, after: int = 0, namespace: str = ""
    ) -> AsyncGenerator[WorkflowEvent, None]:
        """Yields the events of a run, in order, those with a greater number than `after`.

        Raises:
            NotFoundError: There is no such run.
        """
        request = pb.GetWorkflowHistoryRequest(
            run=run, namespace=namespace, after_seq=after, page_size=_PAGE_SIZE
        )
        while True:
            answer = await self._connection.unary(calls.GET_WORKFLOW_HISTORY, request)
            for event in answer.events:
                request.after_seq = event.seq
                yield workflow_event_from_wire(event)
            if not answer.has_more:
                return

    async def signal_workflow(
        self,
        run: str,
        name: str,
        *arguments: object,
        request_id: str = "",
        namespace: str = "",
    ) -> None:
        """Tells a run something; with the same `request_id` it is heard once.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It has ended.
        """
        request = pb.SignalWorkflowRequest(
            run=run,
            namespace=namespace,
            name=name,
            arguments_json=json.dumps(arguments),
            request_id=request_id or self._ids.new(),
            requested_by=self._user,
        )
        await self._connection.unary(calls.SIGNAL_WORKFLOW, request)

    async def cancel_workflow(
        self, run: str, *, reason: str = "", namespace: str = ""
    ) -> WorkflowRun:
        """Asks a run to end: its code is cancelled, and undoes what it must.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It has ended.
        """
        request = pb.CancelWorkflowRequest(
            run=run,
            namespace=namespace,
            reason=reason,
            request_id=self._ids.new(),
            requested_by=self._user,
        )
        answer = await self._connection.unary(calls.CANCEL_WORKFLOW, request)
        return await self.get_workflow(answer.run_id)

    async def retry_workflow_step(
        self, run: str, *, note: str = "", namespace: str = ""
    ) -> WorkflowRun:
        """Lets a parked run go on: what it is parked for is tried again.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It has ended or is not parked.
        """
        request = pb.RetryWorkflowStepRequest(
            run=run, namespace=namespace, note=note, requested_by=self._user
        )
        answer = await self._connection.unary(calls.RETRY_WORKFLOW_STEP, request)
        return await self.get_workflow(answer.run_id)

    async def skip_workflow_step(
        self, run: str, *, note: str = "", namespace: str = ""
    ) -> WorkflowRun:
        """Lets a run go on without the compensation for which it is parked.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It waits for no decision about a compensation.
        """
        request = pb.SkipWorkflowStepRequest(
            run=run, namespace=namespace, note=note, requested_by=self._user
        )
        answer = await self._connection.unary(calls.SKIP_WORKFLOW_STEP, request)
        return await self.get_workflow(answer.run_id)

    async def replay_workflow(self, run: str, *, namespace: str = "") -> str:
        """Runs the code that the server has over the history of a run, changing nothing.

        Returns:
            Where they differ; empty when they fit.

        Raises:
            NotFoundError: There is no such run.
        """
        request = pb.ReplayWorkflowRequest(run=run, namespace=namespace)
        return (await self._connection.unary(calls.REPLAY_WORKFLOW, request)).difference

    async def providers(self) -> list[Provider]:
        """What makes workers, in the order in which they are asked for them."""
        request = providers_pb.ListProvidersRequest()
        answer = await self._connection.unary(calls.LIST_PROVIDERS, request)
        return [provider_from_wire(each) for each in answer.providers]

    async def get_provider(self, name: str) -> Provider:
        """The provider as it is now.

        Raises:
            NotFoundError: There is none of this name.
        """
        request = providers_pb.GetProviderRequest(provider_id=name)
        answer = await self._connection.unary(calls.GET_PROVIDER, request)
        return provider_from_wire(answer.provider)

    async def add_provider(
        self,
        name: str,
        *,
        type: str,  # noqa: A002 - the word that everybody uses for it
        options: Mapping[str, str] | None = None,
        settings: ProviderSettings | None = None,
        enabled: bool = True,
    ) -> Provider:
        """Adds a provider, on every server.

        Args:
            name: 1 to 40 small letters, digits or hyphens; of no other provider.
            type: `docker` or `local`.
            options: By the names and as the text that the server's settings of the type have.
            settings: What else is decided about it; by default nothing.
            enabled: One that is not need not be usable yet.

        Raises:
            InvalidFieldsError: Something in it is not allowed.
            AlreadyExistsError: The name is taken.
            WrongStateError: It cannot be used; the message says what to do.
        """
        request = new_provider(
            name, type, options or {}, settings or ProviderSettings(), is_enabled=enabled
        )
        answer = await self._connection.unary(calls.REGISTER_PROVIDER, request)
        return provider_from_wire(answer.provider)

    async def update_provider(
        self,
        name: str,
        *,
        options: Mapping[str, str | None] | None = None,
        settings: ProviderSettings | None = None,
    ) -> Provider:
        """Changes a provider; workers that it has stay as they are.

        Args:
            name: The provider's.
            options: Those that are to be set, and with None those that are to be left out again.
            settings: What else is decided about it; None leaves all of it as it is.

        Raises:
            NotFoundError: There is none of this name.
            InvalidFieldsError: Something in it is not allowed.
            WrongStateError: It cannot be used like that, or somebody else has just changed it.
        """
        asked = providers_pb.GetProviderRequest(provider_id=name)
        config = (await self._connection.unary(calls.GET_PROVIDER, asked)).provider
        request = changed_provider(config, options or {}, settings)
        answer = await self._connection.unary(calls.UPDATE_PROVIDER, request)
        return provider_from_wire(answer.provider)

    async def enable_provider(self, name: str) -> Provider:
        """Has a provider make workers again. Idempotent.

        Raises:
            NotFoundError: There is none of this name.
            WrongStateError: It cannot be used, or is being removed.
        """
        request = providers_pb.EnableProviderRequest(provider_id=name)
        answer = await self._connection.unary(calls.ENABLE_PROVIDER, request)
        return provider_from_wire(answer.provider)

    async def disable_provider(self, name: str) -> Provider:
        """Has a provider make no more workers; those that it has end with their jobs. Idempotent.

        Raises:
            NotFoundError: There is none of this name.
        """
        request = providers_pb.DisableProviderRequest(provider_id=name)
        answer = await self._connection.unary(calls.DISABLE_PROVIDER, request)
        return provider_from_wire(answer.provider)

    async def remove_provider(self, name: str, *, force: bool = False) -> int:
        """Removes a provider; returns how many of its workers have to end before it is gone.

        Args:
            name: The provider's.
            force: Also while it has workers, which end with their jobs.

        Raises:
            NotFoundError: There is none of this name.
            WrongStateError: It has workers, or comes from the server's settings.
        """
        request = providers_pb.DeleteProviderRequest(provider_id=name, force=force)
        return (await self._connection.unary(calls.DELETE_PROVIDER, request)).workers_left

    async def test_provider(self, name: str) -> ProviderTest:
        """Has the server ask what is behind a provider.

        Raises:
            NotFoundError: There is none of this name.
        """
        request = providers_pb.TestProviderRequest(provider_id=name)
        answer = await self._connection.unary(calls.TEST_PROVIDER, request)
        return ProviderTest(
            problem=answer.problem, facts={each.name: each.value for each in answer.facts}
        )

    async def explain(self, job_id: str) -> Explanation:
        """What the job waits for and what was considered for it, or why it ended as it did.

        Raises:
            NotFoundError: There is none with this id.
        """
        request = pb.ExplainJobRequest(job_id=pb.JobId(value=job_id))
        answer = await self._connection.unary(calls.EXPLAIN_JOB, request)
        return explanation_from_wire(answer)

    async def _get(self, job_id: str, *, is_patient: bool = False) -> Job:
        request = pb.GetJobRequest(job_id=pb.JobId(value=job_id))
        answer = await self._connection.unary(calls.GET_JOB, request, is_patient=is_patient)
        return job_from_answer(answer)

    async def close(self) -> None:
        """Lets go of the server. Idempotent."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
