"""What a server's configuration may be."""

from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from hodei.domain.placement.selection import Strategy, named
from hodei.domain.placement.worker_selection import WorkerStrategy
from hodei.kernel.errors import FieldViolation
from hodei.kernel.units import format_duration
from hodei.server.config import LocalProviderConfig, ServerConfig
from hodei.server.docker_limits import check_docker
from hodei.server.label_limits import check_worker_labels

_PORTS: Final = (0, 65535)
_DAY_S: Final = 86400.0


def check_config(config: ServerConfig) -> list[FieldViolation]:
    """Everything in it that is not allowed, by the setting's key."""
    checks = [
        _whole("grpc_port", config.grpc_port, _PORTS),
        _whole("worker_port", config.worker_port, _PORTS),
        _whole("enroll_port", config.enroll_port, _PORTS),
        _whole("http_port", config.http_port, _PORTS),
        _duration("heartbeat_interval", config.heartbeat_interval_s, 0.1, 600),
        _duration("lease", config.lease_s, 2 * config.heartbeat_interval_s, _DAY_S),
        _duration("otp_ttl", config.otp_ttl_s, 10, 3600),
        _duration("stop_grace", config.stop_grace_s, 0, 3600),
        _duration("job_retention", config.job_retention_s, 3600, 3650 * _DAY_S),
        _duration("log_retention", config.log_retention_s, 60, 3650 * _DAY_S),
        _duration("workflow_retention", config.workflow_retention_s, 3600, 3650 * _DAY_S),
        _whole("log_max_size", config.log_max_size, (0, 2**60)),
        _loopback("listen_host", config.listen_host),
        _distinct_ports(config),
        _database_url("database_url", config.database_url),
        _named(Strategy, "provider_strategy", config.provider_strategy),
        _named(WorkerStrategy, "worker_strategy", config.worker_strategy),
    ]
    found = [violation for violation in checks if violation is not None]
    found += check_local(config.local)
    return found + (check_docker(config.docker) if config.docker.enabled else [])


def check_local(local: LocalProviderConfig) -> list[FieldViolation]:
    """Everything in it that is not allowed, by the setting's key."""
    checks = [
        _whole("local.slots", local.slots, (1, 256)),
        _whole("local.max_workers", local.max_workers, (0, 1000)),
        _whole("local.warm_workers", local.warm_workers, (0, max(0, local.max_workers))),
        _duration("local.idle_timeout", local.idle_timeout_s, 0.1, 30 * _DAY_S),
        _duration("local.max_age", local.max_age_s, 1, 30 * _DAY_S),
        _duration("local.enroll_timeout", local.enroll_timeout_s, 0.1, 3600),
    ]
    found = [violation for violation in checks if violation is not None]
    return [*found, *check_worker_labels("local", local)]


def _whole(key: str, value: int, allowed: tuple[int, int]) -> FieldViolation | None:
    lowest, highest = allowed
    if lowest <= value <= highest:
        return None
    return FieldViolation(field=key, description=f"{value} is not from {lowest} to {highest}")


def _duration(key: str, value: float, lowest: float, highest: float) -> FieldViolation | None:
    if lowest <= value <= highest:
        return None
    allowed = f"{format_duration(lowest)} to {format_duration(highest)}"
    return FieldViolation(field=key, description=f"{value:g} s is not from {allowed}")


def _loopback(key: str, host: str) -> FieldViolation | None:
    try:
        is_loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if is_loopback:
        return None
    return FieldViolation(
        field=key,
        description=f"{host!r} is not a loopback address; clients are let in from this machine "
        "only, such as at 127.0.0.1",
    )


def _database_url(key: str, url: str) -> FieldViolation | None:
    if not url:
        return None
    try:
        parts = urlsplit(url)
        # Asking for it is what checks it.
        is_good = parts.scheme in {"postgres", "postgresql"} and (parts.port or True)
    except ValueError:
        is_good = False
    if is_good:
        return None
    # The value itself may hold a password.
    return FieldViolation(
        field=key, description="write postgresql://user:password@host:port/database"
    )


def _named(choices: type[StrEnum], key: str, name: str) -> FieldViolation | None:
    if named(choices, name) is not None:
        return None
    return FieldViolation(field=key, description=f"{name!r} is not one of {', '.join(choices)}")


def _distinct_ports(config: ServerConfig) -> FieldViolation | None:
    seen: dict[int, str] = {}
    for key in ("grpc_port", "worker_port", "enroll_port", "http_port"):
        port: int = getattr(config, key)
        if port and port in seen:
            return FieldViolation(field=key, description=f"{port} is {seen[port]}'s already")
        seen[port] = key
    return None
