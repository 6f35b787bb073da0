"""What is done to programs and libraries: stripped, checked, the launcher made."""

import re
from collections.abc import Iterator
from pathlib import Path

from agent_bundle.programs import run
from agent_bundle.recipe import PYTHON, SOURCES, Architecture, BuildError

_PRELOAD_FILE = b"/etc/ld.so.preload\0"


def make_launcher(architecture: Architecture, musl: Path, output: Path) -> None:
    """Compiles the launcher against the unpacked package `musl-dev`. Static: it needs no file."""
    library = next(musl.glob(f"usr/lib/{architecture.triplet.split('-')[0]}-linux-musl"))
    headers = musl / "usr" / "include" / library.name
    compiler = f"{architecture.triplet}-gcc"
    run(
        [
            *(compiler, "-std=c11", "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-static"),
            *("-fno-stack-protector", "-fno-pie", "-no-pie", "-nostdinc", "-nostdlib"),
            *("-Wl,--build-id=none", f'-DPYTHON="{PYTHON}"'),
            *("-isystem", headers, library / "crt1.o", library / "crti.o"),
            *(SOURCES / "hodei-agent.c", library / "libc.a", "-lgcc", library / "crtn.o"),
            *("-o", output),
        ]
    )


def strip(architecture: Architecture, top: Path) -> None:
    """Removes what only debuggers and linkers read."""
    for file in _elf_files(top):
        run([f"{architecture.triplet}-strip", "--strip-unneeded", file])


def forget_preload_file(loader: Path) -> None:
    """Keeps glibc's loader from reading the image's /etc/ld.so.preload, for which it has no option.

    Raises:
        BuildError: The name is not in it exactly once.
    """
    content = loader.read_bytes()
    if content.count(_PRELOAD_FILE) != 1:
        raise BuildError(f"{loader.name} does not name /etc/ld.so.preload as it was known to")
    # The empty name names no file: the loader goes on as it does where there is none.
    loader.write_bytes(content.replace(_PRELOAD_FILE, bytes(len(_PRELOAD_FILE))))


def check_closed(architecture: Architecture, top: Path) -> None:
    """Sees to it that whatever a library asks for is in the bundle.

    Raises:
        BuildError: Something would come from the image; names it.
    """
    there = {path.name for path in (top / "lib").iterdir()}
    there.add(Path(architecture.loader).name)  # is `ld.so`, which has loaded all others
    missing = {
        f"{file.relative_to(top)} needs {name}"
        for file in _elf_files(top)
        for name in re.findall(r"\(NEEDED\).*\[(.+)\]", run(["readelf", "--dynamic", file]))
        if name not in there
    }
    if missing:
        raise BuildError("not in the bundle: " + "; ".join(sorted(missing)))


def _elf_files(top: Path) -> Iterator[Path]:
    for path in sorted(top.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path
