"""The wheels of the agent, by the hashes of the lock that the server is installed from."""

import hashlib
import re
import sys
import zipfile
from pathlib import Path

from agent_bundle.programs import run
from agent_bundle.recipe import CACHE, PYTHON, ROOT, WHEELS, Architecture, BuildError

LOCK = ROOT / "requirements" / "runtime.txt"


def locked() -> str:
    """The part of the lock that is the agent's.

    Raises:
        BuildError: The lock has one of them not.
    """
    entries: dict[str, str] = {}
    for entry in re.findall(r"^[a-z][^\n\\]*(?:\\\n[^\n\\]*)*\n?", LOCK.read_text(), re.MULTILINE):
        entries[re.split(r"[=\s]", entry, maxsplit=1)[0]] = entry
    if missing := set(WHEELS) - entries.keys():
        raise BuildError(f"{LOCK.name} does not have {', '.join(sorted(missing))}")
    return "".join(entries[name] for name in WHEELS)


def unpack(architecture: Architecture, into: Path) -> list[str]:
    """Downloads what is not there yet and unpacks all; returns the names of the wheels.

    Raises:
        BuildError: One cannot be had for this architecture.
    """
    lock = locked()
    digest = hashlib.sha256(lock.encode()).hexdigest()[:12]
    folder = CACHE / architecture.debian / f"wheels-{digest}"
    if not folder.exists():
        _download(architecture, lock, folder)
    wheels = sorted(folder.glob("*.whl"))
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into)
    return [wheel.name for wheel in wheels]


def _download(architecture: Architecture, lock: str, folder: Path) -> None:
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    requirements = partial / "lock.txt"
    requirements.write_text(lock)
    version = PYTHON.removeprefix("python")
    abi = f"cp{version.replace('.', '')}"
    platforms = [word for each in architecture.wheel_platforms for word in ("--platform", each)]
    run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", partial),
            *("--python-version", version, "--implementation", "cp", *platforms),
            *("--abi", abi, "--abi", "abi3", "--abi", "none", "--requirement", requirements),
        ]
    )
    partial.rename(folder)
