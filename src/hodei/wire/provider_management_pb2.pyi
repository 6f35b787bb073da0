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
    __slots__ = ("id", "name", "provider_type", "status", "max_workers", "active_workers", "problem", "breaker", "workers", "troubled_kinds", "is_kept_here")
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
    MAX_WORKERS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    TROUBLED_KINDS_FIELD_NUMBER: _ClassVar[int]
    IS_KEPT_HERE_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    provider_type: ProviderType
    status: ProviderStatus
    max_workers: int
    active_workers: int
    problem: str
    breaker: CircuitBreaker
    workers: _containers.ScalarMap[str, int]
    troubled_kinds: _containers.RepeatedCompositeFieldContainer[TroubledKind]
    is_kept_here: bool
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., provider_type: _Optional[_Union[ProviderType, str]] = ..., status: _Optional[_Union[ProviderStatus, str]] = ..., max_workers: _Optional[int] = ..., active_workers: _Optional[int] = ..., problem: _Optional[str] = ..., breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., workers: _Optional[_Mapping[str, int]] = ..., troubled_kinds: _Optional[_Iterable[_Union[TroubledKind, _Mapping]]] = ..., is_kept_here: _Optional[bool] = ...) -> None: ...

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
