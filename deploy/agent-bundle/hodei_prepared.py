"""What Python makes anew at each start, made once when the bundle is built.

Dataclasses and named tuples write source text and compile it; regular expressions are parsed and
compiled by code in Python. Together that was a third of the agent's start. `Recorder` notes what came
of it while the agent's modules are imported; `use` hands it out again. What was not noted is made
as ever.

As a program, `hodei_prepared.py FILE MODULE…`, it writes what `use` is given into a file: for that it must
be the first to import anything.
"""

import _sre
import collections
import importlib
import marshal
import sys
from re import _compiler
from types import CodeType, ModuleType

Patterns = dict[tuple[str | bytes, int], tuple[object, ...]]
"""By pattern and flags: what the interpreter's matcher is made of."""


class Recorder:
    """Notes what is made from now on."""

    def __init__(self) -> None:
        self.sources: dict[str, CodeType] = {}
        self.patterns: Patterns = {}
        collections.eval = self._eval
        self._make = _compiler._sre.compile  # noqa: SLF001 - where the two halves meet
        self._compile, _compiler.compile = _compiler.compile, self._compile_pattern
        _compiler._sre = self  # noqa: SLF001
        _dataclasses().exec = self._exec

    def __getattr__(self, name: str) -> object:
        return getattr(_sre, name)

    def compile(self, *parts: object) -> object:
        """As `_sre.compile`: the last step."""
        self._parts = parts
        return self._make(*parts)

    def _exec(self, source: str, variables: dict[str, object], names: dict[str, object]) -> None:
        self.sources[source] = compile(source, "<string>", "exec")
        exec(self.sources[source], variables, names)  # noqa: S102 - dataclasses does

    def _eval(self, source: str, variables: dict[str, object]) -> object:
        self.sources[source] = compile(source, "<string>", "eval")
        return eval(self.sources[source], variables)  # noqa: S307 - collections does

    def _compile_pattern(self, pattern: str | bytes, flags: int = 0) -> object:
        made = self._compile(pattern, flags)
        text, all_flags, code, groups, names, places = self._parts
        # Plain values, which can be written down.
        plain = (text, int(all_flags), [int(each) for each in code], groups, dict(names), places)
        self.patterns[pattern, int(flags)] = plain
        return made


class Unsigned:
    """In the place of `inspect`, for dataclasses whose docstring was left out of the bundle.

    They would get their signature for one, at the price of importing all that.
    """

    @staticmethod
    def signature(_: type) -> str:
        """Nothing worth telling."""
        return ""


def use(sources: dict[str, CodeType], patterns: Patterns) -> None:
    """Has all of it taken from here from now on."""
    make, compile_pattern = _sre.compile, _compiler.compile

    def execute(source: str, variables: dict[str, object], names: dict[str, object]) -> None:
        exec(sources.get(source, source), variables, names)  # noqa: S102 - as above

    def evaluate(source: str, variables: dict[str, object]) -> object:
        return eval(sources.get(source, source), variables)  # noqa: S307 - as above

    def compiled(pattern: object, flags: int = 0) -> object:
        parts = patterns.get((pattern, int(flags))) if isinstance(pattern, str | bytes) else None
        return compile_pattern(pattern, flags) if parts is None else make(*parts)

    collections.eval, _compiler.compile = evaluate, compiled
    dataclasses = _dataclasses()
    dataclasses.exec, dataclasses.inspect = execute, Unsigned


def _dataclasses() -> ModuleType:
    # Last: importing it imports much that makes named tuples and patterns.
    return importlib.import_module("dataclasses")


def main() -> None:
    """Imports modules and writes down what that made."""
    recorder = Recorder()
    for name in sys.argv[2:]:
        importlib.import_module(name)
    with open(sys.argv[1], "wb") as file:  # noqa: PTH123 - pathlib would be imported unrecorded
        file.write(marshal.dumps((recorder.sources, recorder.patterns)))


if __name__ == "__main__":
    main()
