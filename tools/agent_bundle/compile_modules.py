"""Compiles modules into one file, and the few that must lie on disk; a program by itself.

The bundle's own interpreter runs it (`python compile_modules.py LIBRARIES BLOB PREPARED ON_DISK
ASKED_FOR`), since only that one's code is right for it. It reads the sources under LIBRARIES, writes
BLOB as `deploy/agent-bundle/boot.py` reads it, and removes the sources. PREPARED is what
`hodei_prepared.py` wrote. ON_DISK and ASKED_FOR are names of modules with commas between them; what
is asked for must be there.
"""

import marshal
import sys
from importlib import _bootstrap_external
from pathlib import Path
from types import CodeType


def main() -> None:
    libraries, blob = Path(sys.argv[1]), Path(sys.argv[2])
    prepared = Path(sys.argv[3]).read_bytes()
    on_disk, asked_for = (set(names.split(",")) for names in sys.argv[4:])
    index: dict[str, str | tuple[int, int, bool]] = {}
    codes: list[bytes] = []
    size = 0
    for source in sorted(libraries.rglob("*.py")):
        name, is_package = module_name(source.relative_to(libraries))
        code = compiled(source, libraries)
        if name in on_disk:
            source.with_suffix(".pyc").write_bytes(
                _bootstrap_external._code_to_hash_pyc(  # noqa: SLF001
                    code,
                    bytes(8),
                    False,  # noqa: FBT003 - never compared with a source
                )
            )
        data = marshal.dumps(code)
        index[name] = (size, len(data), is_package)
        codes.append(data)
        size += len(data)
        source.unlink()
    for library in sorted(libraries.rglob("*.so")):
        path = library.relative_to(libraries)
        index[extension_name(path)] = str(path)
    # Directories without __init__.py are packages too: namespaces.
    empty = marshal.dumps(compile("", "<namespace>", "exec", optimize=2))
    for name in sorted(index):
        for parent in parents(name):
            if parent not in index:
                index[parent] = (size, len(empty), True)
    codes.append(empty)
    size += len(empty)
    index["#prepared"] = (size, len(prepared), False)
    codes.append(prepared)
    if missing := asked_for - index.keys() - set(sys.builtin_module_names):
        sys.exit(f"the agent imports what is not in the bundle: {', '.join(sorted(missing))}")
    packed = marshal.dumps(dict(sorted(index.items())))
    blob.write_bytes(len(packed).to_bytes(8, "little") + packed + b"".join(codes))


def compiled(source: Path, libraries: Path) -> CodeType:
    """The code of a module. Hodei's own keeps its assertions, which state its invariants."""
    path = str(source.relative_to(libraries))
    optimize = 0 if path.startswith("hodei/") else 2
    return compile(source.read_bytes(), path, "exec", dont_inherit=True, optimize=optimize)


def module_name(path: Path) -> tuple[str, bool]:
    """What a source is imported as, and whether it is a package."""
    parts = path.with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if is_package else parts), is_package


def extension_name(path: Path) -> str:
    """What a shared library is imported as."""
    parts = path.parts if path.parts[0] != "lib-dynload" else path.parts[1:]
    return ".".join((*parts[:-1], parts[-1].partition(".")[0]))


def parents(name: str) -> list[str]:
    """The packages that a module is in."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


if __name__ == "__main__":
    main()
