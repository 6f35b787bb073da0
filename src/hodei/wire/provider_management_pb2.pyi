import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProviderType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROVIDER_TYPE_UNSPECIFIED: _ClassVar[ProviderType]
    PROVIDER_TYPE_DOCKER: _ClassVar[ProviderType]
    PROVIDER_TYPE_KUBERNETES: _ClassVar[ProviderType]
    PROVIDER_TYPE_FARGATE: _ClassVar[ProviderType]
    PROVIDER_TYPE_CLOUD_RUN: _ClassVar[ProviderType]
    PROVIDER_TYPE_CONTAINER_APPS: _ClassVar[ProviderType]
    PROVIDER_TYPE_LAMBDA: _ClassVar[ProviderType]
    PROVIDER_TYPE_CLOUD_FUNCTIONS: _ClassVar[ProviderType]
    PROVIDER_TYPE_AZURE_FUNCTIONS: _ClassVar[ProviderType]
    PROVIDER_TYPE_EC2: _ClassVar[ProviderType]
    PROVIDER_TYPE_COMPUTE_ENGINE: _ClassVar[ProviderType]
    PROVIDER_TYPE_AZURE_VMS: _ClassVar[ProviderType]
    PROVIDER_TYPE_TEST: _ClassVar[ProviderType]
    PROVIDER_TYPE_BARE_METAL: _ClassVar[ProviderType]
    PROVIDER_TYPE_CUSTOM: _ClassVar[ProviderType]
    PROVIDER_TYPE_LOCAL: _ClassVar[ProviderType]

class ProviderStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROVIDER_STATUS_UNSPECIFIED: _ClassVar[ProviderStatus]
    PROVIDER_STATUS_ACTIVE: _ClassVar[ProviderStatus]
    PROVIDER_STATUS_MAINTENANCE: _ClassVar[ProviderStatus]
    PROVIDER_STATUS_DISABLED: _ClassVar[ProviderStatus]
    PROVIDER_STATUS_OVERLOADED: _ClassVar[ProviderStatus]
    PROVIDER_STATUS_UNHEALTHY: _ClassVar[ProviderStatus]
    PROVIDER_STATUS_DEGRADED: _ClassVar[ProviderStatus]

class CircuitState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CIRCUIT_STATE_UNSPECIFIED: _ClassVar[CircuitState]
    CIRCUIT_STATE_CLOSED: _ClassVar[CircuitState]
    CIRCUIT_STATE_OPEN: _ClassVar[CircuitState]
    CIRCUIT_STATE_HALF_OPEN: _ClassVar[CircuitState]
PROVIDER_TYPE_UNSPECIFIED: ProviderType
PROVIDER_TYPE_DOCKER: ProviderType
PROVIDER_TYPE_KUBERNETES: ProviderType
PROVIDER_TYPE_FARGATE: ProviderType
PROVIDER_TYPE_CLOUD_RUN: ProviderType
PROVIDER_TYPE_CONTAINER_APPS: ProviderType
PROVIDER_TYPE_LAMBDA: ProviderType
PROVIDER_TYPE_CLOUD_FUNCTIONS: ProviderType
PROVIDER_TYPE_AZURE_FUNCTIONS: ProviderType
PROVIDER_TYPE_EC2: ProviderType
PROVIDER_TYPE_COMPUTE_ENGINE: ProviderType
PROVIDER_TYPE_AZURE_VMS: ProviderType
PROVIDER_TYPE_TEST: ProviderType
PROVIDER_TYPE_BARE_METAL: ProviderType
PROVIDER_TYPE_CUSTOM: ProviderType
PROVIDER_TYPE_LOCAL: ProviderType
PROVIDER_STATUS_UNSPECIFIED: ProviderStatus
PROVIDER_STATUS_ACTIVE: ProviderStatus
PROVIDER_STATUS_MAINTENANCE: ProviderStatus
PROVIDER_STATUS_DISABLED: ProviderStatus
PROVIDER_STATUS_OVERLOADED: ProviderStatus
PROVIDER_STATUS_UNHEALTHY: ProviderStatus
PROVIDER_STATUS_DEGRADED: ProviderStatus
CIRCUIT_STATE_UNSPECIFIED: CircuitState
CIRCUIT_STATE_CLOSED: CircuitState
CIRCUIT_STATE_OPEN: CircuitState
CIRCUIT_STATE_HALF_OPEN: CircuitState

class ListProvidersRequest(_message.Message):
    __slots__ = ("provider_type", "status", "only_with_capacity")
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ONLY_WITH_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    provider_type: ProviderType
    status: ProviderStatus
    only_with_capacity: bool
    def __init__(self, provider_type: _Optional[_Union[ProviderType, str]] = ..., status: _Optional[_Union[ProviderStatus, str]] = ..., only_with_capacity: _Optional[bool] = ...) -> None: ...

class ListProvidersResponse(_message.Message):
    __slots__ = ("providers",)
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[ProviderConfig]
    def __init__(self, providers: _Optional[_Iterable[_Union[ProviderConfig, _Mapping]]] = ...) -> None: ...

class GetProviderRequest(_message.Message):
    __slots__ = ("provider_id",)
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    def __init__(self, provider_id: _Optional[str] = ...) -> None: ...

class GetProviderResponse(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: ProviderConfig
    def __init__(self, provider: _Optional[_Union[ProviderConfig, _Mapping]] = ...) -> None: ...

class ProviderConfig(_message.Message):
    __slots__ = ("id", "name", "provider_type", "status", "priority", "max_workers", "active_workers", "capabilities", "type_config", "tags", "metadata", "created_at", "updated_at", "preferred_region", "allowed_regions", "required_labels", "annotations", "problem", "breaker", "workers", "troubled_kinds", "is_kept_here", "is_builtin", "cost_per_hour", "version")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class RequiredLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class WorkersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_WORKERS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    TYPE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_REGION_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_REGIONS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_LABELS_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    TROUBLED_KINDS_FIELD_NUMBER: _ClassVar[int]
    IS_KEPT_HERE_FIELD_NUMBER: _ClassVar[int]
    IS_BUILTIN_FIELD_NUMBER: _ClassVar[int]
    COST_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    provider_type: ProviderType
    status: ProviderStatus
    priority: int
    max_workers: int
    active_workers: int
    capabilities: ProviderCapabilities
    type_config: ProviderTypeConfig
    tags: _containers.RepeatedScalarFieldContainer[str]
    metadata: _containers.ScalarMap[str, str]
    created_at: str
    updated_at: str
    preferred_region: str
    allowed_regions: _containers.RepeatedScalarFieldContainer[str]
    required_labels: _containers.ScalarMap[str, str]
    annotations: _containers.ScalarMap[str, str]
    problem: str
    breaker: CircuitBreaker
    workers: _containers.ScalarMap[str, int]
    troubled_kinds: _containers.RepeatedCompositeFieldContainer[TroubledKind]
    is_kept_here: bool
    is_builtin: bool
    cost_per_hour: float
    version: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., provider_type: _Optional[_Union[ProviderType, str]] = ..., status: _Optional[_Union[ProviderStatus, str]] = ..., priority: _Optional[int] = ..., max_workers: _Optional[int] = ..., active_workers: _Optional[int] = ..., capabilities: _Optional[_Union[ProviderCapabilities, _Mapping]] = ..., type_config: _Optional[_Union[ProviderTypeConfig, _Mapping]] = ..., tags: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., created_at: _Optional[str] = ..., updated_at: _Optional[str] = ..., preferred_region: _Optional[str] = ..., allowed_regions: _Optional[_Iterable[str]] = ..., required_labels: _Optional[_Mapping[str, str]] = ..., annotations: _Optional[_Mapping[str, str]] = ..., problem: _Optional[str] = ..., breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., workers: _Optional[_Mapping[str, int]] = ..., troubled_kinds: _Optional[_Iterable[_Union[TroubledKind, _Mapping]]] = ..., is_kept_here: _Optional[bool] = ..., is_builtin: _Optional[bool] = ..., cost_per_hour: _Optional[float] = ..., version: _Optional[int] = ...) -> None: ...

class ProviderCapabilities(_message.Message):
    __slots__ = ("max_resources", "gpu_support", "gpu_types", "architectures", "runtimes", "regions", "max_execution_time_seconds", "persistent_storage", "custom_networking", "labels", "runs_images")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MAX_RESOURCES_FIELD_NUMBER: _ClassVar[int]
    GPU_SUPPORT_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURES_FIELD_NUMBER: _ClassVar[int]
    RUNTIMES_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_EXECUTION_TIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PERSISTENT_STORAGE_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_NETWORKING_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RUNS_IMAGES_FIELD_NUMBER: _ClassVar[int]
    max_resources: ResourceLimits
    gpu_support: bool
    gpu_types: _containers.RepeatedScalarFieldContainer[str]
    architectures: _containers.RepeatedScalarFieldContainer[str]
    runtimes: _containers.RepeatedScalarFieldContainer[str]
    regions: _containers.RepeatedScalarFieldContainer[str]
    max_execution_time_seconds: int
    persistent_storage: bool
    custom_networking: bool
    labels: _containers.ScalarMap[str, str]
    runs_images: bool
    def __init__(self, max_resources: _Optional[_Union[ResourceLimits, _Mapping]] = ..., gpu_support: _Optional[bool] = ..., gpu_types: _Optional[_Iterable[str]] = ..., architectures: _Optional[_Iterable[str]] = ..., runtimes: _Optional[_Iterable[str]] = ..., regions: _Optional[_Iterable[str]] = ..., max_execution_time_seconds: _Optional[int] = ..., persistent_storage: _Optional[bool] = ..., custom_networking: _Optional[bool] = ..., labels: _Optional[_Mapping[str, str]] = ..., runs_images: _Optional[bool] = ...) -> None: ...

class ResourceLimits(_message.Message):
    __slots__ = ("max_cpu_cores", "max_memory_bytes", "max_disk_bytes", "max_gpu_count")
    MAX_CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    max_cpu_cores: float
    max_memory_bytes: int
    max_disk_bytes: int
    max_gpu_count: int
    def __init__(self, max_cpu_cores: _Optional[float] = ..., max_memory_bytes: _Optional[int] = ..., max_disk_bytes: _Optional[int] = ..., max_gpu_count: _Optional[int] = ...) -> None: ...

class ProviderTypeConfig(_message.Message):
    __slots__ = ("docker", "kubernetes", "ec2", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DOCKER_FIELD_NUMBER: _ClassVar[int]
    KUBERNETES_FIELD_NUMBER: _ClassVar[int]
    LAMBDA_FIELD_NUMBER: _ClassVar[int]
    EC2_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    docker: DockerConfig
    kubernetes: KubernetesConfig
    ec2: Ec2Config
    options: _containers.ScalarMap[str, str]
    def __init__(self, docker: _Optional[_Union[DockerConfig, _Mapping]] = ..., kubernetes: _Optional[_Union[KubernetesConfig, _Mapping]] = ..., ec2: _Optional[_Union[Ec2Config, _Mapping]] = ..., options: _Optional[_Mapping[str, str]] = ..., **kwargs) -> None: ...

class DockerConfig(_message.Message):
    __slots__ = ("socket_path", "default_image", "network_mode", "dns_servers", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SOCKET_PATH_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_IMAGE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_MODE_FIELD_NUMBER: _ClassVar[int]
    DNS_SERVERS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    socket_path: str
    default_image: str
    network_mode: str
    dns_servers: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    def __init__(self, socket_path: _Optional[str] = ..., default_image: _Optional[str] = ..., network_mode: _Optional[str] = ..., dns_servers: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class KubernetesConfig(_message.Message):
    __slots__ = ("kubeconfig_path", "namespace", "service_account", "image_pull_secret", "node_selector")
    class NodeSelectorEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KUBECONFIG_PATH_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PULL_SECRET_FIELD_NUMBER: _ClassVar[int]
    NODE_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    kubeconfig_path: str
    namespace: str
    service_account: str
    image_pull_secret: str
    node_selector: _containers.ScalarMap[str, str]
    def __init__(self, kubeconfig_path: _Optional[str] = ..., namespace: _Optional[str] = ..., service_account: _Optional[str] = ..., image_pull_secret: _Optional[str] = ..., node_selector: _Optional[_Mapping[str, str]] = ...) -> None: ...

class LambdaConfig(_message.Message):
    __slots__ = ("region", "function_name", "runtime", "handler", "timeout_seconds", "memory_mb")
    REGION_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MB_FIELD_NUMBER: _ClassVar[int]
    region: str
    function_name: str
    runtime: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    def __init__(self, region: _Optional[str] = ..., function_name: _Optional[str] = ..., runtime: _Optional[str] = ..., handler: _Optional[str] = ..., timeout_seconds: _Optional[int] = ..., memory_mb: _Optional[int] = ...) -> None: ...

class Ec2Config(_message.Message):
    __slots__ = ("region", "instance_type", "ami_id", "key_name", "security_group_ids", "subnet_id")
    REGION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    AMI_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_NAME_FIELD_NUMBER: _ClassVar[int]
    SECURITY_GROUP_IDS_FIELD_NUMBER: _ClassVar[int]
    SUBNET_ID_FIELD_NUMBER: _ClassVar[int]
    region: str
    instance_type: str
    ami_id: str
    key_name: str
    security_group_ids: _containers.RepeatedScalarFieldContainer[str]
    subnet_id: str
    def __init__(self, region: _Optional[str] = ..., instance_type: _Optional[str] = ..., ami_id: _Optional[str] = ..., key_name: _Optional[str] = ..., security_group_ids: _Optional[_Iterable[str]] = ..., subnet_id: _Optional[str] = ...) -> None: ...

class RegisterProviderRequest(_message.Message):
    __slots__ = ("name", "provider_type", "type_config", "priority", "max_workers", "tags", "metadata", "disabled", "cost_per_hour")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    TYPE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_WORKERS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    COST_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider_type: ProviderType
    type_config: ProviderTypeConfig
    priority: int
    max_workers: int
    tags: _containers.RepeatedScalarFieldContainer[str]
    metadata: _containers.ScalarMap[str, str]
    disabled: bool
    cost_per_hour: float
    def __init__(self, name: _Optional[str] = ..., provider_type: _Optional[_Union[ProviderType, str]] = ..., type_config: _Optional[_Union[ProviderTypeConfig, _Mapping]] = ..., priority: _Optional[int] = ..., max_workers: _Optional[int] = ..., tags: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., disabled: _Optional[bool] = ..., cost_per_hour: _Optional[float] = ...) -> None: ...

class RegisterProviderResponse(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: ProviderConfig
    def __init__(self, provider: _Optional[_Union[ProviderConfig, _Mapping]] = ...) -> None: ...

class GetProviderByNameRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UpdateProviderRequest(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: ProviderConfig
    def __init__(self, provider: _Optional[_Union[ProviderConfig, _Mapping]] = ...) -> None: ...

class UpdateProviderResponse(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: ProviderConfig
    def __init__(self, provider: _Optional[_Union[ProviderConfig, _Mapping]] = ...) -> None: ...

class DeleteProviderRequest(_message.Message):
    __slots__ = ("provider_id", "force")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    force: bool
    def __init__(self, provider_id: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class DeleteProviderResponse(_message.Message):
    __slots__ = ("success", "workers_left")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_LEFT_FIELD_NUMBER: _ClassVar[int]
    success: bool
    workers_left: int
    def __init__(self, success: _Optional[bool] = ..., workers_left: _Optional[int] = ...) -> None: ...

class EnableProviderRequest(_message.Message):
    __slots__ = ("provider_id",)
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    def __init__(self, provider_id: _Optional[str] = ...) -> None: ...

class EnableProviderResponse(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: ProviderConfig
    def __init__(self, provider: _Optional[_Union[ProviderConfig, _Mapping]] = ...) -> None: ...

class DisableProviderRequest(_message.Message):
    __slots__ = ("provider_id",)
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    def __init__(self, provider_id: _Optional[str] = ...) -> None: ...

class DisableProviderResponse(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: ProviderConfig
    def __init__(self, provider: _Optional[_Union[ProviderConfig, _Mapping]] = ...) -> None: ...

class GetProviderStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetProviderStatsResponse(_message.Message):
    __slots__ = ("total_providers", "enabled_providers", "providers_with_capacity", "total_max_workers", "total_active_workers", "utilization_percent")
    TOTAL_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    ENABLED_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_WITH_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MAX_WORKERS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ACTIVE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    total_providers: int
    enabled_providers: int
    providers_with_capacity: int
    total_max_workers: int
    total_active_workers: int
    utilization_percent: float
    def __init__(self, total_providers: _Optional[int] = ..., enabled_providers: _Optional[int] = ..., providers_with_capacity: _Optional[int] = ..., total_max_workers: _Optional[int] = ..., total_active_workers: _Optional[int] = ..., utilization_percent: _Optional[float] = ...) -> None: ...

class TestProviderRequest(_message.Message):
    __slots__ = ("provider_id",)
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    def __init__(self, provider_id: _Optional[str] = ...) -> None: ...

class TestProviderResponse(_message.Message):
    __slots__ = ("problem", "facts")
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    problem: str
    facts: _containers.RepeatedCompositeFieldContainer[ProviderFact]
    def __init__(self, problem: _Optional[str] = ..., facts: _Optional[_Iterable[_Union[ProviderFact, _Mapping]]] = ...) -> None: ...

class ProviderFact(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class CircuitBreaker(_message.Message):
    __slots__ = ("state", "open_until", "failures")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OPEN_UNTIL_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    state: CircuitState
    open_until: _timestamp_pb2.Timestamp
    failures: int
    def __init__(self, state: _Optional[_Union[CircuitState, str]] = ..., open_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failures: _Optional[int] = ...) -> None: ...

class TroubledKind(_message.Message):
    __slots__ = ("kind", "message", "next_try_at")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_AT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    message: str
    next_try_at: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ..., next_try_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
