"""Finds, when a workflow is declared, calls whose answer differs from one replay to the next.

It reads the function's source and looks up the names in it. It sees what is written there, not what
is called further down: `hodei.durable.loop.guards` catches that while the code runs.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

from hodei.kernel.errors import RefusedError

_ADVICE: Final = {
    "time": "use ctx.now() for the time and ctx.sleep() to wait",
    "datetime": "use ctx.now()",
    "random": "use ctx.random()",
    "secrets": "draw it in a step: await ctx.run(...)",
    "uuid": "use ctx.uuid()",
    "outside": "put it into a step: await ctx.run(...)",
    "thread": "put it into a step, or use asyncio.TaskGroup",
    "set": "sort it first: sorted(...)",
}

_FORBIDDEN_MODULES: Final = {
    "time": "time",
    "random": "random",
    "secrets": "secrets",
    "threading": "thread",
    "multiprocessing": "thread",
    "concurrent": "thread",
    "subprocess": "outside",
    "socket": "outside",
    "requests": "outside",
    "httpx": "outside",
    "urllib": "outside",
    "shutil": "outside",
    "tempfile": "outside",
}
_HARMLESS: Final = frozenset(
    {"random.Random", "urllib.parse", "time.strftime", "time.struct_time", "socket.AF_INET"}
)
_FORBIDDEN_NAMES: Final = {
    "datetime.datetime.now": "datetime",
    "datetime.datetime.utcnow": "datetime",
    "datetime.datetime.today": "datetime",
    "datetime.date.today": "datetime",
    "uuid.uuid1": "uuid",
    "uuid.uuid4": "uuid",
    "os.urandom": "secrets",
    "os.getenv": "outside",
    "os.system": "outside",
    "builtins.open": "outside",
    "builtins.input": "outside",
    "asyncio.to_thread": "thread",
    "asyncio.run": "thread",
    "asyncio.create_subprocess_exec": "outside",
    "asyncio.create_subprocess_shell": "outside",
    "asyncio.open_connection": "outside",
}


class WorkflowLintError(RefusedError):
    """Workflow code would not do the same in a replay. The message has a line for each place."""

    code = "WORKFLOW_LINT"


def lint_workflow(code: Callable[..., Any]) -> None:
    """Refuses code that looks at real time, chance, threads or the outside world.

    Code whose source cannot be had, as in an interactive session, is let through.

    Raises:
        WorkflowLintError: It names each place and what to use instead.
    """
    try:
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return
    names = inspect.getclosurevars(code)
    known = {**names.builtins, **names.globals, **names.nonlocals}
    found = [
        f"{inspect.getsourcefile(code)}:{first + line - 1}: {what}; {_ADVICE[why]}"
        for line, what, why in sorted(set(_findings(tree, known)))
    ]
    if found:
        raise WorkflowLintError(
            "\n".join([f"workflow {code.__qualname__} would not do the same in a replay:", *found])
        )


def _findings(tree: ast.AST, known: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _full_name(node.func, known)
            if name is not None and (why := _why_forbidden(name)) is not None:
                yield node.lineno, f"it calls {name}", why
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) and _is_set(node.iter):
            yield node.iter.lineno, "it goes through a set, whose order is by chance", "set"


def _why_forbidden(name: str) -> str | None:
    if any(name == each or name.startswith(f"{each}.") for each in _HARMLESS):
        return None
    return _FORBIDDEN_NAMES.get(name) or _FORBIDDEN_MODULES.get(name.partition(".")[0])


def _full_name(node: ast.expr, known: dict[str, Any]) -> str | None:
    """What `node` stands for, such as `datetime.datetime.now`, whatever it was imported as."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in known:
        return None
    root = known[node.id]
    if isinstance(root, ModuleType):
        base = root.__name__
    elif type(owner := getattr(root, "__self__", None)).__module__ == "random":
        # `from random import choice` is a method of the module's one Random.
        base = f"{type(owner).__module__}.{getattr(root, '__name__', node.id)}"
    elif (module := getattr(root, "__module__", None)) is not None:
        base = f"{_public(module)}.{getattr(root, '__qualname__', node.id)}"
    else:
        return None
    return ".".join([base, *reversed(parts)])


def _public(module: str) -> str:
    """The module under which people know it: `posix.urandom` is `os.urandom`."""
    return {"posix": "os", "_io": "builtins", "io": "builtins", "asyncio.threads": "asyncio"}.get(
        module, "asyncio" if module.startswith("asyncio.") else module
    )


def _is_set(node: ast.expr) -> bool:
    return isinstance(node, ast.Set | ast.SetComp) or (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"set", "frozenset"}
    )
