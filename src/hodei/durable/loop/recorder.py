"""The commands that workflow code gives, and the places that wait for their outcomes."""

from collections.abc import Callable
from enum import Enum, auto
from typing import TypeVar

from hodei.durable.events import Command, Result
from hodei.durable.failures import WorkflowMisuseError

C = TypeVar("C", bound=Command)
Outcome = TypeVar("Outcome")


class EvictedError(BaseException):
    """The live instance is being taken apart; the run itself goes on elsewhere or later.

    Not an `Exception`, so that code which catches those does not go on.
    """


class Mode(Enum):
    """What may be done with an instance just now."""

    LIVE = auto()
    READ_ONLY = auto()
    """A query is answered: nothing may be asked for."""
    EVICTING = auto()
    """Its coroutines are wound up; whatever they ask for now never happened."""


class Recorder:
    """Numbers the commands of a run and keeps what they wait for.

    Attributes:
        mode: See `Mode`.
        is_replaying: What runs now has run before, and is checked against the history.
        marked: The ids of the patches that the recorded history took.
    """

    def __init__(self, marked: frozenset[str]) -> None:
        self.mode = Mode.LIVE
        self.is_replaying = False
        self.marked = marked
        self._last_id = 0
        self._commands: list[Command] = []
        self._waiting: dict[int, Callable[[Result], None]] = {}

    def require_live(self) -> None:
        """Lets only code through that may change something.

        Raises:
            WorkflowMisuseError: A query tried to.
            EvictedError: The instance is being taken apart.
        """
        if self.mode is Mode.EVICTING:
            raise EvictedError
        if self.mode is Mode.READ_ONLY:
            raise WorkflowMisuseError("a query may look, but not start or wait for anything")

    def next_id(self) -> int:
        """A number for a command: the same in every replay."""
        self.require_live()
        self._last_id += 1
        return self._last_id

    def record(self, command: Command) -> None:
        """Gives a command."""
        self.require_live()
        self._commands.append(command)

    def await_result(self, command_id: int, heard: Callable[[Result], None]) -> None:
        """Calls `heard` with the outcome of a command, once."""
        self._waiting[command_id] = heard

    def forget(self, command_id: int) -> None:
        """Whoever waited for a command no longer does."""
        self._waiting.pop(command_id, None)

    def resolve(self, result: Result) -> bool:
        """Tells whoever waits for it; returns whether anybody did."""
        heard = self._waiting.pop(result.command_id, None)
        if heard is None:
            return False
        heard(result)
        return True

    def awaits(self, command_id: int) -> bool:
        """Whether a command's outcome is still waited for."""
        return command_id in self._waiting

    def take_commands(self) -> list[Command]:
        """The commands since the last call."""
        taken, self._commands = self._commands, []
        return taken
