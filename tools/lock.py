"""Writes the hashed locks under `requirements/`; `--check` fails when one no longer fits.

A lock holds names, versions and hashes, never an address: whoever installs from it brings their
own index, and the hashes see to it that they get the same files. Versions stay as they are while
they satisfy `pyproject.toml`; `--upgrade` takes the newest of everything.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
PINNED = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock, and what of `pyproject.toml` it covers."""

    name: str
    project: bool = False
    """Whether it has the dependencies of the project itself."""
    groups: tuple[str, ...] = ()
    constraint: str = ""
    """The lock that its versions are taken from."""

    def arguments(self) -> list[str]:
        """What to tell `uv pip compile`."""
        return [
            *(["pyproject.toml"] if self.project else []),
            *(word for group in self.groups for word in ("--group", group)),
            *(["--constraint", str(LOCKS / self.constraint)] if self.constraint else []),
            "--output-file",
            str(LOCKS / self.name),
        ]


# From the largest to the smallest: each later one takes its versions from the first, so that what
# was tested is what users get.
ALL = (
    Lock(name="dev.txt", project=True, groups=("dev", "build")),
    Lock(name="runtime.txt", project=True, groups=("build",), constraint="dev.txt"),
    Lock(name="docs.txt", groups=("docs",), constraint="dev.txt"),
    Lock(name="lock.txt", groups=("lock",)),
)


def compile_locks(*, upgrade: bool) -> None:
    """Brings every lock in line with `pyproject.toml`."""
    LOCKS.mkdir(exist_ok=True)
    for lock in ALL:
        command = [
            *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet"),
            *("--generate-hashes", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
            *("--universal", "--python-version", "3.11", "--custom-compile-command", "make lock"),
            *(["--upgrade"] if upgrade else []),
            *lock.arguments(),
        ]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def misfits(lock: Lock, wanted: list[str], text: str) -> Iterator[str]:
    """The requirements that a lock's text lacks or has in a version that is not allowed."""
    pinned = {canonicalize_name(m["name"]): m["version"] for m in PINNED.finditer(text)}
    for line in wanted:
        requirement = Requirement(line)
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            yield f"requirements/{lock.name} has {version or 'no version'} for {line}"


def check_locks() -> list[str]:
    """What no longer fits `pyproject.toml`, without asking any index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[str] = []
    for lock in ALL:
        wanted = list(project["project"]["dependencies"]) if lock.project else []
        wanted += [line for group in lock.groups for line in project["dependency-groups"][group]]
        found += misfits(lock, wanted, (LOCKS / lock.name).read_text())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when stale")
    parser.add_argument("--upgrade", action="store_true", help="take the newest of everything")
    options = parser.parse_args()
    if not options.check:
        compile_locks(upgrade=options.upgrade)
        return 0
    found = check_locks()
    for line in found:
        print(f"{line}; run `make lock`", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
