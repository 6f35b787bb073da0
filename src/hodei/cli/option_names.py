"""What a field of a request is called on the command line."""

from typing import Final

_OPTIONS: Final[dict[str, str]] = {
    # Of the SDK's requests.
    "retry_on": "--retry-on",
    "max_backoff": "--max-backoff",
    "backoff_factor": "--backoff-factor",
    "disconnect_timeout": "--disconnect-timeout",
    "log_policy": "--log-policy",
    "working_dir": "--workdir",
    "states": "--state",
    "created_after": "--since",
    "ca_file": "HODEI_CA_FILE",
    # Of the wire.
    "arguments": "COMMAND",
    "arguments_raw": "COMMAND",
    "job_id.value": "--id",
    "timeout.execution_timeout": "--timeout",
    "timeout.cleanup_timeout": "--grace",
    "scheduling.deadline": "--deadline",
    "scheduling.priority": "--priority",
    "scheduling.preferred_provider": "--provider",
    "scheduling.preferred_region": "--region",
    "retry.max_attempts": "--retries",
    "retry.initial_backoff": "--backoff",
    "retry.max_backoff": "--max-backoff",
    "retry.backoff_factor": "--backoff-factor",
    "retry.jitter": "--jitter",
    "retry.retry_on": "--retry-on",
    "environment": "--env",
    "requirements.cpu_cores": "--cpu",
    "requirements.memory_bytes": "--memory",
    "requirements.disk_bytes": "--disk",
    "requirements.gpu_count": "--gpus",
    "requirements.gpu_types": "--gpu-type",
    "requirements.custom_required": "--resource",
    "selector.match_labels": "--selector",
    "image": "--image",
    "container.pull": "--pull",
    "container.user": "--user",
    "container.read_only": "--read-only",
    "container.pids_limit": "--pids-limit",
    "container.shm_bytes": "--shm-size",
    "container.tmpfs": "--tmpfs",
    "container.mounts": "--mount",
    "container.network": "--network",
    "container.extra_hosts": "--add-host",
    "container.cap_add": "--cap-add",
    "container.platform": "--platform",
    "container.runtime": "--runtime",
    "labels": "--label",
    "tags": "--tag",
    "script.content": "--script",
    "script.interpreter": "--interpreter",
}
_SAME_NAME: Final = frozenset(
    {
        "id", "name", "description", "env", "timeout", "grace", "deadline", "retries", "backoff",
        "jitter", "priority", "selector", "cpu", "memory", "disk", "gpus", "resources", "provider",
        "region", "stdin", "script", "interpreter", "server", "limit",
    }
)  # fmt: skip


def option_for(field: str) -> str:
    """The option that a field comes from; the field itself where there is none.

    An entry of a list or a map, such as `environment.PATH`, belongs to the whole one's option.
    """
    name = field.removeprefix("job_definition.")
    while name:
        if name in _OPTIONS:
            return _OPTIONS[name]
        if name in _SAME_NAME:
            return f"--{name}"
        if name == "command":
            return "COMMAND"
        name = _shorter(name)
    return field


def _shorter(name: str) -> str:
    """The name without its last part: `a.b[2]`, `a.b`, `a`, nothing."""
    return name[: max(name.rfind("["), name.rfind("."), 0)]
