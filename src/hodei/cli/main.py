"""The entry of the `hodei` command, and the edge where every error becomes one line."""

import sys
from collections.abc import Sequence
from contextlib import suppress

from hodei.cli.failures import Failure, failure_of
from hodei.cli.output import print_json, wants_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code. No error leaves it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words or ["--help"])
    except BrokenPipeError:
        return _end_without_reader()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the edge: told to the user, never swallowed
        return _report(failure_of(error), as_json=wants_json(words))


def _run(words: list[str]) -> int:
    from typer import Exit

    from hodei.cli.app import command

    tree = command()
    try:
        # Not its `main`, which turns a reader that has left into exit code 1 on its own.
        with tree.make_context("hodei", words) as context:
            tree.invoke(context)
    except Exit as left:
        return left.exit_code
    finally:
        sys.stdout.flush()
    return 0


def _report(failure: Failure, *, as_json: bool) -> int:
    if as_json:
        try:
            print_json(failure.to_dict())
        except BrokenPipeError:
            return _end_without_reader()
    print(f"hodei: {failure.line}", file=sys.stderr)
    return failure.exit_code


def _end_without_reader() -> int:
    """Ends as a program does whose reader has left (`hodei jobs list | head`)."""
    # What is left in the buffer has nowhere to go; closing it now keeps the interpreter from
    # complaining about that at its end.
    with suppress(BrokenPipeError):
        sys.stdout.close()
    return 141
