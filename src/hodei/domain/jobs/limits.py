"""What is allowed in a job's definition: every bound with its reason, and the check that holds them.

The bounds keep a definition runnable (what Linux takes), storable (what one event may hold) and
showable. docs/reference/limits.md lists them; a test compares the two.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

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
from hodei.kernel.errors import FieldViolation
from hodei.kernel.ids import ID_RULE, JobId, is_valid_id
from hodei.kernel.units import format_duration

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
MAX_VIOLATIONS: Final = 100
"""So many faults of one definition are told at once; nobody mends more in one go."""

RESERVED_ENVIRONMENT_PREFIX: Final = "HODEI_"
"""The agent sets these; a definition must not forge them."""

_ENVIRONMENT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_KEY_RULE: Final = (
    f"1 to {MAX_LABEL_KEY_CHARS} letters, digits, dots, slashes, underscores or hyphens, the first "
    "and the last a letter or a digit"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN_CHARS: Final = 40
"""How much of a refused value a message repeats."""


class _Problems(list[FieldViolation]):
    """The violations found so far, each under the path of the definition."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = f"{prefix}." if prefix else ""

    def add(self, field: str, description: str) -> None:
        if len(self) < MAX_VIOLATIONS:
            self.append(FieldViolation(field=self._prefix + field, description=description))


def check(
    job_id: JobId | None, spec: JobSpec, *, prefix: str = "job_definition"
) -> list[FieldViolation]:
    """Everything in a definition that is not allowed; empty when all of it is.

    Args:
        job_id: The id that the client gave; None when it gave none.
        spec: The definition.
        prefix: The path of the definition in its request, put before each field's.
    """
    problems = _Problems(prefix)
    if job_id is not None and not is_valid_id(job_id):
        problems.add("job_id.value", f"is {_shown(job_id)}: an id has {ID_RULE}")
    _check_line(problems, "name", spec.name, MAX_NAME_CHARS)
    _check_text(problems, "description", spec.description, MAX_DESCRIPTION_BYTES)
    _check_command(problems, spec)
    _check_environment(problems, spec.environment)
    if spec.stdin is not None and len(spec.stdin) > MAX_STDIN_BYTES:
        problems.add(
            "stdin",
            f"has {len(spec.stdin)} bytes: at most {MAX_STDIN_BYTES}; let the job read a file",
        )
    _check_times(problems, spec)
    _check_retry(problems, spec.retry)
    if spec.labels:
        _check_labels(problems, "labels", spec.labels, MAX_LABELS)
    if spec.tags:
        _check_words(problems, "tags", spec.tags, at_most=MAX_TAGS, max_chars=MAX_TAG_CHARS)
    _check_selector(problems, spec.selector)
    _check_tolerations(problems, spec.tolerations)
    _check_resources(problems, spec.resources)
    _check_line(problems, "scheduling.preferred_region", spec.preferred_region, MAX_NAME_CHARS)
    return list(problems)


def check_line(field: str, text: str, *, max_chars: int = MAX_ACTOR_CHARS) -> list[FieldViolation]:
    """What is not allowed in a short text outside a definition, such as `queued_by`."""
    problems = _Problems("")
    _check_line(problems, field, text, max_chars)
    return list(problems)


def check_labels(field: str, labels: Mapping[str, str]) -> list[FieldViolation]:
    """What is not allowed in labels outside a definition, such as those of a worker."""
    problems = _Problems("")
    _check_labels(problems, field, labels, MAX_LABELS)
    return list(problems)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")


def _size(text: str) -> int:
    """Bytes of the text in UTF-8; half a surrogate pair counts too, and is found elsewhere."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _is_unicode(text: str) -> bool:
    """Whether the text can be written in UTF-8.

    It cannot where Python took other bytes for surrogates, as it does with arguments and names
    of files.
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_line(problems: _Problems, field: str, text: str, max_chars: int) -> None:
    if not text:
        return
    if len(text) > max_chars:
        problems.add(field, f"has {len(text)} characters: at most {max_chars}; shorten it")
    elif _CONTROL.search(text):
        problems.add(field, f"is {_shown(text)}: control characters are not allowed; remove them")
    elif not _is_unicode(text):
        problems.add(field, "is not UTF-8: write it in Unicode")


def _check_text(problems: _Problems, field: str, text: str, max_bytes: int) -> None:
    if not text:
        return
    size = _size(text)
    if size > max_bytes:
        problems.add(field, f"has {size} bytes: at most {max_bytes}; shorten it")
    elif "\0" in text:
        problems.add(field, "has a NUL byte: remove it")
    elif not _is_unicode(text):
        problems.add(field, "is not UTF-8: write it in Unicode")


def _check_command(problems: _Problems, spec: JobSpec) -> None:
    command = spec.command
    if isinstance(command, Script):
        _check_script(problems, command)
    else:
        _check_argv(problems, command)
    total = _exec_size(spec)
    if total > MAX_ARGV_AND_ENVIRONMENT_BYTES:
        problems.add(
            "arguments" if isinstance(command, Exec) else "environment",
            f"arguments and environment have {total} bytes in all, each string counted with "
            f"{STRING_OVERHEAD_BYTES} more: at most {MAX_ARGV_AND_ENVIRONMENT_BYTES}; pass large "
            "data by stdin or in a file",
        )
    _check_path(problems, "working_dir", spec.working_dir)


def _check_script(problems: _Problems, script: Script) -> None:
    if not script.content:
        problems.add("script.content", "is empty: give the text of the script, or use command")
    _check_text(problems, "script.content", script.content, MAX_SCRIPT_BYTES)
    if not script.interpreter:
        problems.add("script.interpreter", "is empty: name the program that runs the script")
    _check_path(problems, "script.interpreter", script.interpreter)


def _check_argv(problems: _Problems, command: Exec) -> None:
    argv = command.argv
    if not argv or not argv[0]:
        problems.add("command", "is empty: name the program to run, or give a script")
        return
    for index, argument in enumerate(argv):
        if len(argument) <= MAX_ARGUMENT_BYTES and b"\0" not in argument:
            continue
        field = f"arguments[{index - 1}]" if index else "command"
        if b"\0" in argument:
            problems.add(field, "has a NUL byte, which no argument can hold: remove it")
        else:
            problems.add(
                field,
                f"has {len(argument)} bytes: at most {MAX_ARGUMENT_BYTES}, as Linux has it; pass "
                "large data by stdin or in a file",
            )
    if not _is_utf8(argv[0]):
        problems.add(
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
        total += sum(map(_size, spec.environment)) + sum(map(_size, spec.environment.values()))
        total += (STRING_OVERHEAD_BYTES + 1) * len(spec.environment)
    return total


def _check_path(problems: _Problems, field: str, path: str) -> None:
    _check_text(problems, field, path, MAX_PATH_BYTES)


def _check_environment(problems: _Problems, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        field = f"environment[{_shown(name)}]"
        if _ENVIRONMENT_NAME.fullmatch(name) is None:
            problems.add(
                field, "a name has letters, digits and underscores, the first not a digit: rename"
            )
        elif name.startswith(RESERVED_ENVIRONMENT_PREFIX):
            problems.add(
                field, f"names with {RESERVED_ENVIRONMENT_PREFIX} are the agent's own: rename it"
            )
        size = _size(name) + 1 + _size(value)
        if size > MAX_ARGUMENT_BYTES:
            problems.add(
                field,
                f"name and value have {size} bytes: at most {MAX_ARGUMENT_BYTES}, as Linux has it; "
                "pass large data by stdin or in a file",
            )
        else:
            _check_text(problems, field, value, MAX_ARGUMENT_BYTES)


def _check_labels(problems: _Problems, field: str, labels: Mapping[str, str], at_most: int) -> None:
    _check_count(problems, field, labels, at_most)
    for key, value in labels.items():
        path = f"{field}[{_shown(key)}]"
        _check_key(problems, path, key)
        _check_line(problems, path, value, MAX_LABEL_VALUE_CHARS)


def _check_key(problems: _Problems, field: str, key: str) -> None:
    if len(key) > MAX_LABEL_KEY_CHARS or _KEY.fullmatch(key) is None:
        problems.add(field, f"{_shown(key)} is not a key: a key has {_KEY_RULE}")


def _check_count(problems: _Problems, field: str, items: Collection[object], at_most: int) -> None:
    if len(items) > at_most:
        problems.add(field, f"has {len(items)} entries: at most {at_most}; leave some out")


def _check_words(
    problems: _Problems, field: str, words: Collection[str], *, at_most: int, max_chars: int
) -> None:
    _check_count(problems, field, words, at_most)
    for index, word in enumerate(words):
        if not word:
            problems.add(f"{field}[{index}]", "is empty: remove it")
        _check_line(problems, f"{field}[{index}]", word, max_chars)


def _check_times(problems: _Problems, spec: JobSpec) -> None:
    _check_seconds(
        problems, "timeout.execution_timeout", spec.timeout_s, MIN_TIMEOUT_S, MAX_TIMEOUT_S
    )
    _check_seconds(problems, "timeout.cleanup_timeout", spec.grace_s, 0, MAX_GRACE_S)
    _check_seconds(
        problems,
        "disconnect_timeout",
        spec.disconnect_timeout_s,
        MIN_TIMEOUT_S,
        MAX_DISCONNECT_TIMEOUT_S,
    )
    if spec.deadline_s is not None:
        _check_seconds(
            problems, "scheduling.deadline", spec.deadline_s, MIN_TIMEOUT_S, MAX_DEADLINE_S
        )


def _check_seconds(
    problems: _Problems, field: str, seconds: float, least: float, most: float
) -> None:
    # Written so that NaN is refused too.
    if not least <= seconds <= most:
        problems.add(
            field, f"is {seconds:g} s: {format_duration(least)} to {format_duration(most)}"
        )


def _check_retry(problems: _Problems, retry: RetryPolicy) -> None:
    if not 1 <= retry.max_attempts <= MAX_ATTEMPTS:
        problems.add(
            "retry.max_attempts",
            f"is {retry.max_attempts}: 1 to {MAX_ATTEMPTS}, the first attempt included",
        )
    initial, longest = retry.initial_backoff_s, retry.max_backoff_s
    _check_seconds(problems, "retry.initial_backoff", initial, 0, MAX_BACKOFF_S)
    _check_seconds(problems, "retry.max_backoff", longest, 0, MAX_BACKOFF_S)
    if longest < initial <= MAX_BACKOFF_S:
        problems.add(
            "retry.initial_backoff",
            f"is {initial:g} s, longer than retry.max_backoff ({longest:g} s): raise that too",
        )
    _check_number(
        problems,
        "retry.backoff_factor",
        retry.backoff_factor,
        MIN_BACKOFF_FACTOR,
        MAX_BACKOFF_FACTOR,
    )
    _check_number(problems, "retry.jitter", retry.jitter, 0, MAX_JITTER)
    for code in sorted(retry.retry_on & NEVER_RETRIED):
        problems.add("retry.retry_on", f"has {code}, which is never retried: leave it out")


def _check_number(
    problems: _Problems, field: str, number: float, least: float, most: float
) -> None:
    if not least <= number <= most:
        problems.add(field, f"is {number:g}: {least:g} to {most:g}")


def _check_selector(problems: _Problems, selector: Selector) -> None:
    if selector.match_labels:
        _check_labels(problems, "selector.match_labels", selector.match_labels, MAX_SELECTOR_LABELS)
    field = "selector.match_expressions"
    _check_count(problems, field, selector.match_expressions, MAX_SELECTOR_EXPRESSIONS)
    for index, each in enumerate(selector.match_expressions):
        _check_requirement(problems, f"{field}[{index}]", each)


def _check_requirement(problems: _Problems, field: str, each: SelectorRequirement) -> None:
    _check_key(problems, f"{field}.key", each.key)
    values = f"{field}.values"
    if each.operator in {SelectorOperator.IN, SelectorOperator.NOT_IN}:
        if not each.values:
            problems.add(values, f"is empty: {each.operator} needs at least one value")
    elif each.values:
        problems.add(values, f"is not empty: {each.operator} compares no value; leave them out")
    _check_count(problems, values, each.values, MAX_SELECTOR_VALUES)
    for index, value in enumerate(each.values):
        _check_line(problems, f"{values}[{index}]", value, MAX_LABEL_VALUE_CHARS)


def _check_tolerations(problems: _Problems, tolerations: tuple[Toleration, ...]) -> None:
    _check_count(problems, "tolerations", tolerations, MAX_TOLERATIONS)
    for index, each in enumerate(tolerations):
        field = f"tolerations[{index}]"
        if each.key:
            _check_key(problems, f"{field}.key", each.key)
        if each.operator == "Exists":
            if each.value:
                problems.add(f"{field}.value", "is set: Exists compares no value; leave it out")
        elif each.operator != "Equal":
            problems.add(f"{field}.operator", f"is {_shown(each.operator)}: Equal or Exists")
        elif not each.key:
            problems.add(f"{field}.key", "is empty: name the taint, or use the operator Exists")
        _check_line(problems, f"{field}.value", each.value, MAX_LABEL_VALUE_CHARS)


def _check_resources(problems: _Problems, resources: Resources) -> None:
    for field, amount, most in (
        ("memory_bytes", resources.memory_bytes, MAX_MEMORY_BYTES),
        ("disk_bytes", resources.disk_bytes, MAX_DISK_BYTES),
        ("gpu_count", resources.gpu_count, MAX_GPUS),
    ):
        if not 0 <= amount <= most:
            problems.add(f"requirements.{field}", f"is {amount}: 0 to {most}")
    if not 0 <= resources.cpu_millicores <= MAX_CPU_MILLICORES:
        cores = resources.cpu_millicores / 1000
        problems.add(
            "requirements.cpu_cores", f"is {cores:g}: 0 to {MAX_CPU_MILLICORES / 1000:g} cores"
        )
    if resources.gpu_types:
        _check_gpu_types(problems, resources)
    if resources.custom:
        _check_custom(problems, resources.custom)


def _check_gpu_types(problems: _Problems, resources: Resources) -> None:
    field = "requirements.gpu_types"
    _check_words(
        problems, field, resources.gpu_types, at_most=MAX_GPU_TYPES, max_chars=MAX_TAG_CHARS
    )
    if resources.gpu_count == 0:
        problems.add(field, "is set without GPUs: set requirements.gpu_count to 1 or more")


def _check_custom(problems: _Problems, custom: Mapping[str, int]) -> None:
    _check_count(problems, "requirements.custom_required", custom, MAX_CUSTOM_RESOURCES)
    for name, count in custom.items():
        field = f"requirements.custom_required[{_shown(name)}]"
        _check_key(problems, field, name)
        if not 0 <= count <= MAX_CUSTOM_RESOURCE_COUNT:
            problems.add(field, f"is {count}: 0 to {MAX_CUSTOM_RESOURCE_COUNT}")
