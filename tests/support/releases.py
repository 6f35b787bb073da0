"""The release before this one: its real code, out of the repository's own history.

`BEFORE` is the one place that names it. **At each release it moves on**: its `commit` becomes that
of the release that was current until then, with the number that this one gives itself and the
schema that it needs, so that it is always the one release that may run beside today's code
(docs/how-to/high-availability.md). A test fails when the numbers no longer lie so.

As long as there is one release only, it is a state that was landed, and may be in use, before the
schema was what it is today; it is run under a number that lies before today's.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A state of the project that installations may still run."""

    commit: str
    schema: str
    """The revision of PostgreSQL's schema that it needs, and makes."""
    version: str
    """What it calls itself here; servers and agents tell one another."""


BEFORE: Final = Release(
    commit="73e7d030700f8009f857ed509c6461aafdde1180",
    schema="0030",
    version="0.0.9",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The code of a release, which runs on this interpreter with these libraries."""

    release: Release
    source: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a `hodei`, and the agents that it starts, those of the release."""
        return {"PYTHONPATH": str(self.source)}


@pytest.fixture(scope="session")
def release_before(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The code of `BEFORE`; a skip where the history does not have it."""
    folder = tmp_path_factory.mktemp("release")
    source = folder / "src"
    git = ["git", "-C", str(ROOT), "archive", "--format=tar", BEFORE.commit, "src"]
    try:
        archive = subprocess.run(git, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("the release before is taken from the history, and there is no git")
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        pytest.skip(f"the release before is not in this copy of the history: {said}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    version = source / "hodei" / "kernel" / "version.py"
    version.write_text(f'VERSION = "{BEFORE.version}"\n')
    return Checkout(release=BEFORE, source=source)
