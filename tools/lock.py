"""Writes the hashed locks under `requirements/`; with `--check`, fails when one is out of date.

A lock holds names, versions and hashes, never an address: whoever installs from it brings their
own index, and the hashes see to it that they get the same files. Versions stay as they are while
they satisfy `pyproject.toml`; `--upgrade` takes the newest of everything.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"

# From the largest to the smallest: each later one takes its versions from the one before, so that
# a test runs with what users get.
RECIPES: dict[str, list[str]] = {
    "dev.txt": ["pyproject.toml", "--group", "dev", "--group", "build"],
    "runtime.txt": ["pyproject.toml", "--group", "build", "--constraint", "{locks}/dev.txt"],
    "docs.txt": ["--group", "docs", "--constraint", "{locks}/dev.txt"],
    "lock.txt": ["--group", "lock"],
}


def compile_locks(into: Path, *, upgrade: bool) -> None:
    """Compiles every lock into a directory that may hold the present ones."""
    for name, recipe in RECIPES.items():
        command = [
            str(Path(sys.executable).with_name("uv")),
            "pip",
            "compile",
            "--quiet",
            "--generate-hashes",
            "--no-annotate",
            "--no-emit-index-url",
            "--no-emit-find-links",
            "--universal",
            "--python-version",
            "3.11",
            "--custom-compile-command",
            "make lock",
            "--output-file",
            str(into / name),
            *(["--upgrade"] if upgrade else []),
            *(part.format(locks=into) for part in recipe),
        ]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when stale")
    parser.add_argument("--upgrade", action="store_true", help="take the newest of everything")
    options = parser.parse_args()
    if not options.check:
        LOCKS.mkdir(exist_ok=True)
        compile_locks(LOCKS, upgrade=options.upgrade)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        for name in RECIPES:
            shutil.copy(LOCKS / name, fresh / name)
        compile_locks(fresh, upgrade=False)
        stale = [n for n in RECIPES if (fresh / n).read_text() != (LOCKS / n).read_text()]
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make lock`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
