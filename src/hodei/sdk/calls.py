"""The server's calls that clients use, each with the types of its request and its answers."""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import provider_management_pb2 as providers_pb

RequestT = TypeVar("RequestT", bound=Message)
AnswerT = TypeVar("AnswerT", bound=Message)


@dataclass(frozen=True, slots=True)
class Call(Generic[RequestT, AnswerT]):
    """One call. The generated stubs carry no types; this does."""

    path: str
    request: type[RequestT]
    answer: type[AnswerT]
    is_repeatable: bool = True
    """Whether asking twice does the same as asking once."""
    least_timeout_s: float = 0.0
    """Seconds that its answer may take where that is more than other calls may."""


_JOBS: Final = "/hodei.JobExecutionService"
_LOGS: Final = "/hodei.LogStreamService"
_WORKERS: Final = "/hodei.WorkerService"
_WORKFLOWS: Final = "/hodei.WorkflowService"
_PROVIDERS: Final = "/hodei.providers.ProviderManagementService"

# Repeatable although they change something: the client draws the ids of jobs, and a cancelled job
# or a draining worker stays so.
QUEUE_JOB: Final = Call(f"{_JOBS}/QueueJob", pb.QueueJobRequest, pb.QueueJobResponse)
QUEUE_JOBS: Final = Call(f"{_JOBS}/QueueJobs", pb.QueueJobsRequest, pb.QueueJobsResponse)
CANCEL_JOB: Final = Call(f"{_JOBS}/CancelJob", pb.CancelJobRequest, pb.CancelJobResponse)
DRAIN_WORKER: Final = Call(f"{_WORKERS}/DrainWorker", pb.DrainWorkerRequest, pb.DrainWorkerResponse)

GET_JOB: Final = Call(f"{_JOBS}/GetJob", pb.GetJobRequest, pb.GetJobResponse)
EXPLAIN_JOB: Final = Call(f"{_JOBS}/ExplainJob", pb.ExplainJobRequest, pb.ExplainJobResponse)
LIST_JOBS: Final = Call(f"{_JOBS}/ListJobs", pb.ListJobsRequest, pb.ListJobsResponse)
STREAM_JOB_EVENTS: Final = Call(f"{_JOBS}/StreamJobEvents", pb.StreamJobEventsRequest, pb.JobEvent)
SUBSCRIBE_LOGS: Final = Call(f"{_LOGS}/SubscribeLogs", pb.SubscribeLogsRequest, pb.JobLogEntry)
LIST_WORKERS: Final = Call(f"{_WORKERS}/ListWorkers", pb.ListWorkersRequest, pb.ListWorkersResponse)
GET_WORKER: Final = Call(f"{_WORKERS}/GetWorker", pb.GetWorkerRequest, pb.GetWorkerResponse)
GET_SERVER_INFO: Final = Call(
    "/hodei.ServerService/GetServerInfo", pb.GetServerInfoRequest, pb.GetServerInfoResponse
)

LIST_SERVERS: Final = Call(
    "/hodei.ServerService/ListServers", pb.ListServersRequest, pb.ListServersResponse
)
LIST_PROVIDERS: Final = Call(
    f"{_PROVIDERS}/ListProviders",
    providers_pb.ListProvidersRequest,
    providers_pb.ListProvidersResponse,
)
GET_PROVIDER: Final = Call(
    f"{_PROVIDERS}/GetProvider", providers_pb.GetProviderRequest, providers_pb.GetProviderResponse
)
REGISTER_PROVIDER: Final = Call(
    f"{_PROVIDERS}/RegisterProvider",
    providers_pb.RegisterProviderRequest,
    providers_pb.RegisterProviderResponse,
)
UPDATE_PROVIDER: Final = Call(
    f"{_PROVIDERS}/UpdateProvider",
    providers_pb.UpdateProviderRequest,
    providers_pb.UpdateProviderResponse,
)
DELETE_PROVIDER: Final = Call(
    f"{_PROVIDERS}/DeleteProvider",
    providers_pb.DeleteProviderRequest,
    providers_pb.DeleteProviderResponse,
)
ENABLE_PROVIDER: Final = Call(
    f"{_PROVIDERS}/EnableProvider",
    providers_pb.EnableProviderRequest,
    providers_pb.EnableProviderResponse,
)
DISABLE_PROVIDER: Final = Call(
    f"{_PROVIDERS}/DisableProvider",
    providers_pb.DisableProviderRequest,
    providers_pb.DisableProviderResponse,
)
TEST_PROVIDER: Final = Call(
    f"{_PROVIDERS}/TestProvider",
    providers_pb.TestProviderRequest,
    providers_pb.TestProviderResponse,
)

LIST_WORKFLOWS: Final = Call(
    f"{_WORKFLOWS}/ListWorkflows", pb.ListWorkflowsRequest, pb.ListWorkflowsResponse
)
GET_WORKFLOW: Final = Call(
    f"{_WORKFLOWS}/GetWorkflow", pb.GetWorkflowRequest, pb.GetWorkflowResponse
)
GET_WORKFLOW_HISTORY: Final = Call(
    f"{_WORKFLOWS}/GetWorkflowHistory",
    pb.GetWorkflowHistoryRequest,
    pb.GetWorkflowHistoryResponse,
)
REPLAY_WORKFLOW: Final = Call(
    f"{_WORKFLOWS}/ReplayWorkflow", pb.ReplayWorkflowRequest, pb.ReplayWorkflowResponse
)
# The client draws the ids of their requests.
SIGNAL_WORKFLOW: Final = Call(
    f"{_WORKFLOWS}/SignalWorkflow", pb.SignalWorkflowRequest, pb.SignalWorkflowResponse
)
CANCEL_WORKFLOW: Final = Call(
    f"{_WORKFLOWS}/CancelWorkflow", pb.CancelWorkflowRequest, pb.CancelWorkflowResponse
)

RETRY_WORKFLOW_STEP: Final = Call(
    f"{_WORKFLOWS}/RetryWorkflowStep",
    pb.RetryWorkflowStepRequest,
    pb.RetryWorkflowStepResponse,
    is_repeatable=False,
)
SKIP_WORKFLOW_STEP: Final = Call(
    f"{_WORKFLOWS}/SkipWorkflowStep",
    pb.SkipWorkflowStepRequest,
    pb.SkipWorkflowStepResponse,
    is_repeatable=False,
)
RETRY_JOB: Final = Call(
    f"{_JOBS}/RetryJob", pb.RetryJobRequest, pb.RetryJobResponse, is_repeatable=False
)
# It tries again for half a minute at each look and each removal, provider by provider.
CLEAN_UP_WORKERS: Final = Call(
    f"{_WORKERS}/CleanUpWorkers",
    pb.CleanUpWorkersRequest,
    pb.CleanUpWorkersResponse,
    least_timeout_s=600.0,
)
INVITE_WORKER: Final = Call(
    f"{_WORKERS}/InviteWorker", pb.InviteWorkerRequest, pb.InviteWorkerResponse, is_repeatable=False
)
