"""`hodei.WorkflowService`, for operators."""

# The decorators' Callable types have no parameter names; gRPC passes both by position.
# pyright: reportIncompatibleMethodOverride=false

from collections.abc import Iterable
from typing import Any, Protocol

import grpc.aio
import msgspec

from hodei.api.grpc.refusals import unary
from hodei.domain.jobs.limits import check_line, require_line
from hodei.durable.events import Decision
from hodei.durable.runner.client import DEFAULT_NAMESPACE, DurableClient
from hodei.kernel.errors import InvalidFieldsError
from hodei.ports.durable import RunFilter
from hodei.ports.durable_rows import ParkReason, RunRow, RunStatus
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as pb_grpc
from hodei.wire.run_views import event_view, run_view

Context = grpc.aio.ServicerContext[Any, Any]

_DEFAULT_PAGE = 100
_MOST_ON_A_PAGE = 1000
_MOST_NOTE_CHARS = 1000


class _Named(Protocol):
    """A request that names a run."""

    run: str
    namespace: str


class WorkflowService(pb_grpc.WorkflowServiceServicer):
    """Runs of workflows. Any server answers alike, whoever moves the run."""

    def __init__(self, client: DurableClient) -> None:
        self._client = client

    @unary
    async def ListWorkflows(
        self, request: pb.ListWorkflowsRequest, context: Context
    ) -> pb.ListWorkflowsResponse:
        """A page of runs, newest first."""
        page = await self._client.list_runs(
            RunFilter(
                namespace=request.namespace,
                workflow_id=request.workflow_id,
                type=request.type,
                statuses=_statuses(request.statuses),
                only_parked=request.only_parked,
            ),
            limit=_page_size(request.page_size),
            cursor=request.page_token,
        )
        return pb.ListWorkflowsResponse(
            runs=[run_view(each) for each in page.runs], next_page_token=page.next_cursor
        )

    @unary
    async def GetWorkflow(
        self, request: pb.GetWorkflowRequest, context: Context
    ) -> pb.GetWorkflowResponse:
        """One run."""
        return pb.GetWorkflowResponse(run=run_view(await self._find(request)))

    @unary
    async def GetWorkflowHistory(
        self, request: pb.GetWorkflowHistoryRequest, context: Context
    ) -> pb.GetWorkflowHistoryResponse:
        """Some events of a run, in order."""
        run = await self._find(request)
        limit = _page_size(request.page_size)
        events = await self._client.history_page(
            run.run_id, after_seq=request.after_seq, limit=limit + 1
        )
        return pb.GetWorkflowHistoryResponse(
            events=[event_view(each) for each in events[:limit]], has_more=len(events) > limit
        )

    @unary
    async def SignalWorkflow(
        self, request: pb.SignalWorkflowRequest, context: Context
    ) -> pb.SignalWorkflowResponse:
        """The run hears of it once, however often it is sent with one request id."""
        _check_lines(request.requested_by, request.request_id)
        if not request.name:
            raise InvalidFieldsError.of("name", "is missing: name the signal")
        require_line("name", request.name)
        arguments = _arguments(request.arguments_json)
        run = await self._find(request)
        await self._client.signal(
            run.run_id,
            request.name,
            *arguments,
            request_id=request.request_id,
            by=request.requested_by,
        )
        return pb.SignalWorkflowResponse(run_id=run.run_id)

    @unary
    async def CancelWorkflow(
        self, request: pb.CancelWorkflowRequest, context: Context
    ) -> pb.CancelWorkflowResponse:
        """The run's code is cancelled, and undoes what it must."""
        _check_lines(request.requested_by, request.request_id)
        require_line("reason", request.reason, max_chars=_MOST_NOTE_CHARS)
        run = await self._find(request)
        await self._client.cancel(
            run.run_id,
            reason=request.reason,
            by=request.requested_by,
            request_id=request.request_id,
        )
        return pb.CancelWorkflowResponse(run_id=run.run_id)

    @unary
    async def RetryWorkflowStep(
        self, request: pb.RetryWorkflowStepRequest, context: Context
    ) -> pb.RetryWorkflowStepResponse:
        """What the run is parked for is tried again."""
        run = await self._to_decide(request)
        if run.parked is None or run.parked.reason is not ParkReason.COMPENSATION_FAILED:
            await self._client.unpark(run.run_id)
            return pb.RetryWorkflowStepResponse(run_id=run.run_id)
        decided = await self._client.decide(
            run.run_id, Decision.RETRY, by=request.requested_by, note=request.note
        )
        return pb.RetryWorkflowStepResponse(run_id=run.run_id, step=decided.name)

    @unary
    async def SkipWorkflowStep(
        self, request: pb.SkipWorkflowStepRequest, context: Context
    ) -> pb.SkipWorkflowStepResponse:
        """The run goes on without the compensation that failed."""
        run = await self._to_decide(request)
        decided = await self._client.decide(
            run.run_id, Decision.SKIP, by=request.requested_by, note=request.note
        )
        return pb.SkipWorkflowStepResponse(run_id=run.run_id, step=decided.name)

    @unary
    async def ReplayWorkflow(
        self, request: pb.ReplayWorkflowRequest, context: Context
    ) -> pb.ReplayWorkflowResponse:
        """Whether the code that is loaded here fits the run's history."""
        run = await self._find(request)
        difference = await self._client.replay(run.run_id)
        return pb.ReplayWorkflowResponse(run_id=run.run_id, difference=difference)

    async def _find(self, request: _Named) -> RunRow:
        if not request.run:
            raise InvalidFieldsError.of("run", "is missing: give a run id or a workflow id")
        return await self._client.find(
            request.run, namespace=request.namespace or DEFAULT_NAMESPACE
        )

    async def _to_decide(
        self, request: pb.RetryWorkflowStepRequest | pb.SkipWorkflowStepRequest
    ) -> RunRow:
        require_line("requested_by", request.requested_by)
        require_line("note", request.note, max_chars=_MOST_NOTE_CHARS)
        return await self._find(request)


def _page_size(asked: int) -> int:
    if asked > _MOST_ON_A_PAGE:
        raise InvalidFieldsError.of("page_size", f"1 to {_MOST_ON_A_PAGE}")
    return asked or _DEFAULT_PAGE


def _check_lines(requested_by: str, request_id: str) -> None:
    violations = [
        *check_line("requested_by", requested_by),
        *check_line("request_id", request_id),
    ]
    if violations:
        raise InvalidFieldsError(violations)


def _statuses(names: Iterable[str]) -> tuple[RunStatus, ...]:
    known = {each.value for each in RunStatus}
    if unknown := [each for each in names if each not in known]:
        raise InvalidFieldsError.of(
            "statuses", f"{unknown[0]!r} is not one of {', '.join(sorted(known))}"
        )
    return tuple(RunStatus(each) for each in names)


def _arguments(text: str) -> list[Any]:
    if not text:
        return []
    try:
        return msgspec.json.decode(text, type=list[Any])
    except msgspec.MsgspecError as error:
        raise InvalidFieldsError.of(
            "arguments_json", f"{error}; write the signal's arguments as a JSON array"
        ) from error
