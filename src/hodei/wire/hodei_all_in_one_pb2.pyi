import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATUS_PENDING: _ClassVar[JobStatus]
    JOB_STATUS_QUEUED: _ClassVar[JobStatus]
    JOB_STATUS_ASSIGNED: _ClassVar[JobStatus]
    JOB_STATUS_RUNNING: _ClassVar[JobStatus]
    JOB_STATUS_COMPLETED: _ClassVar[JobStatus]
    JOB_STATUS_FAILED: _ClassVar[JobStatus]
    JOB_STATUS_CANCELLED: _ClassVar[JobStatus]
    JOB_STATUS_TIMEOUT: _ClassVar[JobStatus]

class WorkerStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_STATUS_OFFLINE: _ClassVar[WorkerStatus]
    WORKER_STATUS_REGISTERING: _ClassVar[WorkerStatus]
    WORKER_STATUS_AVAILABLE: _ClassVar[WorkerStatus]
    JOB_STATUS_BUSY: _ClassVar[WorkerStatus]
    WORKER_STATUS_BUSY: _ClassVar[WorkerStatus]
    WORKER_STATUS_DRAINING: _ClassVar[WorkerStatus]
    WORKER_STATUS_ERROR: _ClassVar[WorkerStatus]

class ExecutionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_STATE_CREATED: _ClassVar[ExecutionState]
    EXECUTION_STATE_STARTING: _ClassVar[ExecutionState]
    EXECUTION_STATE_RUNNING: _ClassVar[ExecutionState]
    EXECUTION_STATE_COMPLETING: _ClassVar[ExecutionState]
    EXECUTION_STATE_COMPLETED: _ClassVar[ExecutionState]
    EXECUTION_STATE_FAILED: _ClassVar[ExecutionState]
    EXECUTION_STATE_CANCELLED: _ClassVar[ExecutionState]
    EXECUTION_STATE_TIMEOUT: _ClassVar[ExecutionState]

class PriorityLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_LOW: _ClassVar[PriorityLevel]
    PRIORITY_NORMAL: _ClassVar[PriorityLevel]
    PRIORITY_HIGH: _ClassVar[PriorityLevel]
    PRIORITY_CRITICAL: _ClassVar[PriorityLevel]

class LogPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_POLICY_UNSPECIFIED: _ClassVar[LogPolicy]
    LOG_POLICY_HOLD: _ClassVar[LogPolicy]
    LOG_POLICY_DROP_OLDEST: _ClassVar[LogPolicy]

class LogStream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_STREAM_UNSPECIFIED: _ClassVar[LogStream]
    LOG_STREAM_STDOUT: _ClassVar[LogStream]
    LOG_STREAM_STDERR: _ClassVar[LogStream]

class ServerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVER_STATE_UNSPECIFIED: _ClassVar[ServerState]
    SERVER_STATE_LIVE: _ClassVar[ServerState]
    SERVER_STATE_DRAINING: _ClassVar[ServerState]
    SERVER_STATE_DEAD: _ClassVar[ServerState]
    SERVER_STATE_ENDED: _ClassVar[ServerState]

class CandidateKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANDIDATE_KIND_UNSPECIFIED: _ClassVar[CandidateKind]
    CANDIDATE_KIND_PROVIDER: _ClassVar[CandidateKind]
    CANDIDATE_KIND_WORKER: _ClassVar[CandidateKind]
JOB_STATUS_PENDING: JobStatus
JOB_STATUS_QUEUED: JobStatus
JOB_STATUS_ASSIGNED: JobStatus
JOB_STATUS_RUNNING: JobStatus
JOB_STATUS_COMPLETED: JobStatus
JOB_STATUS_FAILED: JobStatus
JOB_STATUS_CANCELLED: JobStatus
JOB_STATUS_TIMEOUT: JobStatus
WORKER_STATUS_OFFLINE: WorkerStatus
WORKER_STATUS_REGISTERING: WorkerStatus
WORKER_STATUS_AVAILABLE: WorkerStatus
JOB_STATUS_BUSY: WorkerStatus
WORKER_STATUS_BUSY: WorkerStatus
WORKER_STATUS_DRAINING: WorkerStatus
WORKER_STATUS_ERROR: WorkerStatus
EXECUTION_STATE_CREATED: ExecutionState
EXECUTION_STATE_STARTING: ExecutionState
EXECUTION_STATE_RUNNING: ExecutionState
EXECUTION_STATE_COMPLETING: ExecutionState
EXECUTION_STATE_COMPLETED: ExecutionState
EXECUTION_STATE_FAILED: ExecutionState
EXECUTION_STATE_CANCELLED: ExecutionState
EXECUTION_STATE_TIMEOUT: ExecutionState
PRIORITY_LOW: PriorityLevel
PRIORITY_NORMAL: PriorityLevel
PRIORITY_HIGH: PriorityLevel
PRIORITY_CRITICAL: PriorityLevel
LOG_POLICY_UNSPECIFIED: LogPolicy
LOG_POLICY_HOLD: LogPolicy
LOG_POLICY_DROP_OLDEST: LogPolicy
LOG_STREAM_UNSPECIFIED: LogStream
LOG_STREAM_STDOUT: LogStream
LOG_STREAM_STDERR: LogStream
SERVER_STATE_UNSPECIFIED: ServerState
SERVER_STATE_LIVE: ServerState
SERVER_STATE_DRAINING: ServerState
SERVER_STATE_DEAD: ServerState
SERVER_STATE_ENDED: ServerState
CANDIDATE_KIND_UNSPECIFIED: CandidateKind
CANDIDATE_KIND_PROVIDER: CandidateKind
CANDIDATE_KIND_WORKER: CandidateKind

class JobId(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: str
    def __init__(self, value: _Optional[str] = ...) -> None: ...

class WorkerId(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: str
    def __init__(self, value: _Optional[str] = ...) -> None: ...

class ExecutionId(_message.Message):
    __slots__ = ("value", "after_position")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    value: str
    after_position: str
    def __init__(self, value: _Optional[str] = ..., after_position: _Optional[str] = ...) -> None: ...

class ResourceCapacity(_message.Message):
    __slots__ = ("cpu_cores", "memory_bytes", "disk_bytes", "gpu_count", "custom_resources")
    class CustomResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_RESOURCES_FIELD_NUMBER: _ClassVar[int]
    cpu_cores: float
    memory_bytes: int
    disk_bytes: int
    gpu_count: int
    custom_resources: _containers.ScalarMap[str, int]
    def __init__(self, cpu_cores: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., gpu_count: _Optional[int] = ..., custom_resources: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ResourceUsage(_message.Message):
    __slots__ = ("cpu_cores", "memory_bytes", "disk_bytes", "gpu_count", "custom_usage")
    class CustomUsageEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_USAGE_FIELD_NUMBER: _ClassVar[int]
    cpu_cores: float
    memory_bytes: int
    disk_bytes: int
    gpu_count: int
    custom_usage: _containers.ScalarMap[str, int]
    def __init__(self, cpu_cores: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., gpu_count: _Optional[int] = ..., custom_usage: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ResourceRequirements(_message.Message):
    __slots__ = ("cpu_cores", "memory_bytes", "disk_bytes", "gpu_count", "gpu_types", "custom_required")
    class CustomRequiredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    cpu_cores: float
    memory_bytes: int
    disk_bytes: int
    gpu_count: int
    gpu_types: _containers.RepeatedScalarFieldContainer[str]
    custom_required: _containers.ScalarMap[str, int]
    def __init__(self, cpu_cores: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., gpu_count: _Optional[int] = ..., gpu_types: _Optional[_Iterable[str]] = ..., custom_required: _Optional[_Mapping[str, int]] = ...) -> None: ...

class LabelSelector(_message.Message):
    __slots__ = ("match_labels", "match_expressions")
    class MatchLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MATCH_LABELS_FIELD_NUMBER: _ClassVar[int]
    MATCH_EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    match_labels: _containers.ScalarMap[str, str]
    match_expressions: _containers.RepeatedCompositeFieldContainer[LabelSelectorRequirement]
    def __init__(self, match_labels: _Optional[_Mapping[str, str]] = ..., match_expressions: _Optional[_Iterable[_Union[LabelSelectorRequirement, _Mapping]]] = ...) -> None: ...

class LabelSelectorRequirement(_message.Message):
    __slots__ = ("key", "operator", "values")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    key: str
    operator: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key: _Optional[str] = ..., operator: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Affinity(_message.Message):
    __slots__ = ("node_affinity", "pod_affinity", "pod_anti_affinity")
    NODE_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    POD_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    POD_ANTI_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    node_affinity: NodeAffinity
    pod_affinity: PodAffinity
    pod_anti_affinity: PodAntiAffinity
    def __init__(self, node_affinity: _Optional[_Union[NodeAffinity, _Mapping]] = ..., pod_affinity: _Optional[_Union[PodAffinity, _Mapping]] = ..., pod_anti_affinity: _Optional[_Union[PodAntiAffinity, _Mapping]] = ...) -> None: ...

class NodeAffinity(_message.Message):
    __slots__ = ("preferred_during_scheduling", "required_during_scheduling")
    PREFERRED_DURING_SCHEDULING_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_DURING_SCHEDULING_FIELD_NUMBER: _ClassVar[int]
    preferred_during_scheduling: _containers.RepeatedCompositeFieldContainer[LabelSelectorRequirement]
    required_during_scheduling: LabelSelectorRequiredDuringScheduling
    def __init__(self, preferred_during_scheduling: _Optional[_Iterable[_Union[LabelSelectorRequirement, _Mapping]]] = ..., required_during_scheduling: _Optional[_Union[LabelSelectorRequiredDuringScheduling, _Mapping]] = ...) -> None: ...

class LabelSelectorRequiredDuringScheduling(_message.Message):
    __slots__ = ("label_selector",)
    LABEL_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    label_selector: LabelSelector
    def __init__(self, label_selector: _Optional[_Union[LabelSelector, _Mapping]] = ...) -> None: ...

class PodAffinity(_message.Message):
    __slots__ = ("preferred_during_scheduling", "required_during_scheduling")
    PREFERRED_DURING_SCHEDULING_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_DURING_SCHEDULING_FIELD_NUMBER: _ClassVar[int]
    preferred_during_scheduling: _containers.RepeatedCompositeFieldContainer[LabelSelectorRequirement]
    required_during_scheduling: _containers.RepeatedCompositeFieldContainer[LabelSelectorRequiredDuringScheduling]
    def __init__(self, preferred_during_scheduling: _Optional[_Iterable[_Union[LabelSelectorRequirement, _Mapping]]] = ..., required_during_scheduling: _Optional[_Iterable[_Union[LabelSelectorRequiredDuringScheduling, _Mapping]]] = ...) -> None: ...

class PodAntiAffinity(_message.Message):
    __slots__ = ("preferred_during_scheduling", "required_during_scheduling")
    PREFERRED_DURING_SCHEDULING_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_DURING_SCHEDULING_FIELD_NUMBER: _ClassVar[int]
    preferred_during_scheduling: _containers.RepeatedCompositeFieldContainer[LabelSelectorRequirement]
    required_during_scheduling: _containers.RepeatedCompositeFieldContainer[LabelSelectorRequiredDuringScheduling]
    def __init__(self, preferred_during_scheduling: _Optional[_Iterable[_Union[LabelSelectorRequirement, _Mapping]]] = ..., required_during_scheduling: _Optional[_Iterable[_Union[LabelSelectorRequiredDuringScheduling, _Mapping]]] = ...) -> None: ...

class Toleration(_message.Message):
    __slots__ = ("key", "operator", "value", "toleration_seconds")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TOLERATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    key: str
    operator: str
    value: str
    toleration_seconds: _duration_pb2.Duration
    def __init__(self, key: _Optional[str] = ..., operator: _Optional[str] = ..., value: _Optional[str] = ..., toleration_seconds: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Taint(_message.Message):
    __slots__ = ("key", "value", "effect")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    effect: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ..., effect: _Optional[str] = ...) -> None: ...

class TimeoutConfig(_message.Message):
    __slots__ = ("execution_timeout", "heartbeat_timeout", "cleanup_timeout")
    EXECUTION_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    execution_timeout: _duration_pb2.Duration
    heartbeat_timeout: _duration_pb2.Duration
    cleanup_timeout: _duration_pb2.Duration
    def __init__(self, execution_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., heartbeat_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cleanup_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SchedulingInfo(_message.Message):
    __slots__ = ("priority", "scheduler_name", "deadline", "preemption_allowed", "preferred_provider", "required_labels", "required_annotations", "preferred_region")
    class RequiredLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class RequiredAnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_NAME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_LABELS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_REGION_FIELD_NUMBER: _ClassVar[int]
    priority: PriorityLevel
    scheduler_name: str
    deadline: _duration_pb2.Duration
    preemption_allowed: bool
    preferred_provider: str
    required_labels: _containers.ScalarMap[str, str]
    required_annotations: _containers.ScalarMap[str, str]
    preferred_region: str
    def __init__(self, priority: _Optional[_Union[PriorityLevel, str]] = ..., scheduler_name: _Optional[str] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., preemption_allowed: _Optional[bool] = ..., preferred_provider: _Optional[str] = ..., required_labels: _Optional[_Mapping[str, str]] = ..., required_annotations: _Optional[_Mapping[str, str]] = ..., preferred_region: _Optional[str] = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ("worker_id", "name", "version", "hostname", "ip_address", "os_info", "architecture", "capacity", "capabilities", "taints", "labels", "tolerations", "affinity", "start_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    OS_INFO_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    TAINTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TOLERATIONS_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    worker_id: WorkerId
    name: str
    version: str
    hostname: str
    ip_address: str
    os_info: str
    architecture: str
    capacity: ResourceCapacity
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    taints: _containers.RepeatedCompositeFieldContainer[Taint]
    labels: _containers.ScalarMap[str, str]
    tolerations: _containers.RepeatedCompositeFieldContainer[Toleration]
    affinity: Affinity
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, worker_id: _Optional[_Union[WorkerId, _Mapping]] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., hostname: _Optional[str] = ..., ip_address: _Optional[str] = ..., os_info: _Optional[str] = ..., architecture: _Optional[str] = ..., capacity: _Optional[_Union[ResourceCapacity, _Mapping]] = ..., capabilities: _Optional[_Iterable[str]] = ..., taints: _Optional[_Iterable[_Union[Taint, _Mapping]]] = ..., labels: _Optional[_Mapping[str, str]] = ..., tolerations: _Optional[_Iterable[_Union[Toleration, _Mapping]]] = ..., affinity: _Optional[_Union[Affinity, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkerHeartbeat(_message.Message):
    __slots__ = ("worker_id", "status", "usage", "active_jobs", "running_job_ids", "timestamp", "dropped_logs", "cpu_percent", "memory_bytes", "disk_bytes")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_JOBS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    DROPPED_LOGS_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    worker_id: WorkerId
    status: WorkerStatus
    usage: ResourceUsage
    active_jobs: int
    running_job_ids: _containers.RepeatedScalarFieldContainer[str]
    timestamp: _timestamp_pb2.Timestamp
    dropped_logs: int
    cpu_percent: float
    memory_bytes: int
    disk_bytes: int
    def __init__(self, worker_id: _Optional[_Union[WorkerId, _Mapping]] = ..., status: _Optional[_Union[WorkerStatus, str]] = ..., usage: _Optional[_Union[ResourceUsage, _Mapping]] = ..., active_jobs: _Optional[int] = ..., running_job_ids: _Optional[_Iterable[str]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dropped_logs: _Optional[int] = ..., cpu_percent: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ...) -> None: ...

class RegisterWorkerRequest(_message.Message):
    __slots__ = ("auth_token", "worker_info", "session_id", "timeout_config", "job_id", "csr_der")
    AUTH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WORKER_INFO_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_CONFIG_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    auth_token: str
    worker_info: WorkerInfo
    session_id: str
    timeout_config: _timestamp_pb2.Timestamp
    job_id: str
    csr_der: bytes
    def __init__(self, auth_token: _Optional[str] = ..., worker_info: _Optional[_Union[WorkerInfo, _Mapping]] = ..., session_id: _Optional[str] = ..., timeout_config: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job_id: _Optional[str] = ..., csr_der: _Optional[bytes] = ...) -> None: ...

class RegisterWorkerResponse(_message.Message):
    __slots__ = ("worker_id", "success", "message", "session_id", "registration_time", "chain_pem", "ca_bundle_pem", "worker_address", "session_epoch")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_TIME_FIELD_NUMBER: _ClassVar[int]
    CHAIN_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_BUNDLE_PEM_FIELD_NUMBER: _ClassVar[int]
    WORKER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SESSION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    worker_id: WorkerId
    success: bool
    message: str
    session_id: str
    registration_time: _timestamp_pb2.Timestamp
    chain_pem: str
    ca_bundle_pem: str
    worker_address: str
    session_epoch: int
    def __init__(self, worker_id: _Optional[_Union[WorkerId, _Mapping]] = ..., success: _Optional[bool] = ..., message: _Optional[str] = ..., session_id: _Optional[str] = ..., registration_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., chain_pem: _Optional[str] = ..., ca_bundle_pem: _Optional[str] = ..., worker_address: _Optional[str] = ..., session_epoch: _Optional[int] = ...) -> None: ...

class WorkerMessage(_message.Message):
    __slots__ = ("heartbeat", "log", "result", "stats", "status", "log_batch", "ack", "self_terminate", "hello", "job_started", "batch")
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LOG_BATCH_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    SELF_TERMINATE_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    JOB_STARTED_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    heartbeat: WorkerHeartbeat
    log: LogEntry
    result: JobResultMessage
    stats: ResourceUsageMessage
    status: WorkerStatusNotification
    log_batch: LogBatch
    ack: AckMessage
    self_terminate: SelfTerminateMessage
    hello: WorkerHello
    job_started: JobStarted
    batch: WorkerMessageBatch
    def __init__(self, heartbeat: _Optional[_Union[WorkerHeartbeat, _Mapping]] = ..., log: _Optional[_Union[LogEntry, _Mapping]] = ..., result: _Optional[_Union[JobResultMessage, _Mapping]] = ..., stats: _Optional[_Union[ResourceUsageMessage, _Mapping]] = ..., status: _Optional[_Union[WorkerStatusNotification, _Mapping]] = ..., log_batch: _Optional[_Union[LogBatch, _Mapping]] = ..., ack: _Optional[_Union[AckMessage, _Mapping]] = ..., self_terminate: _Optional[_Union[SelfTerminateMessage, _Mapping]] = ..., hello: _Optional[_Union[WorkerHello, _Mapping]] = ..., job_started: _Optional[_Union[JobStarted, _Mapping]] = ..., batch: _Optional[_Union[WorkerMessageBatch, _Mapping]] = ...) -> None: ...

class SelfTerminateMessage(_message.Message):
    __slots__ = ("worker_id", "last_job_id", "expected_cleanup_ms", "actual_wait_ms", "reason")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_CLEANUP_MS_FIELD_NUMBER: _ClassVar[int]
    ACTUAL_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    last_job_id: str
    expected_cleanup_ms: int
    actual_wait_ms: int
    reason: str
    def __init__(self, worker_id: _Optional[str] = ..., last_job_id: _Optional[str] = ..., expected_cleanup_ms: _Optional[int] = ..., actual_wait_ms: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class LogBatch(_message.Message):
    __slots__ = ("job_id", "entries", "chunks")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    chunks: _containers.RepeatedCompositeFieldContainer[LogChunk]
    def __init__(self, job_id: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ..., chunks: _Optional[_Iterable[_Union[LogChunk, _Mapping]]] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("job_id", "line", "is_stderr", "timestamp")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    IS_STDERR_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    line: str
    is_stderr: bool
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, job_id: _Optional[str] = ..., line: _Optional[str] = ..., is_stderr: _Optional[bool] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class JobResultMessage(_message.Message):
    __slots__ = ("job_id", "exit_code", "success", "error_message", "completed_at", "attempt", "token", "final_offsets", "signal", "usage", "reason_code", "started_at")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    FINAL_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    exit_code: int
    success: bool
    error_message: str
    completed_at: _timestamp_pb2.Timestamp
    attempt: int
    token: int
    final_offsets: _containers.RepeatedCompositeFieldContainer[StreamOffset]
    signal: int
    usage: JobUsage
    reason_code: str
    started_at: _timestamp_pb2.Timestamp
    def __init__(self, job_id: _Optional[str] = ..., exit_code: _Optional[int] = ..., success: _Optional[bool] = ..., error_message: _Optional[str] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., token: _Optional[int] = ..., final_offsets: _Optional[_Iterable[_Union[StreamOffset, _Mapping]]] = ..., signal: _Optional[int] = ..., usage: _Optional[_Union[JobUsage, _Mapping]] = ..., reason_code: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ResourceUsageMessage(_message.Message):
    __slots__ = ("cpu_percent", "memory_bytes", "disk_bytes")
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    cpu_percent: float
    memory_bytes: int
    disk_bytes: int
    def __init__(self, cpu_percent: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ...) -> None: ...

class WorkerStatusNotification(_message.Message):
    __slots__ = ("status", "reason")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    status: WorkerStatus
    reason: str
    def __init__(self, status: _Optional[_Union[WorkerStatus, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("run_job", "cancel", "ack", "keep_alive", "welcome", "log_acks", "drain", "result_ack", "batch", "servers")
    RUN_JOB_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    KEEP_ALIVE_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    LOG_ACKS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    RESULT_ACK_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    run_job: RunJobCommand
    cancel: CancelJobCommand
    ack: AckMessage
    keep_alive: KeepAliveMessage
    welcome: Welcome
    log_acks: LogAcks
    drain: Drain
    result_ack: ResultAck
    batch: ServerMessageBatch
    servers: Servers
    def __init__(self, run_job: _Optional[_Union[RunJobCommand, _Mapping]] = ..., cancel: _Optional[_Union[CancelJobCommand, _Mapping]] = ..., ack: _Optional[_Union[AckMessage, _Mapping]] = ..., keep_alive: _Optional[_Union[KeepAliveMessage, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., log_acks: _Optional[_Union[LogAcks, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., result_ack: _Optional[_Union[ResultAck, _Mapping]] = ..., batch: _Optional[_Union[ServerMessageBatch, _Mapping]] = ..., servers: _Optional[_Union[Servers, _Mapping]] = ...) -> None: ...

class RunJobCommand(_message.Message):
    __slots__ = ("job_id", "command", "env", "inputs", "outputs", "timeout_ms", "working_dir", "stdin", "secrets_json", "attempt", "token", "options")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    SECRETS_JSON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    command: CommandSpec
    env: _containers.ScalarMap[str, str]
    inputs: _containers.RepeatedCompositeFieldContainer[ArtifactInput]
    outputs: _containers.RepeatedCompositeFieldContainer[ArtifactOutput]
    timeout_ms: int
    working_dir: str
    stdin: str
    secrets_json: str
    attempt: int
    token: int
    options: RunOptions
    def __init__(self, job_id: _Optional[str] = ..., command: _Optional[_Union[CommandSpec, _Mapping]] = ..., env: _Optional[_Mapping[str, str]] = ..., inputs: _Optional[_Iterable[_Union[ArtifactInput, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[ArtifactOutput, _Mapping]]] = ..., timeout_ms: _Optional[int] = ..., working_dir: _Optional[str] = ..., stdin: _Optional[str] = ..., secrets_json: _Optional[str] = ..., attempt: _Optional[int] = ..., token: _Optional[int] = ..., options: _Optional[_Union[RunOptions, _Mapping]] = ...) -> None: ...

class CommandSpec(_message.Message):
    __slots__ = ("shell", "script")
    SHELL_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    shell: ShellCommand
    script: ScriptCommand
    def __init__(self, shell: _Optional[_Union[ShellCommand, _Mapping]] = ..., script: _Optional[_Union[ScriptCommand, _Mapping]] = ...) -> None: ...

class ShellCommand(_message.Message):
    __slots__ = ("cmd", "args")
    CMD_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    cmd: str
    args: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cmd: _Optional[str] = ..., args: _Optional[_Iterable[str]] = ...) -> None: ...

class ScriptCommand(_message.Message):
    __slots__ = ("interpreter", "content")
    INTERPRETER_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    interpreter: str
    content: str
    def __init__(self, interpreter: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class ArtifactInput(_message.Message):
    __slots__ = ("url", "dest_path")
    URL_FIELD_NUMBER: _ClassVar[int]
    DEST_PATH_FIELD_NUMBER: _ClassVar[int]
    url: str
    dest_path: str
    def __init__(self, url: _Optional[str] = ..., dest_path: _Optional[str] = ...) -> None: ...

class ArtifactOutput(_message.Message):
    __slots__ = ("src_path", "url")
    SRC_PATH_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    src_path: str
    url: str
    def __init__(self, src_path: _Optional[str] = ..., url: _Optional[str] = ...) -> None: ...

class CancelJobCommand(_message.Message):
    __slots__ = ("job_id", "force", "attempt", "reason_code")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    force: bool
    attempt: int
    reason_code: str
    def __init__(self, job_id: _Optional[str] = ..., force: _Optional[bool] = ..., attempt: _Optional[int] = ..., reason_code: _Optional[str] = ...) -> None: ...

class AckMessage(_message.Message):
    __slots__ = ("message_id", "success", "worker_id")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    success: bool
    worker_id: str
    def __init__(self, message_id: _Optional[str] = ..., success: _Optional[bool] = ..., worker_id: _Optional[str] = ...) -> None: ...

class KeepAliveMessage(_message.Message):
    __slots__ = ("timestamp",)
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UpdateWorkerStatusRequest(_message.Message):
    __slots__ = ("worker_id", "status", "usage", "active_jobs", "running_job_ids")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_JOBS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    worker_id: WorkerId
    status: WorkerStatus
    usage: ResourceUsage
    active_jobs: int
    running_job_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker_id: _Optional[_Union[WorkerId, _Mapping]] = ..., status: _Optional[_Union[WorkerStatus, str]] = ..., usage: _Optional[_Union[ResourceUsage, _Mapping]] = ..., active_jobs: _Optional[int] = ..., running_job_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateWorkerStatusResponse(_message.Message):
    __slots__ = ("success", "message", "timestamp")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UnregisterWorkerRequest(_message.Message):
    __slots__ = ("worker_id", "force", "reason")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    worker_id: WorkerId
    force: bool
    reason: str
    def __init__(self, worker_id: _Optional[_Union[WorkerId, _Mapping]] = ..., force: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class UnregisterWorkerResponse(_message.Message):
    __slots__ = ("success", "message", "jobs_migrated")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    JOBS_MIGRATED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    jobs_migrated: int
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ..., jobs_migrated: _Optional[int] = ...) -> None: ...

class JobDefinition(_message.Message):
    __slots__ = ("job_id", "name", "description", "command", "arguments", "environment", "requirements", "scheduling", "selector", "tolerations", "timeout", "tags", "script", "working_dir", "stdin", "retry", "labels", "image", "arguments_raw", "priority_set", "secrets", "disconnect_timeout", "namespace", "array", "concurrency_group", "log_policy", "container")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULING_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    TOLERATIONS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_RAW_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_SET_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_GROUP_FIELD_NUMBER: _ClassVar[int]
    LOG_POLICY_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    name: str
    description: str
    command: str
    arguments: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.ScalarMap[str, str]
    requirements: ResourceRequirements
    scheduling: SchedulingInfo
    selector: LabelSelector
    tolerations: _containers.RepeatedCompositeFieldContainer[Toleration]
    timeout: TimeoutConfig
    tags: _containers.RepeatedScalarFieldContainer[str]
    script: ScriptCommand
    working_dir: str
    stdin: bytes
    retry: RetryPolicy
    labels: _containers.ScalarMap[str, str]
    image: str
    arguments_raw: _containers.RepeatedScalarFieldContainer[bytes]
    priority_set: bool
    secrets: JobSecrets
    disconnect_timeout: _duration_pb2.Duration
    namespace: str
    array: JobArray
    concurrency_group: str
    log_policy: LogPolicy
    container: ContainerOptions
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., command: _Optional[str] = ..., arguments: _Optional[_Iterable[str]] = ..., environment: _Optional[_Mapping[str, str]] = ..., requirements: _Optional[_Union[ResourceRequirements, _Mapping]] = ..., scheduling: _Optional[_Union[SchedulingInfo, _Mapping]] = ..., selector: _Optional[_Union[LabelSelector, _Mapping]] = ..., tolerations: _Optional[_Iterable[_Union[Toleration, _Mapping]]] = ..., timeout: _Optional[_Union[TimeoutConfig, _Mapping]] = ..., tags: _Optional[_Iterable[str]] = ..., script: _Optional[_Union[ScriptCommand, _Mapping]] = ..., working_dir: _Optional[str] = ..., stdin: _Optional[bytes] = ..., retry: _Optional[_Union[RetryPolicy, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., image: _Optional[str] = ..., arguments_raw: _Optional[_Iterable[bytes]] = ..., priority_set: _Optional[bool] = ..., secrets: _Optional[_Union[JobSecrets, _Mapping]] = ..., disconnect_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., namespace: _Optional[str] = ..., array: _Optional[_Union[JobArray, _Mapping]] = ..., concurrency_group: _Optional[str] = ..., log_policy: _Optional[_Union[LogPolicy, str]] = ..., container: _Optional[_Union[ContainerOptions, _Mapping]] = ...) -> None: ...

class ContainerOptions(_message.Message):
    __slots__ = ("pull", "pids_limit", "shm_bytes", "tmpfs", "mounts", "network", "extra_hosts", "user", "cap_add", "read_only", "platform", "runtime")
    PULL_FIELD_NUMBER: _ClassVar[int]
    PIDS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    SHM_BYTES_FIELD_NUMBER: _ClassVar[int]
    TMPFS_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    EXTRA_HOSTS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CAP_ADD_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    pull: str
    pids_limit: int
    shm_bytes: int
    tmpfs: _containers.RepeatedScalarFieldContainer[str]
    mounts: _containers.RepeatedCompositeFieldContainer[ContainerMount]
    network: str
    extra_hosts: _containers.RepeatedScalarFieldContainer[str]
    user: str
    cap_add: _containers.RepeatedScalarFieldContainer[str]
    read_only: bool
    platform: str
    runtime: str
    def __init__(self, pull: _Optional[str] = ..., pids_limit: _Optional[int] = ..., shm_bytes: _Optional[int] = ..., tmpfs: _Optional[_Iterable[str]] = ..., mounts: _Optional[_Iterable[_Union[ContainerMount, _Mapping]]] = ..., network: _Optional[str] = ..., extra_hosts: _Optional[_Iterable[str]] = ..., user: _Optional[str] = ..., cap_add: _Optional[_Iterable[str]] = ..., read_only: _Optional[bool] = ..., platform: _Optional[str] = ..., runtime: _Optional[str] = ...) -> None: ...

class ContainerMount(_message.Message):
    __slots__ = ("source", "target", "read_only")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    source: str
    target: str
    read_only: bool
    def __init__(self, source: _Optional[str] = ..., target: _Optional[str] = ..., read_only: _Optional[bool] = ...) -> None: ...

class JobExecution(_message.Message):
    __slots__ = ("execution_id", "job_id", "worker_id", "state", "job_status", "start_time", "end_time", "retry_count", "exit_code", "error_message", "metadata", "attempt", "exit_status", "signal", "reason", "phases", "position", "attempt_state", "usage")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    JOB_STATUS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RETRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_STATE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    execution_id: ExecutionId
    job_id: JobId
    worker_id: WorkerId
    state: ExecutionState
    job_status: JobStatus
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    retry_count: int
    exit_code: str
    error_message: str
    metadata: _containers.ScalarMap[str, str]
    attempt: int
    exit_status: int
    signal: int
    reason: Reason
    phases: AttemptPhases
    position: str
    attempt_state: str
    usage: JobUsage
    def __init__(self, execution_id: _Optional[_Union[ExecutionId, _Mapping]] = ..., job_id: _Optional[_Union[JobId, _Mapping]] = ..., worker_id: _Optional[_Union[WorkerId, _Mapping]] = ..., state: _Optional[_Union[ExecutionState, str]] = ..., job_status: _Optional[_Union[JobStatus, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retry_count: _Optional[int] = ..., exit_code: _Optional[str] = ..., error_message: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., attempt: _Optional[int] = ..., exit_status: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ..., phases: _Optional[_Union[AttemptPhases, _Mapping]] = ..., position: _Optional[str] = ..., attempt_state: _Optional[str] = ..., usage: _Optional[_Union[JobUsage, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job", "status", "executions", "detail")
    JOB_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    job: JobDefinition
    status: JobStatus
    executions: _containers.RepeatedCompositeFieldContainer[JobExecution]
    detail: JobDetail
    def __init__(self, job: _Optional[_Union[JobDefinition, _Mapping]] = ..., status: _Optional[_Union[JobStatus, str]] = ..., executions: _Optional[_Iterable[_Union[JobExecution, _Mapping]]] = ..., detail: _Optional[_Union[JobDetail, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("limit", "offset", "status", "search_term", "page_size", "page_token", "statuses", "name", "labels", "tags", "created_after", "created_before")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_TERM_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    limit: int
    offset: int
    status: JobStatus
    search_term: str
    page_size: int
    page_token: str
    statuses: _containers.RepeatedScalarFieldContainer[JobStatus]
    name: str
    labels: _containers.ScalarMap[str, str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    def __init__(self, limit: _Optional[int] = ..., offset: _Optional[int] = ..., status: _Optional[_Union[JobStatus, str]] = ..., search_term: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[JobStatus, str]]] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., tags: _Optional[_Iterable[str]] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "total_count", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobSummary]
    total_count: int
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobSummary, _Mapping]]] = ..., total_count: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class JobSummary(_message.Message):
    __slots__ = ("job_id", "name", "status", "created_at", "started_at", "completed_at", "duration", "progress_percentage", "detail")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    name: str
    status: JobStatus
    created_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    duration: _duration_pb2.Duration
    progress_percentage: int
    detail: JobDetail
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ..., name: _Optional[str] = ..., status: _Optional[_Union[JobStatus, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., progress_percentage: _Optional[int] = ..., detail: _Optional[_Union[JobDetail, _Mapping]] = ...) -> None: ...

class QueueJobRequest(_message.Message):
    __slots__ = ("job_definition", "queued_by")
    JOB_DEFINITION_FIELD_NUMBER: _ClassVar[int]
    QUEUED_BY_FIELD_NUMBER: _ClassVar[int]
    job_definition: JobDefinition
    queued_by: str
    def __init__(self, job_definition: _Optional[_Union[JobDefinition, _Mapping]] = ..., queued_by: _Optional[str] = ...) -> None: ...

class QueueJobResponse(_message.Message):
    __slots__ = ("success", "message", "queued_at", "job_id", "already_existed")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ALREADY_EXISTED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    queued_at: _timestamp_pb2.Timestamp
    job_id: JobId
    already_existed: bool
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ..., queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job_id: _Optional[_Union[JobId, _Mapping]] = ..., already_existed: _Optional[bool] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("execution_id", "job_id", "reason", "cancelled_by")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_BY_FIELD_NUMBER: _ClassVar[int]
    execution_id: ExecutionId
    job_id: JobId
    reason: str
    cancelled_by: str
    def __init__(self, execution_id: _Optional[_Union[ExecutionId, _Mapping]] = ..., job_id: _Optional[_Union[JobId, _Mapping]] = ..., reason: _Optional[str] = ..., cancelled_by: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("success", "message", "cancelled_at")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_AT_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    cancelled_at: _timestamp_pb2.Timestamp
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ..., cancelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SubscribeLogsRequest(_message.Message):
    __slots__ = ("job_id", "include_history", "tail_lines", "follow", "attempt", "stdout_offset", "stderr_offset", "after_sequence", "raw")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_HISTORY_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    STDERR_OFFSET_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    include_history: bool
    tail_lines: int
    follow: bool
    attempt: int
    stdout_offset: int
    stderr_offset: int
    after_sequence: int
    raw: bool
    def __init__(self, job_id: _Optional[str] = ..., include_history: _Optional[bool] = ..., tail_lines: _Optional[int] = ..., follow: _Optional[bool] = ..., attempt: _Optional[int] = ..., stdout_offset: _Optional[int] = ..., stderr_offset: _Optional[int] = ..., after_sequence: _Optional[int] = ..., raw: _Optional[bool] = ...) -> None: ...

class JobLogEntry(_message.Message):
    __slots__ = ("job_id", "line", "is_stderr", "timestamp", "sequence", "data", "offset", "attempt")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    IS_STDERR_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    line: str
    is_stderr: bool
    timestamp: _timestamp_pb2.Timestamp
    sequence: int
    data: bytes
    offset: int
    attempt: int
    def __init__(self, job_id: _Optional[str] = ..., line: _Optional[str] = ..., is_stderr: _Optional[bool] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sequence: _Optional[int] = ..., data: _Optional[bytes] = ..., offset: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class GetLogsRequest(_message.Message):
    __slots__ = ("job_id", "limit", "since_sequence", "attempt", "raw")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SINCE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    limit: int
    since_sequence: int
    attempt: int
    raw: bool
    def __init__(self, job_id: _Optional[str] = ..., limit: _Optional[int] = ..., since_sequence: _Optional[int] = ..., attempt: _Optional[int] = ..., raw: _Optional[bool] = ...) -> None: ...

class GetLogsResponse(_message.Message):
    __slots__ = ("entries", "has_more")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[JobLogEntry]
    has_more: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[JobLogEntry, _Mapping]]] = ..., has_more: _Optional[bool] = ...) -> None: ...

class RetryPolicy(_message.Message):
    __slots__ = ("max_attempts", "initial_backoff", "backoff_factor", "max_backoff", "jitter", "retry_on")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FACTOR_FIELD_NUMBER: _ClassVar[int]
    MAX_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    RETRY_ON_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    initial_backoff: _duration_pb2.Duration
    backoff_factor: float
    max_backoff: _duration_pb2.Duration
    jitter: float
    retry_on: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, max_attempts: _Optional[int] = ..., initial_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., backoff_factor: _Optional[float] = ..., max_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., jitter: _Optional[float] = ..., retry_on: _Optional[_Iterable[str]] = ...) -> None: ...

class JobSecrets(_message.Message):
    __slots__ = ("names", "delivery")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    delivery: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., delivery: _Optional[str] = ...) -> None: ...

class JobArray(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "message", "advice")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    advice: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., advice: _Optional[str] = ...) -> None: ...

class AttemptPhases(_message.Message):
    __slots__ = ("queued_at", "assigned_at", "started_at", "finished_at")
    QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    queued_at: _timestamp_pb2.Timestamp
    assigned_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    def __init__(self, queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., assigned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class JobDetail(_message.Message):
    __slots__ = ("state", "exit_code", "reason", "pending_reason", "created_at", "finished_at", "attempts", "queued_by", "labels", "tags", "priority", "position")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PENDING_REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_BY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    state: str
    exit_code: int
    reason: Reason
    pending_reason: str
    created_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    attempts: _containers.RepeatedCompositeFieldContainer[JobExecution]
    queued_by: str
    labels: _containers.ScalarMap[str, str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    priority: str
    position: str
    def __init__(self, state: _Optional[str] = ..., exit_code: _Optional[int] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ..., pending_reason: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[JobExecution, _Mapping]]] = ..., queued_by: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., tags: _Optional[_Iterable[str]] = ..., priority: _Optional[str] = ..., position: _Optional[str] = ...) -> None: ...

class QueueJobsRequest(_message.Message):
    __slots__ = ("job_definitions", "queued_by")
    JOB_DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_BY_FIELD_NUMBER: _ClassVar[int]
    job_definitions: _containers.RepeatedCompositeFieldContainer[JobDefinition]
    queued_by: str
    def __init__(self, job_definitions: _Optional[_Iterable[_Union[JobDefinition, _Mapping]]] = ..., queued_by: _Optional[str] = ...) -> None: ...

class QueuedJob(_message.Message):
    __slots__ = ("job_id", "already_existed")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ALREADY_EXISTED_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    already_existed: bool
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ..., already_existed: _Optional[bool] = ...) -> None: ...

class QueueJobsResponse(_message.Message):
    __slots__ = ("jobs", "queued_at")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[QueuedJob]
    queued_at: _timestamp_pb2.Timestamp
    def __init__(self, jobs: _Optional[_Iterable[_Union[QueuedJob, _Mapping]]] = ..., queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RetryJobRequest(_message.Message):
    __slots__ = ("job_id", "requested_by")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    requested_by: str
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ..., requested_by: _Optional[str] = ...) -> None: ...

class RetryJobResponse(_message.Message):
    __slots__ = ("job_id", "attempt")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    attempt: int
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class StreamJobEventsRequest(_message.Message):
    __slots__ = ("job_id", "after_position", "follow", "include_workers", "packed")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    after_position: str
    follow: bool
    include_workers: bool
    packed: bool
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ..., after_position: _Optional[str] = ..., follow: _Optional[bool] = ..., include_workers: _Optional[bool] = ..., packed: _Optional[bool] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("position", "type", "at", "job_id", "worker_id", "attempt", "state", "reason", "details", "correlation_id", "more")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    position: str
    type: str
    at: _timestamp_pb2.Timestamp
    job_id: str
    worker_id: str
    attempt: int
    state: str
    reason: Reason
    details: _containers.ScalarMap[str, str]
    correlation_id: str
    more: _containers.RepeatedCompositeFieldContainer[JobEvent]
    def __init__(self, position: _Optional[str] = ..., type: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job_id: _Optional[str] = ..., worker_id: _Optional[str] = ..., attempt: _Optional[int] = ..., state: _Optional[str] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ..., details: _Optional[_Mapping[str, str]] = ..., correlation_id: _Optional[str] = ..., more: _Optional[_Iterable[_Union[JobEvent, _Mapping]]] = ...) -> None: ...

class RenewCertificateRequest(_message.Message):
    __slots__ = ("csr_der",)
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    csr_der: bytes
    def __init__(self, csr_der: _Optional[bytes] = ...) -> None: ...

class RenewCertificateResponse(_message.Message):
    __slots__ = ("chain_pem", "ca_bundle_pem")
    CHAIN_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_BUNDLE_PEM_FIELD_NUMBER: _ClassVar[int]
    chain_pem: str
    ca_bundle_pem: str
    def __init__(self, chain_pem: _Optional[str] = ..., ca_bundle_pem: _Optional[str] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("job_id", "attempt", "stream", "offset", "data", "time")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    stream: LogStream
    offset: int
    data: bytes
    time: _timestamp_pb2.Timestamp
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., stream: _Optional[_Union[LogStream, str]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StreamOffset(_message.Message):
    __slots__ = ("stream", "offset")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    stream: LogStream
    offset: int
    def __init__(self, stream: _Optional[_Union[LogStream, str]] = ..., offset: _Optional[int] = ...) -> None: ...

class LogAck(_message.Message):
    __slots__ = ("job_id", "attempt", "stream", "offset")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    stream: LogStream
    offset: int
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., stream: _Optional[_Union[LogStream, str]] = ..., offset: _Optional[int] = ...) -> None: ...

class LogAcks(_message.Message):
    __slots__ = ("acks",)
    ACKS_FIELD_NUMBER: _ClassVar[int]
    acks: _containers.RepeatedCompositeFieldContainer[LogAck]
    def __init__(self, acks: _Optional[_Iterable[_Union[LogAck, _Mapping]]] = ...) -> None: ...

class HeldJob(_message.Message):
    __slots__ = ("job_id", "attempt", "token", "sent", "acknowledged", "result", "started")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    token: int
    sent: _containers.RepeatedCompositeFieldContainer[StreamOffset]
    acknowledged: _containers.RepeatedCompositeFieldContainer[StreamOffset]
    result: JobResultMessage
    started: bool
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., token: _Optional[int] = ..., sent: _Optional[_Iterable[_Union[StreamOffset, _Mapping]]] = ..., acknowledged: _Optional[_Iterable[_Union[StreamOffset, _Mapping]]] = ..., result: _Optional[_Union[JobResultMessage, _Mapping]] = ..., started: _Optional[bool] = ...) -> None: ...

class WorkerHello(_message.Message):
    __slots__ = ("worker_id", "session_epoch", "agent_version", "slots", "held", "info")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    session_epoch: int
    agent_version: str
    slots: int
    held: _containers.RepeatedCompositeFieldContainer[HeldJob]
    info: WorkerInfo
    def __init__(self, worker_id: _Optional[str] = ..., session_epoch: _Optional[int] = ..., agent_version: _Optional[str] = ..., slots: _Optional[int] = ..., held: _Optional[_Iterable[_Union[HeldJob, _Mapping]]] = ..., info: _Optional[_Union[WorkerInfo, _Mapping]] = ...) -> None: ...

class HeldVerdict(_message.Message):
    __slots__ = ("job_id", "attempt", "keep", "stored")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    keep: bool
    stored: _containers.RepeatedCompositeFieldContainer[StreamOffset]
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., keep: _Optional[bool] = ..., stored: _Optional[_Iterable[_Union[StreamOffset, _Mapping]]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_epoch", "verdicts", "heartbeat_interval", "lease", "server_version")
    SESSION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    session_epoch: int
    verdicts: _containers.RepeatedCompositeFieldContainer[HeldVerdict]
    heartbeat_interval: _duration_pb2.Duration
    lease: _duration_pb2.Duration
    server_version: str
    def __init__(self, session_epoch: _Optional[int] = ..., verdicts: _Optional[_Iterable[_Union[HeldVerdict, _Mapping]]] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., server_version: _Optional[str] = ...) -> None: ...

class JobStarted(_message.Message):
    __slots__ = ("job_id", "attempt", "token", "started_at", "pid")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    token: int
    started_at: _timestamp_pb2.Timestamp
    pid: int
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., token: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pid: _Optional[int] = ...) -> None: ...

class WorkerMessageBatch(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[WorkerMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[WorkerMessage, _Mapping]]] = ...) -> None: ...

class ServerMessageBatch(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ServerMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[ServerMessage, _Mapping]]] = ...) -> None: ...

class Servers(_message.Message):
    __slots__ = ("worker_addresses",)
    WORKER_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    worker_addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker_addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class ResultAck(_message.Message):
    __slots__ = ("job_id", "attempt", "recorded")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    recorded: bool
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., recorded: _Optional[bool] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("reconnect_after", "terminate")
    RECONNECT_AFTER_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_FIELD_NUMBER: _ClassVar[int]
    reconnect_after: _duration_pb2.Duration
    terminate: bool
    def __init__(self, reconnect_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., terminate: _Optional[bool] = ...) -> None: ...

class RunOptions(_message.Message):
    __slots__ = ("arguments_raw", "stdin", "has_stdin", "grace", "disconnect_timeout", "log_policy", "requirements")
    ARGUMENTS_RAW_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    HAS_STDIN_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    LOG_POLICY_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    arguments_raw: _containers.RepeatedScalarFieldContainer[bytes]
    stdin: bytes
    has_stdin: bool
    grace: _duration_pb2.Duration
    disconnect_timeout: _duration_pb2.Duration
    log_policy: LogPolicy
    requirements: ResourceRequirements
    def __init__(self, arguments_raw: _Optional[_Iterable[bytes]] = ..., stdin: _Optional[bytes] = ..., has_stdin: _Optional[bool] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., disconnect_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., log_policy: _Optional[_Union[LogPolicy, str]] = ..., requirements: _Optional[_Union[ResourceRequirements, _Mapping]] = ...) -> None: ...

class JobUsage(_message.Message):
    __slots__ = ("user_cpu_s", "system_cpu_s", "max_rss_bytes")
    USER_CPU_S_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_CPU_S_FIELD_NUMBER: _ClassVar[int]
    MAX_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    user_cpu_s: float
    system_cpu_s: float
    max_rss_bytes: int
    def __init__(self, user_cpu_s: _Optional[float] = ..., system_cpu_s: _Optional[float] = ..., max_rss_bytes: _Optional[int] = ...) -> None: ...

class WorkerResource(_message.Message):
    __slots__ = ("id", "name", "provider", "state", "slots", "slots_used", "pid", "labels", "capacity", "created_at", "last_heartbeat_at", "job_ids", "agent_version", "reason", "usage", "connected")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_USED_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARTBEAT_AT_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    provider: str
    state: str
    slots: int
    slots_used: int
    pid: int
    labels: _containers.ScalarMap[str, str]
    capacity: ResourceCapacity
    created_at: _timestamp_pb2.Timestamp
    last_heartbeat_at: _timestamp_pb2.Timestamp
    job_ids: _containers.RepeatedScalarFieldContainer[str]
    agent_version: str
    reason: Reason
    usage: ResourceUsageMessage
    connected: bool
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., provider: _Optional[str] = ..., state: _Optional[str] = ..., slots: _Optional[int] = ..., slots_used: _Optional[int] = ..., pid: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., capacity: _Optional[_Union[ResourceCapacity, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_heartbeat_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job_ids: _Optional[_Iterable[str]] = ..., agent_version: _Optional[str] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ..., usage: _Optional[_Union[ResourceUsageMessage, _Mapping]] = ..., connected: _Optional[bool] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("include_ended", "page_size", "page_token")
    INCLUDE_ENDED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    include_ended: bool
    page_size: int
    page_token: str
    def __init__(self, include_ended: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "next_page_token")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerResource]
    next_page_token: str
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerResource, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class GetWorkerResponse(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: WorkerResource
    def __init__(self, worker: _Optional[_Union[WorkerResource, _Mapping]] = ...) -> None: ...

class DrainWorkerRequest(_message.Message):
    __slots__ = ("worker_id", "requested_by")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    requested_by: str
    def __init__(self, worker_id: _Optional[str] = ..., requested_by: _Optional[str] = ...) -> None: ...

class DrainWorkerResponse(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: WorkerResource
    def __init__(self, worker: _Optional[_Union[WorkerResource, _Mapping]] = ...) -> None: ...

class InviteWorkerRequest(_message.Message):
    __slots__ = ("name", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class InviteWorkerResponse(_message.Message):
    __slots__ = ("worker_id", "enroll_address", "worker_address", "ca_fingerprint", "otp", "expires_at")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    ENROLL_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CA_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    OTP_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    enroll_address: str
    worker_address: str
    ca_fingerprint: str
    otp: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, worker_id: _Optional[str] = ..., enroll_address: _Optional[str] = ..., worker_address: _Optional[str] = ..., ca_fingerprint: _Optional[str] = ..., otp: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CleanUpWorkersRequest(_message.Message):
    __slots__ = ("provider", "dry_run")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    provider: str
    dry_run: bool
    def __init__(self, provider: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class CleanUpWorkersResponse(_message.Message):
    __slots__ = ("orphans",)
    ORPHANS_FIELD_NUMBER: _ClassVar[int]
    orphans: _containers.RepeatedCompositeFieldContainer[OrphanResource]
    def __init__(self, orphans: _Optional[_Iterable[_Union[OrphanResource, _Mapping]]] = ...) -> None: ...

class OrphanResource(_message.Message):
    __slots__ = ("provider", "worker_id", "instance", "removed", "message")
    class InstanceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    provider: str
    worker_id: str
    instance: _containers.ScalarMap[str, str]
    removed: bool
    message: str
    def __init__(self, provider: _Optional[str] = ..., worker_id: _Optional[str] = ..., instance: _Optional[_Mapping[str, str]] = ..., removed: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "cluster_id", "started_at", "providers", "position", "counters")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    version: str
    cluster_id: str
    started_at: _timestamp_pb2.Timestamp
    providers: _containers.RepeatedScalarFieldContainer[str]
    position: str
    counters: _containers.ScalarMap[str, int]
    def __init__(self, version: _Optional[str] = ..., cluster_id: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., providers: _Optional[_Iterable[str]] = ..., position: _Optional[str] = ..., counters: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ListServersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListServersResponse(_message.Message):
    __slots__ = ("servers",)
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    servers: _containers.RepeatedCompositeFieldContainer[ServerResource]
    def __init__(self, servers: _Optional[_Iterable[_Union[ServerResource, _Mapping]]] = ...) -> None: ...

class ServerResource(_message.Message):
    __slots__ = ("id", "name", "state", "version", "address", "worker_address", "enroll_address", "started_at", "heartbeat_at", "ended_at", "streams", "duties", "is_self")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ENROLL_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    DUTIES_FIELD_NUMBER: _ClassVar[int]
    IS_SELF_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    state: ServerState
    version: str
    address: str
    worker_address: str
    enroll_address: str
    started_at: _timestamp_pb2.Timestamp
    heartbeat_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    streams: int
    duties: _containers.RepeatedScalarFieldContainer[str]
    is_self: bool
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[ServerState, str]] = ..., version: _Optional[str] = ..., address: _Optional[str] = ..., worker_address: _Optional[str] = ..., enroll_address: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., heartbeat_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., streams: _Optional[int] = ..., duties: _Optional[_Iterable[str]] = ..., is_self: _Optional[bool] = ...) -> None: ...

class WorkflowRun(_message.Message):
    __slots__ = ("run_id", "namespace", "workflow_id", "type", "definition_version", "status", "started_at", "closed_at", "events", "history_bytes", "parked", "result_json", "failure", "shard")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    namespace: str
    workflow_id: str
    type: str
    definition_version: int
    status: str
    started_at: _timestamp_pb2.Timestamp
    closed_at: _timestamp_pb2.Timestamp
    events: int
    history_bytes: int
    parked: WorkflowParked
    result_json: str
    failure: str
    shard: int
    def __init__(self, run_id: _Optional[str] = ..., namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., type: _Optional[str] = ..., definition_version: _Optional[int] = ..., status: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[int] = ..., history_bytes: _Optional[int] = ..., parked: _Optional[_Union[WorkflowParked, _Mapping]] = ..., result_json: _Optional[str] = ..., failure: _Optional[str] = ..., shard: _Optional[int] = ...) -> None: ...

class WorkflowParked(_message.Message):
    __slots__ = ("reason", "message", "since", "tried_again_at")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    TRIED_AGAIN_AT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    since: _timestamp_pb2.Timestamp
    tried_again_at: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tried_again_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkflowEvent(_message.Message):
    __slots__ = ("seq", "at", "kind", "is_command", "summary", "details_json")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    IS_COMMAND_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    DETAILS_JSON_FIELD_NUMBER: _ClassVar[int]
    seq: int
    at: _timestamp_pb2.Timestamp
    kind: str
    is_command: bool
    summary: str
    details_json: str
    def __init__(self, seq: _Optional[int] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[str] = ..., is_command: _Optional[bool] = ..., summary: _Optional[str] = ..., details_json: _Optional[str] = ...) -> None: ...

class ListWorkflowsRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "type", "statuses", "only_parked", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    ONLY_PARKED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    type: str
    statuses: _containers.RepeatedScalarFieldContainer[str]
    only_parked: bool
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., type: _Optional[str] = ..., statuses: _Optional[_Iterable[str]] = ..., only_parked: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkflowsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[WorkflowRun]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[WorkflowRun, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetWorkflowRequest(_message.Message):
    __slots__ = ("run", "namespace")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    run: str
    namespace: str
    def __init__(self, run: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class GetWorkflowResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: WorkflowRun
    def __init__(self, run: _Optional[_Union[WorkflowRun, _Mapping]] = ...) -> None: ...

class GetWorkflowHistoryRequest(_message.Message):
    __slots__ = ("run", "namespace", "after_seq", "page_size")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    run: str
    namespace: str
    after_seq: int
    page_size: int
    def __init__(self, run: _Optional[str] = ..., namespace: _Optional[str] = ..., after_seq: _Optional[int] = ..., page_size: _Optional[int] = ...) -> None: ...

class GetWorkflowHistoryResponse(_message.Message):
    __slots__ = ("events", "has_more")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[WorkflowEvent]
    has_more: bool
    def __init__(self, events: _Optional[_Iterable[_Union[WorkflowEvent, _Mapping]]] = ..., has_more: _Optional[bool] = ...) -> None: ...

class SignalWorkflowRequest(_message.Message):
    __slots__ = ("run", "namespace", "name", "arguments_json", "request_id", "requested_by")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    run: str
    namespace: str
    name: str
    arguments_json: str
    request_id: str
    requested_by: str
    def __init__(self, run: _Optional[str] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., arguments_json: _Optional[str] = ..., request_id: _Optional[str] = ..., requested_by: _Optional[str] = ...) -> None: ...

class SignalWorkflowResponse(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class CancelWorkflowRequest(_message.Message):
    __slots__ = ("run", "namespace", "reason", "request_id", "requested_by")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    run: str
    namespace: str
    reason: str
    request_id: str
    requested_by: str
    def __init__(self, run: _Optional[str] = ..., namespace: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., requested_by: _Optional[str] = ...) -> None: ...

class CancelWorkflowResponse(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class RetryWorkflowStepRequest(_message.Message):
    __slots__ = ("run", "namespace", "note", "requested_by")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    run: str
    namespace: str
    note: str
    requested_by: str
    def __init__(self, run: _Optional[str] = ..., namespace: _Optional[str] = ..., note: _Optional[str] = ..., requested_by: _Optional[str] = ...) -> None: ...

class RetryWorkflowStepResponse(_message.Message):
    __slots__ = ("run_id", "step")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    step: str
    def __init__(self, run_id: _Optional[str] = ..., step: _Optional[str] = ...) -> None: ...

class SkipWorkflowStepRequest(_message.Message):
    __slots__ = ("run", "namespace", "note", "requested_by")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    run: str
    namespace: str
    note: str
    requested_by: str
    def __init__(self, run: _Optional[str] = ..., namespace: _Optional[str] = ..., note: _Optional[str] = ..., requested_by: _Optional[str] = ...) -> None: ...

class SkipWorkflowStepResponse(_message.Message):
    __slots__ = ("run_id", "step")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    step: str
    def __init__(self, run_id: _Optional[str] = ..., step: _Optional[str] = ...) -> None: ...

class ReplayWorkflowRequest(_message.Message):
    __slots__ = ("run", "namespace")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    run: str
    namespace: str
    def __init__(self, run: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class ReplayWorkflowResponse(_message.Message):
    __slots__ = ("run_id", "difference")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    difference: str
    def __init__(self, run_id: _Optional[str] = ..., difference: _Optional[str] = ...) -> None: ...

class ExplainJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ...) -> None: ...

class ExplainJobResponse(_message.Message):
    __slots__ = ("job_id", "state", "summary", "candidates", "attempts")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    job_id: JobId
    state: str
    summary: str
    candidates: _containers.RepeatedCompositeFieldContainer[PlacementCandidate]
    attempts: _containers.RepeatedCompositeFieldContainer[JobExecution]
    def __init__(self, job_id: _Optional[_Union[JobId, _Mapping]] = ..., state: _Optional[str] = ..., summary: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[PlacementCandidate, _Mapping]]] = ..., attempts: _Optional[_Iterable[_Union[JobExecution, _Mapping]]] = ...) -> None: ...

class PlacementCandidate(_message.Message):
    __slots__ = ("kind", "name", "provider", "misfits", "now")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MISFITS_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    kind: CandidateKind
    name: str
    provider: str
    misfits: _containers.RepeatedScalarFieldContainer[str]
    now: str
    def __init__(self, kind: _Optional[_Union[CandidateKind, str]] = ..., name: _Optional[str] = ..., provider: _Optional[str] = ..., misfits: _Optional[_Iterable[str]] = ..., now: _Optional[str] = ...) -> None: ...
