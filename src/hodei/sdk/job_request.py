"""What a client asks to be run."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from os import fsencode
from typing import Final, TypedDict

from hodei.domain.jobs.container import ContainerOptions
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import (
    Command,
    Exec,
    JobSpec,
    LogPolicy,
    Priority,
    Resources,
    RetryPolicy,
    Script,
    Selector,
    SelectorRequirement,
    Toleration,
)
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import JobId
from hodei.kernel.units import parse_size_bytes
from hodei.sdk.times import seconds_of
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.job_definition import encode

_MAX_INT64: Final = 2**63 - 1


class JobRequest(TypedDict, total=False):
    """The definition of a job: `command` or `script`, and what else is to differ from the defaults.

    Durations are seconds, or text such as `500ms`; sizes are bytes, or text such as `2Gi`.
    """

    command: Sequence[str | bytes]
    """A program and its arguments, each exactly as given; no shell is between."""
    script: str
    """Instead of `command`: the text of a script."""
    interpreter: str
    """What runs the script; by default what its first line names, else bash."""
    id: str
    """The idempotency key: the same id with the same definition is the same job. Drawn if absent."""
    name: str
    description: str
    env: Mapping[str, str]
    """Added to the worker's environment."""
    working_dir: str
    """Absolute, or relative to the job's private workspace, which is the default."""
    stdin: bytes | str
    timeout: float | str
    """Of one attempt; 300 s by default."""
    grace: float | str
    """Between SIGTERM and SIGKILL; 10 s by default."""
    deadline: float | str
    """From submission to the end of the last attempt; none by default."""
    disconnect_timeout: float | str
    """How long an attempt runs on while its worker has no server; 300 s by default."""
    retries: int
    """Attempts after the first; 0 by default."""
    retry_on: Sequence[str]
    """Codes of the only reasons that are worth another attempt (`ReasonCode`)."""
    backoff: float | str
    """Before the second attempt; 1 s by default."""
    backoff_factor: float
    """Each further wait is this much longer; 2 by default."""
    max_backoff: float | str
    """The longest wait; 300 s by default."""
    jitter: float
    """The share of a wait that is drawn at random, 0 to 1; 0.1 by default."""
    priority: Priority | str
    """LOW, NORMAL (the default), HIGH or CRITICAL."""
    labels: Mapping[str, str]
    tags: Sequence[str]
    selector: Mapping[str, str]
    """Labels that the worker must have."""
    selector_expressions: Sequence[SelectorRequirement]
    """Further conditions on the worker's labels."""
    tolerations: Sequence[Toleration]
    """Taints that the job puts up with."""
    cpu: float
    """Cores."""
    memory: int | str
    disk: int | str
    gpus: int
    gpu_types: Sequence[str]
    """Any of these will do."""
    resources: Mapping[str, int]
    """Countable things of the worker, by name."""
    provider: str
    """Only this provider's workers."""
    region: str
    """A worker of this region first, where there is one."""
    image: str
    """The container image that it runs in; the server must have a provider that runs images."""
    container: ContainerOptions
    """How its container differs from the provider's others."""
    log_policy: LogPolicy | str
    """HOLD (the default) or DROP_OLDEST: what happens when the output outruns the server."""


def encode_request(request: JobRequest, *, new_id: str) -> pb.JobDefinition:
    """The definition of a request, under its own id or else `new_id`.

    Raises:
        InvalidFieldsError: Something in it cannot be; the error names the field of the request.
    """
    _refuse_unknown(request)
    spec = _to_spec(request)
    try:
        return encode(JobId(_text(request.get("id") or new_id, "id")), spec)
    except (ValueError, TypeError, OverflowError) as error:
        # The wire's own limits on numbers, which no sensible request comes near.
        raise InvalidFieldsError.of("request", f"cannot be sent: {error}") from error


def _refuse_unknown(request: JobRequest) -> None:
    known = JobRequest.__annotations__
    for key in request:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise InvalidFieldsError.of(key, f"a job has no such field; {hint}")


def _to_spec(request: JobRequest) -> JobSpec:
    defaults = JobSpec(command=_command(request))
    deadline = request.get("deadline")
    stdin = request.get("stdin")
    return JobSpec(
        command=defaults.command,
        name=_text(request.get("name", ""), "name"),
        description=_text(request.get("description", ""), "description"),
        environment=_text_map(request.get("env", {}), "env"),
        working_dir=_text(request.get("working_dir", ""), "working_dir"),
        stdin=stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin,
        timeout_s=_positive(request.get("timeout", defaults.timeout_s), "timeout"),
        grace_s=seconds_of(request.get("grace", defaults.grace_s), field="grace"),
        disconnect_timeout_s=_positive(
            request.get("disconnect_timeout", defaults.disconnect_timeout_s), "disconnect_timeout"
        ),
        deadline_s=None if deadline is None else _positive(deadline, "deadline"),
        retry=_retry(request),
        priority=_priority(request.get("priority", defaults.priority)),
        labels=_text_map(request.get("labels", {}), "labels"),
        tags=_texts(request.get("tags", ()), "tags"),
        selector=Selector(
            match_labels=_text_map(request.get("selector", {}), "selector"),
            match_expressions=tuple(request.get("selector_expressions", ())),
        ),
        tolerations=tuple(request.get("tolerations", ())),
        resources=_resources(request),
        preferred_provider=_text(request.get("provider", ""), "provider"),
        preferred_region=_text(request.get("region", ""), "region"),
        log_policy=_log_policy(request.get("log_policy", defaults.log_policy)),
        image=_text(request.get("image", ""), "image"),
        container=request.get("container"),
    )


def _command(request: JobRequest) -> Command:
    command, script = request.get("command"), request.get("script")
    if (command is None) == (script is None):
        raise InvalidFieldsError.of(
            "command", "give either command, a program and its arguments, or script, a text"
        )
    if script is not None:
        return Script(
            interpreter=_text(request.get("interpreter", ""), "interpreter"),
            content=_text(script, "script"),
        )
    if request.get("interpreter"):
        raise InvalidFieldsError.of("interpreter", "goes with script, not with command")
    if isinstance(command, str | bytes) or not command:
        raise InvalidFieldsError.of(
            "command", 'is a list of a program and its arguments, such as ["echo", "hello"]'
        )
    return Exec(argv=tuple(map(_argument, command)))


def _argument(argument: str | bytes) -> bytes:
    # sys.argv carries bytes that are not UTF-8 as lone surrogates, and so does this.
    return argument if isinstance(argument, bytes) else argument.encode("utf-8", "surrogateescape")


def _retry(request: JobRequest) -> RetryPolicy:
    default = RetryPolicy()
    retries = request.get("retries", 0)
    if not 0 <= retries <= _MAX_INT64:
        raise InvalidFieldsError.of("retries", f"{retries} is not a number of retries, 0 or more")
    return RetryPolicy(
        # Past the wire's 32 bits it is refused by the server all the same, by its own limit.
        max_attempts=min(retries, 2**32 - 2) + 1,
        initial_backoff_s=seconds_of(
            request.get("backoff", default.initial_backoff_s), field="backoff"
        ),
        backoff_factor=request.get("backoff_factor", default.backoff_factor),
        max_backoff_s=seconds_of(
            request.get("max_backoff", default.max_backoff_s), field="max_backoff"
        ),
        jitter=request.get("jitter", default.jitter),
        retry_on=frozenset(map(_reason_code, request.get("retry_on", ()))),
    )


def _reason_code(code: str) -> ReasonCode:
    try:
        return ReasonCode(code.upper())
    except ValueError:
        near = get_close_matches(code.upper(), ReasonCode, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(ReasonCode)}"
        raise InvalidFieldsError.of("retry_on", f"{code!r} is not a reason; {hint}") from None


def _priority(priority: Priority | str) -> Priority:
    if isinstance(priority, Priority):
        return priority
    try:
        return Priority[priority.upper()]
    except KeyError:
        raise InvalidFieldsError.of(
            "priority", f"{priority!r} is not one of {', '.join(each.name for each in Priority)}"
        ) from None


def _log_policy(policy: LogPolicy | str) -> LogPolicy:
    try:
        return LogPolicy(policy.upper())
    except ValueError:
        raise InvalidFieldsError.of(
            "log_policy", f"{policy!r} is not one of {', '.join(LogPolicy)}"
        ) from None


def _resources(request: JobRequest) -> Resources:
    cpu = request.get("cpu", 0)
    if not 0 <= cpu < _MAX_INT64:
        raise InvalidFieldsError.of("cpu", f"{cpu!r} is not a number of cores, 0 or more")
    return Resources(
        cpu_millicores=round(cpu * 1000),
        memory_bytes=_size(request.get("memory", 0), "memory"),
        disk_bytes=_size(request.get("disk", 0), "disk"),
        gpu_count=request.get("gpus", 0),
        gpu_types=_texts(request.get("gpu_types", ()), "gpu_types"),
        custom=dict(request.get("resources", {})),
    )


def _size(size: int | str, field: str) -> int:
    size_bytes = parse_size_bytes(size, field=field) if isinstance(size, str) else size
    if not 0 <= size_bytes <= _MAX_INT64:
        raise InvalidFieldsError.of(field, f"{size!r} is not a number of bytes, 0 or more")
    return size_bytes


def _positive(value: float | str, field: str) -> float:
    seconds = seconds_of(value, field=field)
    if seconds == 0:
        # On the wire 0 means "the default", which is not what somebody who writes 0 wants.
        raise InvalidFieldsError.of(field, "must be more than 0")
    return seconds


def _text(text: str, field: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidFieldsError.of(
            field, f"{fsencode(text)!r} is not UTF-8; only arguments and stdin may be other bytes"
        ) from None
    return text


def _texts(texts: Iterable[str], field: str) -> tuple[str, ...]:
    return tuple(_text(text, field) for text in texts)


def _text_map(pairs: Mapping[str, str], field: str) -> dict[str, str]:
    return {_text(key, field): _text(value, field) for key, value in pairs.items()}
