"""Which of Hodei's modules the agent can reach, and what else those import."""

import ast
from collections.abc import Iterator
from pathlib import Path

from agent_bundle.recipe import ROOT

SOURCES = ROOT / "src"
AGENT = "hodei.agent"


def reachable() -> tuple[set[Path], set[str]]:
    """The files of all modules under `AGENT` and of what they import, at their heads or later.

    Returns:
        The files, and the names of the modules that are not Hodei's.
    """
    waiting = [_name(path) for path in (SOURCES / "hodei" / "agent").rglob("*.py")]
    files: dict[str, Path] = {}
    others: set[str] = set()
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in files or path is None:
            continue
        files[name] = path
        waiting += [name.rpartition(".")[0], *_own_imports(path)]
        others |= {each for each in _imports(path) if not _is_own(each)}
    return {*files.values()}, others


def _own_imports(path: Path) -> Iterator[str]:
    yield from (name for name in _imports(path) if _is_own(name))
    for node in ast.walk(ast.parse(path.read_bytes())):
        # What is imported from a package may be a module of it; `_file` tells.
        if isinstance(node, ast.ImportFrom) and node.module and _is_own(node.module):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _is_own(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] == "hodei"


def _file(name: str) -> Path | None:
    base = SOURCES / name.replace(".", "/")
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if name and path.exists():
            return path
    return None


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCES).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
