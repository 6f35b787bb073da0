"""The request for a job, from what was typed after `hodei run`."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from hodei.cli.pairs import read_counts, read_environment, read_pairs
from hodei.cli.run_container import TypedContainer
from hodei.domain.jobs.limits import MAX_SCRIPT_BYTES, MAX_STDIN_BYTES
from hodei.kernel.errors import InvalidFieldsError
from hodei.sdk import JobRequest

_FROM_STDIN: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedJob:
    """What was typed, grouped by how it is taken over."""

    command: Sequence[str]
    texts: Mapping[str, str]
    """By the request's field; empty means not given."""
    numbers: Mapping[str, float | None]
    lists: Mapping[str, Sequence[str] | None]
    script: str
    stdin: str
    env: Sequence[str]
    env_files: Sequence[str]
    labels: Sequence[str]
    selector: Sequence[str]
    resources: Sequence[str]
    container: TypedContainer


def request_of(typed: TypedJob, *, own: Mapping[str, str] = os.environ) -> JobRequest:
    """The request. Reads the files that it names, and stdin where it is asked to.

    Raises:
        InvalidFieldsError: Something in it cannot be; the error names the option.
    """
    fields: dict[str, Any] = {name: text for name, text in typed.texts.items() if text}
    fields |= {name: number for name, number in typed.numbers.items() if number is not None}
    fields |= {name: list(words) for name, words in typed.lists.items() if words}
    request = cast("JobRequest", fields)
    _add_program(request, typed)
    if env := _environment(typed, own):
        request["env"] = env
    if typed.labels:
        request["labels"] = read_pairs(typed.labels, option="--label")
    if typed.selector:
        request["selector"] = read_pairs(typed.selector, option="--selector")
    if typed.resources:
        request["resources"] = read_counts(typed.resources, option="--resource")
    if (container := typed.container.options()) is not None:
        request["container"] = container
    return request


def _add_program(request: JobRequest, typed: TypedJob) -> None:
    if typed.script and typed.command:
        raise InvalidFieldsError.of(
            "--script", "goes without a command; give a script what it needs by --env or --stdin"
        )
    if typed.script == _FROM_STDIN == typed.stdin:
        raise InvalidFieldsError.of("--stdin", "the script comes from stdin already; name a file")
    if typed.script:
        # Bytes that are not UTF-8 become lone surrogates, which the request refuses by name.
        script = _read(typed.script, MAX_SCRIPT_BYTES, option="--script")
        request["script"] = script.decode("utf-8", "surrogateescape")
    elif typed.command:
        request["command"] = list(typed.command)
    else:
        raise InvalidFieldsError.of(
            "COMMAND", "is missing; write hodei run -- COMMAND ARGS, or --script FILE"
        )
    if typed.stdin:
        request["stdin"] = _read(typed.stdin, MAX_STDIN_BYTES, option="--stdin")


def _environment(typed: TypedJob, own: Mapping[str, str]) -> dict[str, str]:
    env: dict[str, str] = {}
    for name in typed.env_files:
        lines = _read_lines(name)
        env |= read_environment(lines, own, option=f"--env-file {name}")
    return env | read_environment(typed.env, own, option="--env")


def _read_lines(name: str) -> list[str]:
    try:
        text = Path(name).read_text("utf-8", errors="surrogateescape")
    except OSError as error:
        raise _unreadable("--env-file", name, error) from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _read(name: str, most_bytes: int, *, option: str) -> bytes:
    try:
        if name == _FROM_STDIN:
            data = sys.stdin.buffer.read(most_bytes + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(most_bytes + 1)
    except OSError as error:
        raise _unreadable(option, name, error) from error
    if len(data) > most_bytes:
        # Said here, so that an endless file is not read to its end first.
        raise InvalidFieldsError.of(option, f"{name} is longer than {most_bytes} bytes, the limit")
    return data


def _unreadable(option: str, name: str, error: OSError) -> InvalidFieldsError:
    return InvalidFieldsError.of(option, f"cannot read {name}: {error.strerror or error}")
