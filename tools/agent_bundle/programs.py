"""Running programs of the machine that builds."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent_bundle.recipe import BuildError


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a program prints.

    Raises:
        BuildError: It is not there, or fails; has its last words.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BuildError(f"{words[0]} is not there: install it") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-1000:]
        raise BuildError(f"{' '.join(words[:4])} … failed with {done.returncode}: {said}")
    return done.stdout
