"""What users import: clients of a Hodei Jobs server, and the resources that they return.

`Client` is for plain programs, `AsyncClient` for those on asyncio; both have the same methods. Start
with `Client.submit` and `Client.wait`. The command line is built on this package alone.
"""

from hodei.domain.jobs.container import ContainerOptions, Mount, PullPolicy
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import (
    LogPolicy,
    Priority,
    SelectorOperator,
    SelectorRequirement,
    Toleration,
)
from hodei.domain.jobs.states import AttemptState, JobState
from hodei.domain.logs import LogStream
from hodei.domain.placement.breaker import BreakerState
from hodei.domain.placement.health import ProviderState
from hodei.domain.workers.states import WorkerState
from hodei.kernel.errors import (
    AlreadyExistsError,
    FieldViolation,
    HodeiError,
    InvalidFieldsError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    WrongStateError,
)
from hodei.sdk.async_client import AsyncClient
from hodei.sdk.client import Client
from hodei.sdk.explanation import Candidate, CandidateKind, Explanation
from hodei.sdk.job import Attempt, Job, Reason
from hodei.sdk.job_event import JobEvent
from hodei.sdk.job_listing import JobFilter
from hodei.sdk.job_request import JobRequest
from hodei.sdk.log_chunk import LogChunk
from hodei.sdk.provider import CircuitBreaker, Provider, ProviderTest, TroubledKind
from hodei.sdk.provider_changes import ProviderSettings
from hodei.sdk.server import Server, ServerState
from hodei.sdk.server_info import ServerInfo
from hodei.sdk.worker import Invitation, Orphan, Worker
from hodei.sdk.workflow import Parked, WorkflowEvent, WorkflowFilter, WorkflowRun

__all__ = [
    "AlreadyExistsError",
    "AsyncClient",
    "Attempt",
    "AttemptState",
    "BreakerState",
    "Candidate",
    "CandidateKind",
    "CircuitBreaker",
    "Client",
    "ContainerOptions",
    "Explanation",
    "FieldViolation",
    "HodeiError",
    "InvalidFieldsError",
    "Invitation",
    "Job",
    "JobEvent",
    "JobFilter",
    "JobRequest",
    "JobState",
    "LogChunk",
    "LogPolicy",
    "LogStream",
    "Mount",
    "NotFoundError",
    "Orphan",
    "Parked",
    "Priority",
    "Provider",
    "ProviderSettings",
    "ProviderState",
    "ProviderTest",
    "PullPolicy",
    "Reason",
    "ReasonCode",
    "RefusedError",
    "SelectorOperator",
    "SelectorRequirement",
    "Server",
    "ServerInfo",
    "ServerState",
    "Toleration",
    "TroubledKind",
    "UnavailableError",
    "Worker",
    "WorkerState",
    "WorkflowEvent",
    "WorkflowFilter",
    "WorkflowRun",
    "WrongStateError",
]
