"""Makes a bundle, step by step, unless there is one of just these inputs already."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent_bundle import binaries, own_modules, tree, wheels
from agent_bundle.debian import Archive, Package
from agent_bundle.programs import run
from agent_bundle.recipe import (
    DEBIAN_PACKAGES,
    LAUNCHER_PACKAGES,
    ON_DISK,
    PYTHON,
    ROOT,
    SOURCES,
    STARTED_WITH,
    Architecture,
)

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle that is there."""

    directory: Path
    """Mount it anywhere, read-only; `hodei-agent` in it is the agent."""
    version: str


def build(architecture: Architecture, output: Path, version: str) -> Bundle:
    """Makes `output/hodei-agent-VERSION+HASH-ARCH`, and lets the link `output/ARCH` name it.

    Containers may be running from an older one, so that one is left as it is.

    Raises:
        BuildError: Something that is needed cannot be had, or is not what it was known to be.
    """
    archive = Archive(architecture)
    packages = archive.find((*DEBIAN_PACKAGES, *LAUNCHER_PACKAGES))
    inputs = _inputs_hash(packages, version)
    link = output / architecture.debian
    if (known := _read_manifest(link)) and known["inputs"] == inputs:
        return Bundle(directory=link.resolve(), version=known["version"])
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".making-") as scratch:
        unpacked, musl, wheel_files, top = (
            Path(scratch) / name for name in ("debian", "musl", "wheels", "bundle")
        )
        archive.unpack([each for each in packages if each.name in DEBIAN_PACKAGES], unpacked)
        archive.unpack([each for each in packages if each.name in LAUNCHER_PACKAGES], musl)
        wheel_names = wheels.unpack(architecture, wheel_files)
        own_files, asked_for = own_modules.reachable()
        tree.lay_out(architecture, unpacked, wheel_files, top)
        tree.add_own(own_files, top)
        binaries.strip(architecture, top)
        binaries.forget_preload_file(top / "lib" / "ld.so")
        binaries.check_closed(architecture, top)
        binaries.make_launcher(architecture, musl, top / "hodei-agent")
        _compile(top, asked_for, [] if archive.is_native else [architecture.emulator])
        content = tree.content_hash(top)
        full_version = f"{version}+{content[:12]}"
        (top / "VERSION").write_text(f"{full_version}\n")
        manifest = {
            "version": full_version,
            "architecture": architecture.debian,
            "content": content,
            "inputs": inputs,
            "packages": [asdict(each) for each in packages],
            "wheels": wheel_names,
        }
        (top / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        tree.settle(top)
        directory = output / f"hodei-agent-{full_version}-{architecture.debian}"
        shutil.rmtree(directory, ignore_errors=True)
        top.rename(directory)
    new_link = link.with_suffix(".new")
    new_link.unlink(missing_ok=True)
    new_link.symlink_to(directory.name)
    new_link.rename(link)
    return Bundle(directory=directory, version=full_version)


def _compile(top: Path, asked_for: Collection[str], emulator: Sequence[str]) -> None:
    """Turns all sources into code, by the bundle's own interpreter; some of them must be there."""
    libraries = top / "lib" / PYTHON
    for name in ("boot.py", "hodei_prepared.py", "typing_extensions.py"):
        shutil.copy(SOURCES / name, libraries / name)
    # Sets of constants are written in the order of their hashes: a fixed seed.
    interpreter = [
        *("env", "-i", f"PATH={os.defpath}", "PYTHONHASHSEED=0", *emulator),
        *(top / "lib" / "ld.so", "--inhibit-cache", "--library-path", top / "lib"),
        *("--argv0", top / "bin" / PYTHON, top / "bin" / PYTHON),
        *("-P", "-S", "-B", "-X", "utf8", "-X", "no_debug_ranges"),
    ]
    prepared, blob = top / "prepared", top / "hodei.blob"
    run([*interpreter, libraries / "hodei_prepared.py", prepared, *STARTED_WITH])
    run(
        [
            *(
                *interpreter,
                Path(__file__).with_name("compile_modules.py"),
                libraries,
                blob,
                prepared,
            ),
            *(",".join(("boot", *ON_DISK)), ",".join(sorted(asked_for))),
        ]
    )
    prepared.unlink()
    (libraries / "boot.pyc").rename(top / "boot.pyc")
    for folder in sorted(libraries.rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _inputs_hash(packages: Sequence[Package], version: str) -> str:
    digest = hashlib.sha256(version.encode())
    digest.update(repr(packages).encode())
    digest.update(wheels.locked().encode())
    tools = [path for top in (Path(__file__).parent, SOURCES) for path in top.glob("*.[cp]*")]
    for path in sorted((*tools, *own_modules.reachable()[0])):
        if path.is_file():
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _read_manifest(directory: Path) -> dict[str, str] | None:
    try:
        return json.loads((directory / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
