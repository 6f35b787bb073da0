"""Fails when a tracked file holds what belongs to one machine or one network.

No host of a package registry and no address in a lock: whoever installs brings their own index, and
the hashes hold. No path of the machine that somebody wrote a file on.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

REGISTRY = re.compile(
    r"\b(?:[\w-]+\.)*(?:pypi|pythonhosted|npmjs|crates|rubygems|golang)\.(?:org|com|io)\b"
    r"|\b(?:deb|security|snapshot)\.debian\.org\b|\b(?:docker|ghcr|quay)\.io/",
)
MACHINE_PATH = re.compile(r"(?<![\w.$~/{}*-])/(?:root|work|Users/[\w-]+|home/(?!USER\b)[\w-]+)/")
LOCK_ADDRESS = re.compile(
    r"\w+://|file:|^\s*--?(?:i\b|f\b|index-url|extra-index-url|find-links)", re.MULTILINE
)
ADDRESS_LOCKS = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "package-lock.json"}
"""Lock formats that record where each file was downloaded from."""


def findings(path: str, text: str) -> list[str]:
    """What must not be in the file of this name, as `path:line: what`."""
    rules = [
        (REGISTRY, "names the host of a package registry"),
        (MACHINE_PATH, "names a path of the machine that it was written on"),
    ]
    if path.startswith("requirements/"):
        rules.append((LOCK_ADDRESS, "a lock holds names, versions and hashes, no addresses"))
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {message}: {match.group().strip()}"
        for pattern, message in rules
        for match in pattern.finditer(text)
    ]
    if Path(path).name in ADDRESS_LOCKS:
        found.append(f"{path}: this kind of lock records addresses; see tools/lock.py")
    return found


def tracked_files() -> list[str]:
    """The files that git tracks, without those that the work tree has deleted."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [path for path in listed.split("\0") if path and (ROOT / path).is_file()]


def main() -> int:
    found: list[str] = []
    for path in tracked_files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not text
        found += findings(path, text)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
