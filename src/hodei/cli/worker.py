"""What `hodei worker` does: becomes the agent, with its bootstrap document on stdin."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

from hodei.cli.pairs import read_counts, read_pairs
from hodei.kernel.errors import InvalidFieldsError


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedWorker:
    """What was typed."""

    bootstrap: str
    work_dir: str
    name: str
    slots: int | None
    labels: Sequence[str]
    taints: Sequence[str]
    resources: Sequence[str]


def become_worker(typed: TypedWorker) -> NoReturn:
    """Replaces this process by the agent.

    Raises:
        InvalidFieldsError: There is no bootstrap document, or it is none.
    """
    document = json.dumps(_complete(_read_document(typed.bootstrap), typed)).encode()
    # A file in memory: the one-time password is neither in argv nor on a disk.
    fd = os.memfd_create("hodei-bootstrap")
    os.write(fd, document)
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    command = [sys.executable, "-m", "hodei.agent"]
    if typed.work_dir:
        command += ["--work-dir", typed.work_dir]
    os.execv(sys.executable, command)  # noqa: S606 - that is what this command is for


def _read_document(name: str) -> dict[str, object]:
    option = f"--bootstrap {name}" if name else "stdin"
    if not name and sys.stdin.isatty():
        raise InvalidFieldsError.of(
            "stdin",
            "is a terminal; run hodei workers invite | hodei worker, or give --bootstrap FILE",
        )
    try:
        text = Path(name).read_bytes() if name else sys.stdin.buffer.read()
        document: object = json.loads(text)
    except OSError as error:
        raise InvalidFieldsError.of(option, f"cannot be read: {error.strerror}") from error
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise InvalidFieldsError.of(
            option, "is not a bootstrap document; hodei workers invite prints one"
        )
    return cast("dict[str, object]", document)


def _complete(document: dict[str, object], typed: TypedWorker) -> dict[str, object]:
    """The document with what was typed in its place."""
    given: dict[str, object] = {}
    if typed.name:
        given["name"] = typed.name
    if typed.slots is not None:
        given["slots"] = typed.slots
    if typed.labels:
        labels = cast("dict[str, str]", document.get("labels") or {})
        given["labels"] = {**labels, **read_pairs(typed.labels, option="--label")}
    if typed.taints:
        given["taints"] = list(typed.taints)
    if typed.resources:
        given["custom_resources"] = read_counts(typed.resources, option="--resource")
    return {**document, **given}
