"""What goes into a bundle."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "deploy" / "agent-bundle"
CACHE = ROOT / ".dev" / "agent-bundle"
"""What was downloaded, by name and hash."""

PYTHON = "python3.11"
"""Debian 12's, which is built with profile-guided optimisation: it starts in half the time."""

DEBIAN_PACKAGES = (
    *(f"{PYTHON}-minimal", f"lib{PYTHON}-minimal", f"lib{PYTHON}-stdlib"),
    *("libc6", "libssl3", "zlib1g", "libexpat1", "libffi8", "libgcc-s1", "libstdc++6"),
)
LAUNCHER_PACKAGES = ("musl-dev",)
"""The C library that is linked into the launcher."""

WHEELS = ("cffi", "cryptography", "grpcio", "protobuf")
"""What the agent imports that is not its own, at the versions of requirements/runtime.txt."""

SHARED_LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"),
    *("libresolv.so.2", "libssl.so.3", "libcrypto.so.3", "libz.so.1", "libexpat.so.1"),
    *("libffi.so.8", "libgcc_s.so.1", "libstdc++.so.6"),
)

ON_DISK = ("encodings", "encodings.aliases", "encodings.utf_8", "os")
"""Modules that the interpreter needs before the store is there, or finds its library by."""

STARTED_WITH = ("hodei.agent.main", "hodei.agent.program", "hodei.agent.shell")
"""Modules that every start imports, with all that they import in turn."""

LEFT_OUT = re.compile(
    r"(?:distutils|ensurepip|idlelib|lib2to3|pydoc_data|test|tkinter|turtledemo|unittest|venv"
    r"|wsgiref|xmlrpc|sqlite3|dbm|curses|config-[^/]*|cffi|grpc/_cython/_credentials)/"
    r"|(?:.*/)?(?:tests?|testdata|__pycache__)/"
    r"|(?:.*/)?(?:antigravity|this|turtle|pydoc|sitecustomize|bz2|lzma|_sysconfigdata_\w*)\.py$"
    r"|lib-dynload/(?:_bz2|_lzma|_sqlite3|_dbm|_gdbm|_tkinter|_curses\w*|readline|_test\w*|xx\w*"
    r"|_codecs_\w+|_multibytecodec|nis|ossaudiodev|_crypt|_uuid|_ctypes_test|_xxtestfuzz)\."
    r"|.*\.(?:pyi|pyx|pxd|c|h|txt|rst|a|pem|typed)$"
)
"""Paths below the library directory that no agent needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A kind of machine, by its names."""

    debian: str
    triplet: str
    """Of GNU, as in the names of directories and tools."""
    loader: str
    """Where glibc's loader lies in its package."""
    wheel_platforms: tuple[str, ...]
    emulator: str
    """What runs its programs on a machine of another kind: of Debian's qemu-user-static."""


ARCHITECTURES = {
    "amd64": Architecture(
        debian="amd64",
        triplet="x86_64-linux-gnu",
        loader="lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        wheel_platforms=("manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64"),
        emulator="qemu-x86_64-static",
    ),
    "arm64": Architecture(
        debian="arm64",
        triplet="aarch64-linux-gnu",
        loader="lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
        wheel_platforms=(
            *("manylinux_2_28_aarch64", "manylinux2014_aarch64", "manylinux_2_17_aarch64"),
        ),
        emulator="qemu-aarch64-static",
    ),
}


class BuildError(Exception):
    """The bundle cannot be built; the message says why and what to do."""
