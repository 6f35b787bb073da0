"""Starts a worker by hand, or the zygote that starts them for the local provider."""

import argparse
import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from hodei.agent import identity, zygote
from hodei.agent.bootstrap import from_environment
from hodei.agent.bundle import is_bundled
from hodei.agent.keeper import Prepare, Worker, keep
from hodei.kernel.errors import RefusedError

EXIT_USAGE: Final = 2
"""The agent was not started: something about the command or the bootstrap document is wrong."""


def main(arguments: Sequence[str], prepare: Prepare, preload: Callable[[], None]) -> int:
    """Runs `python -m hodei.agent`; returns the exit code.

    Args:
        arguments: Without the program's name; `zygote` alone is for the local provider, `key`
            alone for the agent itself.
        prepare: Makes the agent.
        preload: Imports what the agent will need.
    """
    if list(arguments) == ["zygote"]:
        preload()
        return zygote.serve(prepare)
    if list(arguments) == ["key"]:
        identity.print_key()
        return 0
    parser = argparse.ArgumentParser(
        prog="hodei-agent" if is_bundled() else "python -m hodei.agent",
        description="Runs a Hodei worker until it is drained (SIGTERM) or refused.",
    )
    parser.add_argument(
        "--bootstrap",
        type=Path,
        metavar="FILE",
        help="the bootstrap document, which only its owner may read; else it is taken from"
        " HODEI_OTP_TOKEN and the other variables where that is set, or else from stdin",
    )
    parser.add_argument(
        "--work-dir",
        type=Path,
        metavar="DIR",
        help="where jobs and unsent output live; else a temporary directory, removed at the end",
    )
    options = parser.parse_args(arguments)
    try:
        if options.work_dir is not None:
            return _work(options.bootstrap, options.work_dir.absolute(), prepare)
        with _temporary_directory() as directory:
            return _work(options.bootstrap, Path(directory), prepare)
    except (OSError, RefusedError) as error:
        print(f"hodei worker: {error}", file=sys.stderr)  # noqa: T201 - told to whoever started it
        return EXIT_USAGE


def _temporary_directory() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="hodei-worker-")
    except FileNotFoundError as error:
        raise RefusedError(
            "there is no temporary directory that it may write to: give one with --work-dir"
        ) from error


def _work(bootstrap: Path | None, directory: Path, prepare: Prepare) -> int:
    document = _read_document(bootstrap)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    prepared = prepare(document, directory / "work")
    job_umask = os.umask(0o077)
    with (directory / "alive.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(
                f"another worker works in {directory}: end it, or give this one its own --work-dir"
            ) from error
        worker = Worker(
            worker_id=prepared.worker_id,
            slots=prepared.slots,
            directory=directory,
            job_umask=job_umask,
            lock_fd=lock.fileno(),
            key_fd=prepared.key_fd,
        )
        return keep(worker, prepared.run)


def _read_document(file: Path | None) -> bytes:
    if file is not None:
        return file.read_bytes()
    if "HODEI_OTP_TOKEN" in os.environ:
        return json.dumps(asdict(from_environment(os.environ))).encode()
    if sys.stdin.isatty():
        raise RefusedError(
            "no bootstrap document: pipe one in (hodei workers invite | hodei worker), or name a"
            " file that has it (--bootstrap)"
        )
    document = sys.stdin.buffer.read()
    # Nobody else gets to read from there, and what was said is gone.
    null_fd = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_fd, sys.stdin.fileno())
    os.close(null_fd)
    return document
