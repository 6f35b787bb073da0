"""`hodei.WorkerService` and `hodei.ServerService`, for operators."""

# The decorators' Callable types have no parameter names; gRPC passes both by position.
# pyright: reportIncompatibleMethodOverride=false

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import grpc.aio

from hodei.api.grpc.refusals import unary
from hodei.application.clean_up_orphans import CleanUpOrphans
from hodei.application.counters import Counters
from hodei.application.drain_worker import DrainWorker
from hodei.application.fleet import Fleet
from hodei.application.invite_worker import InviteWorker
from hodei.application.list_servers import ListedServer, ListServers
from hodei.application.roster import Roster
from hodei.domain.jobs.limits import check_labels, check_line, require_line
from hodei.domain.workers.worker import Worker
from hodei.kernel.clock import Clock, IdSource
from hodei.kernel.errors import InvalidFieldsError, NotFoundError
from hodei.kernel.ids import ClusterId, ProviderName, WorkerId
from hodei.kernel.version import VERSION
from hodei.ports.providers import Provider
from hodei.ports.stores import EventStore, WorkerStore
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as pb_grpc
from hodei.wire.positions import encode_position
from hodei.wire.timestamps import to_timestamp
from hodei.wire.worker_views import worker_resource

Context = grpc.aio.ServicerContext[Any, Any]

_DEFAULT_PAGE = 100
_MOST_ON_A_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorUseCases:
    """What the operators' side of the API calls."""

    workers: WorkerStore
    events: EventStore
    fleet: Fleet
    drain: DrainWorker
    invite: InviteWorker
    clean_up: CleanUpOrphans
    counters: Counters
    clock: Clock
    ids: IdSource
    cluster_id: ClusterId
    started_at: datetime
    roster: Roster
    servers: ListServers


class WorkerService(pb_grpc.WorkerServiceServicer):
    """Workers, for operators."""

    def __init__(self, cases: OperatorUseCases) -> None:
        self._cases = cases

    @unary
    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: Context
    ) -> pb.ListWorkersResponse:
        """A page of workers, newest first."""
        limit = request.page_size or _DEFAULT_PAGE
        if limit > _MOST_ON_A_PAGE:
            raise InvalidFieldsError.of("page_size", f"1 to {_MOST_ON_A_PAGE}")
        found, cursor = await self._cases.workers.list_workers(
            include_ended=request.include_ended, limit=limit, cursor=request.page_token
        )
        return pb.ListWorkersResponse(
            workers=[self._show(worker) for worker in found], next_page_token=cursor
        )

    @unary
    async def GetWorker(
        self, request: pb.GetWorkerRequest, context: Context
    ) -> pb.GetWorkerResponse:
        """One worker."""
        worker = await self._cases.workers.load_worker(WorkerId(request.worker_id))
        if worker is None:
            raise NotFoundError("worker", request.worker_id, "see `hodei workers list`")
        return pb.GetWorkerResponse(worker=self._show(worker))

    @unary
    async def DrainWorker(
        self, request: pb.DrainWorkerRequest, context: Context
    ) -> pb.DrainWorkerResponse:
        """It finishes what it has and ends."""
        require_line("requested_by", request.requested_by)
        worker = await self._cases.drain.drain(
            WorkerId(request.worker_id), by=request.requested_by or "a client"
        )
        return pb.DrainWorkerResponse(worker=self._show(worker))

    @unary
    async def InviteWorker(
        self, request: pb.InviteWorkerRequest, context: Context
    ) -> pb.InviteWorkerResponse:
        """What somebody needs to start a worker by hand."""
        violations = [*check_line("name", request.name), *check_labels("labels", request.labels)]
        if violations:
            raise InvalidFieldsError(violations)
        worker_id = WorkerId(f"static-{self._cases.ids.new()[-12:]}")
        bootstrap = await self._cases.invite.invite(
            name=request.name, labels=dict(request.labels), worker_id=worker_id
        )
        worker = await self._cases.workers.load_worker(worker_id)
        if worker is None:
            raise NotFoundError("worker", worker_id, "invite it again")
        return pb.InviteWorkerResponse(
            worker_id=bootstrap.worker_id,
            enroll_address=bootstrap.enroll_address,
            worker_address=bootstrap.worker_address,
            ca_fingerprint=bootstrap.ca_fingerprint,
            otp=bootstrap.otp,
            expires_at=to_timestamp(worker.offer.expires_at),
        )

    @unary
    async def CleanUpWorkers(
        self, request: pb.CleanUpWorkersRequest, context: Context
    ) -> pb.CleanUpWorkersResponse:
        """What no worker has is removed, or shown."""
        clean_up = self._cases.clean_up
        act = clean_up.look if request.dry_run else clean_up.clean_up
        outcomes = [
            outcome
            for provider in self._named_providers(request.provider)
            for outcome in await act(provider)
        ]
        return pb.CleanUpWorkersResponse(
            orphans=[
                pb.OrphanResource(
                    provider=each.orphan.provider,
                    worker_id=each.orphan.worker_id,
                    instance=each.orphan.data,
                    removed=each.is_removed,
                    message=each.message,
                )
                for each in outcomes
            ]
        )

    def _named_providers(self, name: str) -> list[Provider]:
        providers = self._cases.roster.providers
        if not name:
            return list(providers.values())
        if (provider := providers.get(ProviderName(name))) is None:
            known = ", ".join(providers) or "none"
            raise NotFoundError("provider", name, f"this server has {known}")
        return [provider]

    def _show(self, worker: Worker) -> pb.WorkerResource:
        member = self._cases.fleet.get(worker.id)
        if member is None:
            return worker_resource(worker, held_jobs=(), connected=False)
        silent = timedelta(seconds=self._cases.clock.monotonic() - member.last_seen)
        if member.is_elsewhere:
            # When it was heard last, and what it uses, the server knows that has its stream.
            return worker_resource(worker, held_jobs=tuple(member.jobs), connected=True)
        return worker_resource(
            worker,
            held_jobs=tuple(member.jobs),
            connected=member.link is not None,
            last_heartbeat_at=self._cases.clock.now() - silent,
            usage=pb.ResourceUsageMessage(
                cpu_percent=member.usage.cpu_percent,
                memory_bytes=member.usage.memory_bytes,
                disk_bytes=member.usage.disk_bytes,
            ),
        )


class ServerService(pb_grpc.ServerServiceServicer):
    """This server, for operators."""

    def __init__(self, cases: OperatorUseCases) -> None:
        self._cases = cases

    @unary
    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        """What and since when it is, and what it has counted."""
        return pb.GetServerInfoResponse(
            version=VERSION,
            cluster_id=self._cases.cluster_id,
            started_at=to_timestamp(self._cases.started_at),
            providers=list(self._cases.roster.providers),
            position=encode_position(await self._cases.events.last_position()),
            counters=self._cases.counters.snapshot(),
        )

    @unary
    async def ListServers(
        self, request: pb.ListServersRequest, context: Context
    ) -> pb.ListServersResponse:
        """The servers that share the database, and those that did until lately."""
        return pb.ListServersResponse(
            servers=[_server_resource(each) for each in self._cases.servers.list()]
        )


def _server_resource(server: ListedServer) -> pb.ServerResource:
    entry = server.entry
    return pb.ServerResource(
        id=entry.id,
        name=entry.name,
        state=f"SERVER_STATE_{server.state}",
        version=entry.version,
        address=entry.address,
        worker_address=entry.worker_address,
        enroll_address=entry.enroll_address,
        started_at=to_timestamp(server.started_at),
        heartbeat_at=to_timestamp(server.heartbeat_at),
        ended_at=None if server.ended_at is None else to_timestamp(server.ended_at),
        streams=server.streams,
        duties=server.duties,
        is_self=server.is_self,
    )
