"""What is allowed in a job's definition: every bound with its reason, and the check that holds them.

The bounds keep a definition runnable (what Linux takes), storable (what one event may hold) and
showable. docs/reference/limits.md lists them; a test compares the two.
"""

import re
from collections.abc import Mapping
from typing import Final

from hodei.domain.jobs.container_limits import check_container
from hodei.domain.jobs.reasons import NEVER_RETRIED
from hodei.domain.jobs.spec import (
    Exec,
    JobSpec,
    Resources,
    RetryPolicy,
    Script,
    Selector,
    SelectorOperator,
    SelectorRequirement,
    Toleration,
)
from hodei.domain.jobs.violations import MAX_VIOLATIONS, Violations, is_utf8, shown, size_of
from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from hodei.kernel.ids import ID_RULE, JobId, is_valid_id

__all__ = ["MAX_VIOLATIONS", "check", "check_labels", "check_line", "require_line"]

MAX_NAME_CHARS: Final = 256
"""A name is one line of a list."""
MAX_DESCRIPTION_BYTES: Final = 8 * 1024
"""A page of text; longer ones belong where the description points to."""
MAX_ACTOR_CHARS: Final = 256
"""`queued_by`, `cancelled_by` and `requested_by` name a person or a system."""
MAX_NOTE_CHARS: Final = 1024
"""Why somebody cancels is a sentence or two."""

MAX_ARGUMENT_BYTES: Final = 128 * 1024 - 1
"""Linux takes no longer argument or `NAME=value` (MAX_ARG_STRLEN, less its final NUL)."""
MAX_ARGV_AND_ENVIRONMENT_BYTES: Final = 1024 * 1024
"""Linux takes a quarter of the stack limit, 2 MiB as a rule; the worker's own environment has the
rest. Each string counts with `STRING_OVERHEAD_BYTES` more."""
STRING_OVERHEAD_BYTES: Final = 9
"""What Linux adds to each argument and variable: a final NUL and a pointer."""
MAX_SCRIPT_BYTES: Final = 4 * 1024 * 1024
"""A script travels and is stored with its definition; larger things are files to fetch."""
MAX_STDIN_BYTES: Final = 4 * 1024 * 1024
"""As a script."""
MAX_PATH_BYTES: Final = 4095
"""Linux takes no longer path (PATH_MAX, less its final NUL)."""

MAX_LABELS: Final = 64
"""Labels are for finding jobs, not for data."""
MAX_LABEL_KEY_CHARS: Final = 253
"""The length of a DNS name with which Kubernetes lets a key begin."""
MAX_LABEL_VALUE_CHARS: Final = 256
"""Four times what Kubernetes takes: branch names and addresses fit."""
MAX_TAGS: Final = 64
"""As labels."""
MAX_TAG_CHARS: Final = 128
"""A tag is a word or a few."""

MIN_TIMEOUT_S: Final = 0.001
"""Workers keep time in milliseconds."""
MAX_TIMEOUT_S: Final = 30 * 86400.0
"""Thirty days: past it a machine is likelier to be restarted than the job to end."""
MAX_GRACE_S: Final = 3600.0
"""An hour between SIGTERM and SIGKILL saves the largest checkpoint."""
MAX_DISCONNECT_TIMEOUT_S: Final = 7 * 86400.0
"""A week: so long may a job run unseen before it counts as lost."""
MAX_DEADLINE_S: Final = 365 * 86400.0
"""A year."""

MAX_ATTEMPTS: Final = 100
"""A hundred failures will not be mended by one more."""
MAX_BACKOFF_S: Final = 86400.0
"""A day between two attempts; later ones are a schedule."""
MIN_BACKOFF_FACTOR: Final = 1.0
"""Waits never get shorter."""
MAX_BACKOFF_FACTOR: Final = 10.0
"""Anything steeper reaches the longest wait at the second attempt."""
MAX_JITTER: Final = 1.0
"""The whole of a wait."""

MAX_CPU_MILLICORES: Final = 4096 * 1000
"""Twice the cores of the largest machines, so that a slip of the unit is found."""
MAX_MEMORY_BYTES: Final = 2**50
"""1 PiB, for the same reason."""
MAX_DISK_BYTES: Final = 2**50
"""As memory."""
MAX_GPUS: Final = 1024
"""More than any one machine has."""
MAX_GPU_TYPES: Final = 16
"""Alternatives, of which one will do."""
MAX_CUSTOM_RESOURCES: Final = 64
"""Kinds of countable things that one job needs."""
MAX_CUSTOM_RESOURCE_COUNT: Final = 10**9
"""Of one kind."""

MAX_SELECTOR_LABELS: Final = 64
"""As many as a worker or a job has."""
MAX_SELECTOR_EXPRESSIONS: Final = 32
"""Each is compared with each worker."""
MAX_SELECTOR_VALUES: Final = 64
"""As above."""
MAX_TOLERATIONS: Final = 64
"""As above."""

MAX_BATCH_JOBS: Final = 10_000
"""A batch is one transaction; this many commit in well under a second or two."""
MAX_REQUEST_BYTES: Final = 64 * 1024 * 1024
"""One request. Well above the other limits, so that they are the ones that are named."""
RESERVED_ENVIRONMENT_PREFIX: Final = "HODEI_"
"""The agent sets these; a definition must not forge them."""

_ENVIRONMENT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_KEY_RULE: Final = (
    f"1 to {MAX_LABEL_KEY_CHARS} letters, digits, dots, slashes, underscores or hyphens, the first "
    "and the last a letter or a digit"
)


def check(
    job_id: JobId | None, spec: JobSpec, *, prefix: str = "job_definition"
) -> list[FieldViolation]:
    """Everything in a definition that is not allowed; empty when all of it is.

    Args:
        job_id: The id that the client gave; None when it gave none.
        spec: The definition.
        prefix: The path of the definition in its request, put before each field's.
    """
    found = Violations(prefix)
    if job_id is not None and not is_valid_id(job_id):
        found.add("job_id.value", f"is {shown(job_id)}: an id has {ID_RULE}")
    found.check_line("name", spec.name, max_chars=MAX_NAME_CHARS)
    found.check_text("description", spec.description, max_bytes=MAX_DESCRIPTION_BYTES)
    _check_command(found, spec)
    _check_environment(found, spec.environment)
    if spec.stdin is not None and len(spec.stdin) > MAX_STDIN_BYTES:
        found.add(
            "stdin",
            f"has {len(spec.stdin)} bytes: at most {MAX_STDIN_BYTES}; let the job read a file",
        )
    _check_times(found, spec)
    _check_retry(found, spec.retry)
    if spec.labels:
        _check_labels(found, "labels", spec.labels, MAX_LABELS)
    if spec.tags:
        found.check_words("tags", spec.tags, at_most=MAX_TAGS, max_chars=MAX_TAG_CHARS)
    _check_selector(found, spec.selector)
    _check_tolerations(found, spec.tolerations)
    _check_resources(found, spec.resources)
    if spec.image or spec.container is not None:
        check_container(found, spec.image, spec.container)
    found.check_line("scheduling.preferred_region", spec.preferred_region, max_chars=MAX_NAME_CHARS)
    return found.found


def check_line(field: str, text: str, *, max_chars: int = MAX_ACTOR_CHARS) -> list[FieldViolation]:
    """What is not allowed in a short text outside a definition, such as `queued_by`."""
    found = Violations()
    found.check_line(field, text, max_chars=max_chars)
    return found.found


def require_line(field: str, text: str, *, max_chars: int = MAX_ACTOR_CHARS) -> None:
    """Refuses a short text outside a definition that is not allowed.

    Raises:
        InvalidFieldsError: It is too long, or has control characters; names `field`.
    """
    violations = check_line(field, text, max_chars=max_chars)
    if violations:
        raise InvalidFieldsError(violations)


def check_labels(field: str, labels: Mapping[str, str]) -> list[FieldViolation]:
    """What is not allowed in labels outside a definition, such as those of a worker."""
    found = Violations()
    _check_labels(found, field, labels, MAX_LABELS)
    return found.found


def _check_command(found: Violations, spec: JobSpec) -> None:
    command = spec.command
    if isinstance(command, Script):
        _check_script(found, command)
    else:
        _check_argv(found, command)
    total = _exec_size(spec)
    if total > MAX_ARGV_AND_ENVIRONMENT_BYTES:
        found.add(
            "arguments" if isinstance(command, Exec) else "environment",
            f"arguments and environment have {total} bytes in all, each string counted with "
            f"{STRING_OVERHEAD_BYTES} more: at most {MAX_ARGV_AND_ENVIRONMENT_BYTES}; pass large "
            "data by stdin or in a file",
        )
    found.check_text("working_dir", spec.working_dir, max_bytes=MAX_PATH_BYTES)


def _check_script(found: Violations, script: Script) -> None:
    if not script.content:
        found.add("script.content", "is empty: give the text of the script, or use command")
    found.check_text("script.content", script.content, max_bytes=MAX_SCRIPT_BYTES)
    if not script.interpreter:
        found.add("script.interpreter", "is empty: name the program that runs the script")
    found.check_text("script.interpreter", script.interpreter, max_bytes=MAX_PATH_BYTES)


def _check_argv(found: Violations, command: Exec) -> None:
    argv = command.argv
    if not argv or not argv[0]:
        found.add("command", "is empty: name the program to run, or give a script")
        return
    for index, argument in enumerate(argv):
        if len(argument) <= MAX_ARGUMENT_BYTES and b"\0" not in argument:
            continue
        field = f"arguments[{index - 1}]" if index else "command"
        if b"\0" in argument:
            found.add(field, "has a NUL byte, which no argument can hold: remove it")
        else:
            found.add(
                field,
                f"has {len(argument)} bytes: at most {MAX_ARGUMENT_BYTES}, as Linux has it; pass "
                "large data by stdin or in a file",
            )
    if not is_utf8(argv[0]):
        found.add(
            "command",
            "is not UTF-8: run it by a program whose name is, such as env, with this path first "
            "among arguments_raw",
        )


def _exec_size(spec: JobSpec) -> int:
    """What Linux counts of the definition when the program is started."""
    argv = spec.command.argv if isinstance(spec.command, Exec) else ()
    total = sum(map(len, argv)) + STRING_OVERHEAD_BYTES * len(argv)
    if spec.environment:
        # The sign between name and value is one byte of each variable.
        total += sum(map(size_of, spec.environment)) + sum(map(size_of, spec.environment.values()))
        total += (STRING_OVERHEAD_BYTES + 1) * len(spec.environment)
    return total


def _check_environment(found: Violations, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        field = f"environment[{shown(name)}]"
        if _ENVIRONMENT_NAME.fullmatch(name) is None:
            found.add(
                field, "a name has letters, digits and underscores, the first not a digit: rename"
            )
        elif name.startswith(RESERVED_ENVIRONMENT_PREFIX):
            found.add(
                field, f"names with {RESERVED_ENVIRONMENT_PREFIX} are the agent's own: rename it"
            )
        size = size_of(name) + 1 + size_of(value)
        if size > MAX_ARGUMENT_BYTES:
            found.add(
                field,
                f"name and value have {size} bytes: at most {MAX_ARGUMENT_BYTES}, as Linux has it; "
                "pass large data by stdin or in a file",
            )
        else:
            found.check_text(field, value, max_bytes=MAX_ARGUMENT_BYTES)


def _check_labels(found: Violations, field: str, labels: Mapping[str, str], at_most: int) -> None:
    found.check_count(field, labels, at_most=at_most)
    for key, value in labels.items():
        path = f"{field}[{shown(key)}]"
        _check_key(found, path, key)
        found.check_line(path, value, max_chars=MAX_LABEL_VALUE_CHARS)


def _check_key(found: Violations, field: str, key: str) -> None:
    if len(key) > MAX_LABEL_KEY_CHARS or _KEY.fullmatch(key) is None:
        found.add(field, f"{shown(key)} is not a key: a key has {_KEY_RULE}")


def _check_times(found: Violations, spec: JobSpec) -> None:
    found.check_seconds(
        "timeout.execution_timeout", spec.timeout_s, least=MIN_TIMEOUT_S, most=MAX_TIMEOUT_S
    )
    found.check_seconds("timeout.cleanup_timeout", spec.grace_s, least=0, most=MAX_GRACE_S)
    found.check_seconds(
        "disconnect_timeout",
        spec.disconnect_timeout_s,
        least=MIN_TIMEOUT_S,
        most=MAX_DISCONNECT_TIMEOUT_S,
    )
    if spec.deadline_s is not None:
        found.check_seconds(
            "scheduling.deadline", spec.deadline_s, least=MIN_TIMEOUT_S, most=MAX_DEADLINE_S
        )


def _check_retry(found: Violations, retry: RetryPolicy) -> None:
    if not 1 <= retry.max_attempts <= MAX_ATTEMPTS:
        found.add(
            "retry.max_attempts",
            f"is {retry.max_attempts}: 1 to {MAX_ATTEMPTS}, the first attempt included",
        )
    initial, longest = retry.initial_backoff_s, retry.max_backoff_s
    found.check_seconds("retry.initial_backoff", initial, least=0, most=MAX_BACKOFF_S)
    found.check_seconds("retry.max_backoff", longest, least=0, most=MAX_BACKOFF_S)
    if longest < initial <= MAX_BACKOFF_S:
        found.add(
            "retry.initial_backoff",
            f"is {initial:g} s, longer than retry.max_backoff ({longest:g} s): raise that too",
        )
    found.check_number(
        "retry.backoff_factor",
        retry.backoff_factor,
        least=MIN_BACKOFF_FACTOR,
        most=MAX_BACKOFF_FACTOR,
    )
    found.check_number("retry.jitter", retry.jitter, least=0, most=MAX_JITTER)
    for code in sorted(retry.retry_on & NEVER_RETRIED):
        found.add("retry.retry_on", f"has {code}, which is never retried: leave it out")


def _check_selector(found: Violations, selector: Selector) -> None:
    if selector.match_labels:
        _check_labels(found, "selector.match_labels", selector.match_labels, MAX_SELECTOR_LABELS)
    field = "selector.match_expressions"
    found.check_count(field, selector.match_expressions, at_most=MAX_SELECTOR_EXPRESSIONS)
    for index, each in enumerate(selector.match_expressions):
        _check_requirement(found, f"{field}[{index}]", each)


def _check_requirement(found: Violations, field: str, each: SelectorRequirement) -> None:
    _check_key(found, f"{field}.key", each.key)
    values = f"{field}.values"
    if each.operator in {SelectorOperator.IN, SelectorOperator.NOT_IN}:
        if not each.values:
            found.add(values, f"is empty: {each.operator} needs at least one value")
    elif each.values:
        found.add(values, f"is not empty: {each.operator} compares no value; leave them out")
    found.check_count(values, each.values, at_most=MAX_SELECTOR_VALUES)
    for index, value in enumerate(each.values):
        found.check_line(f"{values}[{index}]", value, max_chars=MAX_LABEL_VALUE_CHARS)


def _check_tolerations(found: Violations, tolerations: tuple[Toleration, ...]) -> None:
    found.check_count("tolerations", tolerations, at_most=MAX_TOLERATIONS)
    for index, each in enumerate(tolerations):
        field = f"tolerations[{index}]"
        if each.key:
            _check_key(found, f"{field}.key", each.key)
        if each.operator == "Exists":
            if each.value:
                found.add(f"{field}.value", "is set: Exists compares no value; leave it out")
        elif each.operator != "Equal":
            found.add(f"{field}.operator", f"is {shown(each.operator)}: Equal or Exists")
        elif not each.key:
            found.add(f"{field}.key", "is empty: name the taint, or use the operator Exists")
        found.check_line(f"{field}.value", each.value, max_chars=MAX_LABEL_VALUE_CHARS)


def _check_resources(found: Violations, resources: Resources) -> None:
    for field, amount, most in (
        ("memory_bytes", resources.memory_bytes, MAX_MEMORY_BYTES),
        ("disk_bytes", resources.disk_bytes, MAX_DISK_BYTES),
        ("gpu_count", resources.gpu_count, MAX_GPUS),
    ):
        if not 0 <= amount <= most:
            found.add(f"requirements.{field}", f"is {amount}: 0 to {most}")
    if not 0 <= resources.cpu_millicores <= MAX_CPU_MILLICORES:
        cores = resources.cpu_millicores / 1000
        found.add(
            "requirements.cpu_cores", f"is {cores:g}: 0 to {MAX_CPU_MILLICORES / 1000:g} cores"
        )
    if resources.gpu_types:
        _check_gpu_types(found, resources)
    if resources.custom:
        _check_custom(found, resources.custom)


def _check_gpu_types(found: Violations, resources: Resources) -> None:
    field = "requirements.gpu_types"
    found.check_words(field, resources.gpu_types, at_most=MAX_GPU_TYPES, max_chars=MAX_TAG_CHARS)
    if resources.gpu_count == 0:
        found.add(field, "is set without GPUs: set requirements.gpu_count to 1 or more")


def _check_custom(found: Violations, custom: Mapping[str, int]) -> None:
    found.check_count("requirements.custom_required", custom, at_most=MAX_CUSTOM_RESOURCES)
    for name, count in custom.items():
        field = f"requirements.custom_required[{shown(name)}]"
        _check_key(found, field, name)
        if not 0 <= count <= MAX_CUSTOM_RESOURCE_COUNT:
            found.add(field, f"is {count}: 0 to {MAX_CUSTOM_RESOURCE_COUNT}")
