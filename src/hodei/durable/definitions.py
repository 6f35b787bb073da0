"""Workflows and activities as they are declared, by name and version."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar, get_type_hints

from hodei.durable.lint import lint_workflow
from hodei.durable.retry import FOR_EVER
from hodei.kernel.errors import RefusedError
from hodei.kernel.ids import ID_RULE, is_valid_id
from hodei.ports.durable_rows import RetryRule, TaskLimits

PLATFORM_QUEUE: Final = "platform"
"""Of the activities that the servers carry out themselves."""

T = TypeVar("T")

Code = Callable[..., Awaitable[Any]]
"""A workflow's function: takes a `hodei.durable.loop.context.Context`, then its arguments."""


class DefinitionError(RefusedError):
    """A workflow or an activity is declared in a way that cannot be; the message says what to change."""

    code = "DEFINITION"


class UnknownWorkflowError(RefusedError):
    """No workflow of that name, or none of that version, is loaded here."""

    code = "UNKNOWN_WORKFLOW"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The types by which stored values are read."""

    parameters: tuple[Any, ...]
    returns: Any
    takes_any_number: bool = False
    """Declared with `*args`; those have no types."""

    @property
    def input_type(self) -> Any:
        """Of the list of arguments."""
        if self.takes_any_number:
            return tuple[Any, ...]
        return tuple[self.parameters] if self.parameters else tuple[()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow's code, under its stored name and version."""

    name: str
    version: int
    code: Code
    signature: Signature


def workflow(*, name: str, version: int = 1) -> Callable[[Code], Workflow]:
    """Declares an async function as a workflow; its first parameter is the `Context`.

    Args:
        name: Stored with each run. Never give it to something else.
        version: Stored too; a run keeps the version that it began with. A change that open runs must
            not see is a new version beside the old one, or a patch (`Context.patched`).

    Raises:
        DefinitionError: The name or the function is not fit for it.
        WorkflowLintError: The code looks at real time, chance or the outside world.
    """

    def declare(code: Code) -> Workflow:
        if not is_valid_id(name) or version < 1:
            raise DefinitionError(
                f"workflow {name!r} version {version}: a name is {ID_RULE}; versions begin at 1"
            )
        if not inspect.iscoroutinefunction(code):
            raise DefinitionError(f"workflow {name}: write it as `async def`")
        lint_workflow(code)
        whole = signature_of(code)
        if not whole.parameters:
            raise DefinitionError(f"workflow {name}: its first parameter is the context")
        return Workflow(
            name=name,
            version=version,
            code=code,
            signature=Signature(parameters=whole.parameters[1:], returns=whole.returns),
        )

    return declare


class Workflows:
    """The workflows that are loaded here.

    Raises:
        DefinitionError: Two have the same name and version.
    """

    def __init__(self, workflows: Iterable[Workflow] = ()) -> None:
        self._versions: dict[str, dict[int, Workflow]] = {}
        for each in workflows:
            versions = self._versions.setdefault(each.name, {})
            if each.version in versions:
                raise DefinitionError(f"workflow {each.name} version {each.version} is there twice")
            versions[each.version] = each

    def newest(self, name: str) -> Workflow:
        """What new runs of `name` execute.

        Raises:
            UnknownWorkflowError: There is none.
        """
        versions = self._versions.get(name)
        if not versions:
            known = ", ".join(sorted(self._versions)) or "none"
            raise UnknownWorkflowError(f"no workflow {name!r} is loaded here; there is {known}")
        return versions[max(versions)]

    def find(self, name: str, version: int) -> Workflow | None:
        """What a run that began with this version executes; None where it is not loaded."""
        return self._versions.get(name, {}).get(version)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._versions)


class OnCancel(StrEnum):
    """What becomes of an activity whose workflow no longer wants it."""

    WAIT = "WAIT"
    """It is asked to stop, and the workflow goes on once it has. So nothing is undone while it is
    still being done."""
    TRY = "TRY"
    """It is asked to stop, and the workflow goes on at once."""
    ABANDON = "ABANDON"
    """It goes on; its outcome is of no interest."""


HEARTBEAT_S: Final = 15.0
"""Workers give signs of life for what they carry out; one that is silent for so long is given up."""


def limits(
    *,
    schedule_to_close_s: float | None = None,
    schedule_to_start_s: float | None = None,
    start_to_close_s: float | None = None,
    heartbeat_s: float = HEARTBEAT_S,
) -> TaskLimits:
    """The four time-outs of an activity, in seconds; see `TaskLimits`."""
    return TaskLimits(
        schedule_to_close_s=schedule_to_close_s,
        schedule_to_start_s=schedule_to_start_s,
        start_to_close_s=start_to_close_s,
        heartbeat_s=heartbeat_s,
    )


DEFAULT_LIMITS: Final = limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity(Generic[T]):
    """An activity as workflows ask for it. Who carries it out is bound elsewhere, by its name."""

    name: str
    returns: type[T]
    """The type of its result."""
    queue: str = PLATFORM_QUEUE
    priority: int = 0
    retry: RetryRule | None = None
    """None: for ever in a workflow; in a compensation, by the rule of that."""
    limits: TaskLimits = DEFAULT_LIMITS
    on_cancel: OnCancel = OnCancel.WAIT

    def rule(self, inherited: RetryRule | None) -> RetryRule:
        """By which rule it is tried again."""
        return self.retry or inherited or FOR_EVER


@lru_cache(maxsize=1024)
def signature_of(code: Callable[..., Any]) -> Signature:
    """The types of a function's positional parameters and result; Any where it does not say."""
    code = inspect.unwrap(code)
    inner = getattr(code, "func", code)
    try:
        hints = get_type_hints(inner)
    except (NameError, TypeError, AttributeError):
        # Names that only the type checker knows, or a callable without annotations.
        hints = {}
    try:
        parameters = inspect.signature(code).parameters.values()
    except (TypeError, ValueError):
        return Signature(parameters=(), returns=Any, takes_any_number=True)
    positional = [
        each
        for each in parameters
        if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
    ]
    return Signature(
        parameters=tuple(hints.get(each.name, Any) for each in positional),
        returns=hints.get("return", Any),
        takes_any_number=any(each.kind is each.VAR_POSITIONAL for each in parameters),
    )
