"""A job's definition: from the wire to the domain and back.

Decoding finds every fault at once and refuses by name what is not honoured; what it lets through
is within `domain.jobs.limits`. `decode(encode(job_id, spec))` gives back the same.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from hodei.domain.jobs import limits
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import (
    DEFAULT_DISCONNECT_TIMEOUT_S,
    DEFAULT_GRACE_S,
    DEFAULT_TIMEOUT_S,
    Command,
    Exec,
    JobSpec,
    LogPolicy,
    Priority,
    RetryPolicy,
    Script,
)
from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from hodei.kernel.ids import JobId
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import provider_names
from hodei.wire.container_fields import (
    decode_container,
    encode_container,
    refuse_where_nothing_runs_images,
)
from hodei.wire.placement_fields import (
    ANY_WORKER,
    NO_RESOURCES,
    decode_resources,
    decode_selector,
    decode_tolerations,
    encode_resources,
    encode_selector,
    encode_tolerations,
)
from hodei.wire.refused_fields import Refusals, refuse_unsupported
from hodei.wire.timestamps import is_zero, to_duration, to_seconds

_NO_RETRY: Final = RetryPolicy()
_DEFAULT_INTERPRETER: Final = "bash"

_LOG_POLICIES: Final[dict[int, LogPolicy]] = {
    pb.LOG_POLICY_UNSPECIFIED: LogPolicy.HOLD,
    pb.LOG_POLICY_HOLD: LogPolicy.HOLD,
    pb.LOG_POLICY_DROP_OLDEST: LogPolicy.DROP_OLDEST,
}
_WIRE_PRIORITIES: Final = {
    Priority.LOW: pb.PRIORITY_LOW,
    Priority.NORMAL: pb.PRIORITY_NORMAL,
    Priority.HIGH: pb.PRIORITY_HIGH,
    Priority.CRITICAL: pb.PRIORITY_CRITICAL,
}
_PRIORITIES: Final[dict[int, Priority]] = {int(w): each for each, w in _WIRE_PRIORITIES.items()}
_REASON_CODES: Final = {each.value: each for each in ReasonCode}


class _Scheduling(NamedTuple):
    priority: Priority = Priority.NORMAL
    deadline_s: float | None = None
    provider: str = ""
    region: str = ""


class _Timeouts(NamedTuple):
    execution_s: float = DEFAULT_TIMEOUT_S
    grace_s: float = DEFAULT_GRACE_S


_NO_SCHEDULING: Final = _Scheduling()
_DEFAULT_TIMEOUTS: Final = _Timeouts()


def decode(
    definition: pb.JobDefinition,
    *,
    prefix: str = "job_definition",
    known_providers: Collection[str] | None,
    image_providers: Collection[str] = (),
) -> tuple[JobId | None, JobSpec]:
    """The job that a definition describes, and its id, None where the client gave none.

    Args:
        definition: What the client sent.
        prefix: The definition's path in the request, put before the field names of an error.
        known_providers: Names that `preferred_provider` may have; None takes any, for readers of
            definitions that a server has accepted already.
        image_providers: Those of them that run images.

    Raises:
        InvalidFieldsError: With all that is wrong.
    """
    refusals = Refusals(prefix)
    refuse_unsupported(definition, refusals)
    if known_providers is not None and (definition.image or definition.HasField("container")):
        refuse_where_nothing_runs_images(definition, image_providers, refusals)
    scheduling, timeouts = _NO_SCHEDULING, _DEFAULT_TIMEOUTS
    disconnect_timeout_s, retry = DEFAULT_DISCONNECT_TIMEOUT_S, _NO_RETRY
    resources, log_policy = NO_RESOURCES, LogPolicy.HOLD
    if definition.HasField("scheduling") or definition.priority_set:
        scheduling = _decode_scheduling(definition, known_providers, refusals)
    if definition.HasField("timeout"):
        timeouts = _decode_timeouts(definition.timeout, refusals)
    if definition.HasField("disconnect_timeout"):
        disconnect_timeout_s = to_seconds(definition.disconnect_timeout)
    if definition.HasField("retry"):
        retry = _decode_retry(definition.retry, refusals)
    if definition.HasField("requirements"):
        resources = decode_resources(definition.requirements, refusals)
    if definition.log_policy:
        log_policy = _decode_log_policy(definition.log_policy, refusals)
    spec = JobSpec(
        command=_decode_command(definition, refusals),
        name=definition.name,
        description=definition.description,
        # Asking for the size first is ten times cheaper than copying an empty map.
        environment=dict(definition.environment) if definition.environment else {},
        working_dir=definition.working_dir,
        stdin=definition.stdin or None,
        timeout_s=timeouts.execution_s,
        grace_s=timeouts.grace_s,
        disconnect_timeout_s=disconnect_timeout_s,
        deadline_s=scheduling.deadline_s,
        retry=retry,
        priority=scheduling.priority,
        labels=dict(definition.labels) if definition.labels else {},
        tags=tuple(definition.tags) if definition.tags else (),
        selector=decode_selector(definition, refusals),
        tolerations=decode_tolerations(definition.tolerations, refusals)
        if definition.tolerations
        else (),
        resources=resources,
        preferred_provider=scheduling.provider,
        preferred_region=scheduling.region,
        log_policy=log_policy,
        image=definition.image,
        container=decode_container(definition.container, refusals)
        if definition.HasField("container")
        else None,
    )
    job_id = JobId(definition.job_id.value) or None
    violations = [*refusals.found, *limits.check(job_id, spec, prefix=prefix)]
    if violations:
        raise InvalidFieldsError(violations)
    return job_id, spec


def decode_batch(
    definitions: Sequence[pb.JobDefinition],
    *,
    prefix: str = "job_definitions",
    known_providers: Collection[str] | None,
    image_providers: Collection[str] = (),
) -> list[tuple[JobId | None, JobSpec]]:
    """The jobs of a batch, in its order.

    Raises:
        InvalidFieldsError: With what is wrong in any of them; past `MAX_VIOLATIONS` it stops
            looking. Also for more than `MAX_BATCH_JOBS` definitions.
    """
    count = len(definitions)
    if count > limits.MAX_BATCH_JOBS:
        advice = f"has {count} entries: at most {limits.MAX_BATCH_JOBS}; send several batches"
        raise InvalidFieldsError.of(prefix, advice)
    jobs: list[tuple[JobId | None, JobSpec]] = []
    violations: list[FieldViolation] = []
    for index, definition in enumerate(definitions):
        path = f"{prefix}[{index}]"
        try:
            jobs.append(
                decode(
                    definition,
                    prefix=path,
                    known_providers=known_providers,
                    image_providers=image_providers,
                )
            )
        except InvalidFieldsError as error:
            violations += error.violations
            if len(violations) >= limits.MAX_VIOLATIONS:
                break
    if violations:
        raise InvalidFieldsError(violations[: limits.MAX_VIOLATIONS])
    return jobs


def encode(job_id: JobId | None, spec: JobSpec) -> pb.JobDefinition:
    """The definition that describes a job.

    What is at its default is left out, times excepted: how long a job may run is worth showing.
    """
    definition = pb.JobDefinition(
        job_id=None if job_id is None else pb.JobId(value=job_id),
        name=spec.name,
        description=spec.description,
        environment=spec.environment,
        working_dir=spec.working_dir,
        stdin=spec.stdin,
        labels=spec.labels,
        tags=spec.tags,
        timeout=pb.TimeoutConfig(
            execution_timeout=to_duration(spec.timeout_s),
            cleanup_timeout=to_duration(spec.grace_s),
        ),
        disconnect_timeout=to_duration(spec.disconnect_timeout_s),
    )
    _encode_command(definition, spec.command)
    _encode_scheduling(definition, spec)
    if spec.retry != _NO_RETRY:
        definition.retry.CopyFrom(_encode_retry(spec.retry))
    if spec.selector != ANY_WORKER:
        definition.selector.CopyFrom(encode_selector(spec.selector))
    if spec.tolerations:
        definition.tolerations.extend(encode_tolerations(spec.tolerations))
    if spec.resources != NO_RESOURCES:
        definition.requirements.CopyFrom(encode_resources(spec.resources))
    if spec.log_policy is LogPolicy.DROP_OLDEST:
        definition.log_policy = pb.LOG_POLICY_DROP_OLDEST
    if spec.image:
        definition.image = spec.image
    if spec.container is not None:
        definition.container.CopyFrom(encode_container(spec.container))
    return definition


def difference(one: JobSpec, other: JobSpec) -> list[str]:
    """The fields, by their names on the wire, in which two definitions differ."""
    differing = _command_difference(one.command, other.command)
    return differing + [name for name, part in _PARTS if part(one) != part(other)]


_PARTS: Final[tuple[tuple[str, Callable[[JobSpec], object]], ...]] = (
    ("name", lambda spec: spec.name),
    ("description", lambda spec: spec.description),
    ("environment", lambda spec: spec.environment),
    ("working_dir", lambda spec: spec.working_dir),
    ("stdin", lambda spec: spec.stdin),
    ("timeout.execution_timeout", lambda spec: spec.timeout_s),
    ("timeout.cleanup_timeout", lambda spec: spec.grace_s),
    ("disconnect_timeout", lambda spec: spec.disconnect_timeout_s),
    ("retry.max_attempts", lambda spec: spec.retry.max_attempts),
    ("retry.initial_backoff", lambda spec: spec.retry.initial_backoff_s),
    ("retry.backoff_factor", lambda spec: spec.retry.backoff_factor),
    ("retry.max_backoff", lambda spec: spec.retry.max_backoff_s),
    ("retry.jitter", lambda spec: spec.retry.jitter),
    ("retry.retry_on", lambda spec: spec.retry.retry_on),
    ("scheduling.deadline", lambda spec: spec.deadline_s),
    ("scheduling.priority", lambda spec: spec.priority),
    ("scheduling.preferred_provider", lambda spec: spec.preferred_provider),
    ("scheduling.preferred_region", lambda spec: spec.preferred_region),
    ("labels", lambda spec: spec.labels),
    ("tags", lambda spec: spec.tags),
    ("selector.match_labels", lambda spec: spec.selector.match_labels),
    ("selector.match_expressions", lambda spec: spec.selector.match_expressions),
    ("tolerations", lambda spec: spec.tolerations),
    ("requirements", lambda spec: spec.resources),
    ("log_policy", lambda spec: spec.log_policy),
    ("image", lambda spec: spec.image),
    ("container", lambda spec: spec.container),
)


def _command_difference(one: Command, other: Command) -> list[str]:
    match one, other:
        case Exec(), Exec():
            pairs = [
                ("command", one.argv[:1] != other.argv[:1]),
                ("arguments", one.argv[1:] != other.argv[1:]),
            ]
        case Script(), Script():
            pairs = [
                ("script.interpreter", one.interpreter != other.interpreter),
                ("script.content", one.content != other.content),
            ]
        case _:
            pairs = [("command", True), ("script", True)]
    return [name for name, differs in pairs if differs]


def _decode_command(definition: pb.JobDefinition, refusals: Refusals) -> Command:
    arguments, raw = definition.arguments, definition.arguments_raw
    if definition.HasField("script"):
        if definition.command or arguments or raw:
            refusals.add(
                "script", "comes together with command or arguments: give a program or a script"
            )
        return _decode_script(definition.script, refusals)
    if arguments and raw:
        refusals.add(
            "arguments_raw", "comes together with arguments: put all of them into arguments_raw"
        )
    program = definition.command.encode()
    if raw:
        return Exec(argv=(program, *raw))
    return Exec(argv=(program, *[each.encode() for each in arguments]))


def _decode_script(script: pb.ScriptCommand, refusals: Refusals) -> Script:
    refusals.refuse_unknown(script, "script.")
    interpreter = script.interpreter or _interpreter_of(script.content, refusals)
    return Script(interpreter=interpreter, content=script.content)


def _interpreter_of(content: str, refusals: Refusals) -> str:
    """The program that the first line of a script names (`#!`), else bash."""
    if not content.startswith("#!"):
        return _DEFAULT_INTERPRETER
    words = content[2:].partition("\n")[0].split()
    if words and words[0].rpartition("/")[2] == "env":
        words = words[1:]
    match words:
        case []:
            return _DEFAULT_INTERPRETER
        case [program] if not program.startswith("-"):
            return program
        case _:
            refusals.add(
                "script.interpreter",
                "is empty, and the script's first line has options, which would be lost: name the "
                "interpreter here, and set options inside the script",
            )
            return _DEFAULT_INTERPRETER


def _encode_command(definition: pb.JobDefinition, command: Command) -> None:
    if isinstance(command, Script):
        definition.script.interpreter = command.interpreter
        definition.script.content = command.content
        return
    definition.command = command.argv[0].decode()
    arguments = command.argv[1:]
    try:
        definition.arguments.extend([each.decode() for each in arguments])
    except UnicodeDecodeError:
        definition.arguments_raw.extend(arguments)


def _decode_scheduling(
    definition: pb.JobDefinition, known_providers: Collection[str] | None, refusals: Refusals
) -> _Scheduling:
    scheduling = definition.scheduling
    provider = scheduling.preferred_provider
    if provider and known_providers is not None:
        provider = _decode_provider(provider, known_providers, refusals)
    return _Scheduling(
        priority=_decode_priority(definition, refusals),
        deadline_s=to_seconds(scheduling.deadline) if scheduling.HasField("deadline") else None,
        provider=provider,
        region=scheduling.preferred_region,
    )


def _decode_priority(definition: pb.JobDefinition, refusals: Refusals) -> Priority:
    if not definition.priority_set:
        return Priority.NORMAL
    given = definition.scheduling.priority
    if given not in _PRIORITIES:
        refusals.add(
            "scheduling.priority", f"is {given}: 0 (LOW), 1 (NORMAL), 2 (HIGH) or 3 (CRITICAL)"
        )
    return _PRIORITIES.get(given, Priority.NORMAL)


def _decode_provider(name: str, known_providers: Collection[str], refusals: Refusals) -> str:
    resolved = provider_names.resolve(name, known_providers)
    if resolved is None:
        advice = provider_names.advise(name, known_providers)
        refusals.add("scheduling.preferred_provider", advice)
    return resolved or ""


def _encode_scheduling(definition: pb.JobDefinition, spec: JobSpec) -> None:
    if spec.priority is not Priority.NORMAL:
        definition.priority_set = True
        definition.scheduling.priority = _WIRE_PRIORITIES[spec.priority]
    if spec.deadline_s is not None:
        definition.scheduling.deadline.CopyFrom(to_duration(spec.deadline_s))
    if spec.preferred_provider:
        definition.scheduling.preferred_provider = spec.preferred_provider
    if spec.preferred_region:
        definition.scheduling.preferred_region = spec.preferred_region


def _decode_timeouts(timeout: pb.TimeoutConfig, refusals: Refusals) -> _Timeouts:
    refusals.refuse_unknown(timeout, "timeout.")
    execution_s, grace_s = _DEFAULT_TIMEOUTS
    if not is_zero(timeout.execution_timeout):
        execution_s = to_seconds(timeout.execution_timeout)
    if timeout.HasField("cleanup_timeout"):
        grace_s = to_seconds(timeout.cleanup_timeout)
    return _Timeouts(execution_s, grace_s)


def _decode_retry(retry: pb.RetryPolicy, refusals: Refusals) -> RetryPolicy:
    refusals.refuse_unknown(retry, "retry.")
    initial_s, longest_s = _NO_RETRY.initial_backoff_s, _NO_RETRY.max_backoff_s
    if retry.HasField("initial_backoff"):
        initial_s = to_seconds(retry.initial_backoff)
    if retry.HasField("max_backoff"):
        longest_s = to_seconds(retry.max_backoff)
    return RetryPolicy(
        max_attempts=retry.max_attempts or _NO_RETRY.max_attempts,
        initial_backoff_s=initial_s,
        backoff_factor=retry.backoff_factor or _NO_RETRY.backoff_factor,
        max_backoff_s=longest_s,
        jitter=retry.jitter if retry.HasField("jitter") else _NO_RETRY.jitter,
        retry_on=_decode_retry_on(retry.retry_on, refusals),
    )


def _decode_retry_on(codes: Collection[str], refusals: Refusals) -> frozenset[ReasonCode]:
    for index, code in enumerate(codes):
        if code not in _REASON_CODES:
            refusals.add(
                f"retry.retry_on[{index}]",
                f"{code[:40]!r} is no reason: one of {', '.join(_REASON_CODES)}",
            )
    return frozenset(_REASON_CODES[code] for code in codes if code in _REASON_CODES)


def _encode_retry(retry: RetryPolicy) -> pb.RetryPolicy:
    return pb.RetryPolicy(
        max_attempts=retry.max_attempts,
        initial_backoff=to_duration(retry.initial_backoff_s),
        backoff_factor=retry.backoff_factor,
        max_backoff=to_duration(retry.max_backoff_s),
        jitter=retry.jitter,
        retry_on=sorted(retry.retry_on),
    )


def _decode_log_policy(policy: int, refusals: Refusals) -> LogPolicy:
    known = _LOG_POLICIES.get(policy)
    if known is None:
        refusals.add("log_policy", f"is {policy}: 1 (HOLD) or 2 (DROP_OLDEST)")
    return known or LogPolicy.HOLD
