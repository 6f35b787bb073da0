"""The bundle's files: chosen out of what was unpacked, laid out, and told apart by their content."""

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from agent_bundle.recipe import (
    LEFT_OUT,
    PYTHON,
    ROOT,
    SHARED_LIBRARIES,
    Architecture,
    BuildError,
)

EPOCH = 0
"""The time of every file: a bundle says what is in it, not when it was made."""


def lay_out(architecture: Architecture, unpacked: Path, wheels: Path, top: Path) -> None:
    """Puts interpreter, libraries and sources where they belong."""
    libraries = top / "lib" / PYTHON
    (top / "bin").mkdir(parents=True)
    shutil.copy(unpacked / "usr" / "bin" / PYTHON, top / "bin" / PYTHON)
    _copy_chosen(unpacked / "usr" / "lib" / PYTHON, libraries)
    _copy_chosen(wheels, libraries)
    shutil.copy(unpacked / architecture.loader, top / "lib" / "ld.so")
    for name in SHARED_LIBRARIES:
        shutil.copy(_library(architecture, unpacked, name), top / "lib" / name)
    _copy_licences(unpacked, wheels, top / "licences")


def add_own(files: Collection[Path], top: Path) -> None:
    """Puts Hodei's own modules beside the others."""
    for path in files:
        destination = top / "lib" / PYTHON / path.relative_to(ROOT / "src")
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, destination)


def _copy_chosen(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_dir() or path.suffix not in {".py", ".so"} or LEFT_OUT.match(name):
            continue
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, destination)


def _library(architecture: Architecture, unpacked: Path, name: str) -> Path:
    for folder in ("lib", "usr/lib"):
        path = unpacked / folder / architecture.triplet / name
        if path.exists():
            return path
    raise BuildError(f"no package has {name}")


def _copy_licences(unpacked: Path, wheels: Path, target: Path) -> None:
    target.mkdir()
    shutil.copy(ROOT / "LICENSE", target / "hodei-jobs")
    for path in sorted((unpacked / "usr" / "share" / "doc").glob("*/copyright")):
        shutil.copy(path.resolve() if path.exists() else path, target / path.parent.name)
    for info in sorted(wheels.glob("*.dist-info")):
        texts = sorted(path for path in info.rglob("*") if path.name.upper().startswith("LICEN"))
        content = b"\n".join(path.read_bytes() for path in texts if path.is_file())
        (target / info.name.partition("-")[0]).write_bytes(content)


def content_hash(top: Path) -> str:
    """A hash over names, modes and content of all files."""
    digest = hashlib.sha256()
    for path in _files(top):
        mode = 0o755 if os.access(path, os.X_OK) else 0o644
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(top)}\0{mode:o}\0{content}\n".encode())
    return digest.hexdigest()


def settle(top: Path) -> None:
    """Gives every file the same time, and the rights that any user of an image needs."""
    for path in (*_files(top), *sorted(p for p in top.rglob("*") if p.is_dir()), top):
        is_open_to_all = path.is_dir() or os.access(path, os.X_OK)
        path.chmod(0o755 if is_open_to_all else 0o644)
        os.utime(path, (EPOCH, EPOCH))


def _files(top: Path) -> Iterator[Path]:
    yield from sorted(path for path in top.rglob("*") if path.is_file())
