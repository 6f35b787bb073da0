"""The world outside the engine: what steps and activities do to it, and when."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar

from support.simulation.faulty_store import Life

LIFE: ContextVar[Life] = ContextVar("life")
"""The process that runs the current code."""


class Outside:
    """Remembers every effect. Each is named by its run and its step.

    Args:
        check: Called before each effect of a local step, with its run and name.
    """

    def __init__(self, check: Callable[[Life, str, str], None]) -> None:
        self._check = check
        self.effects: dict[str, list[tuple[str, float]]] = defaultdict(list)
        """By run, in order: what was done, and when."""
        self.tokens: dict[str, list[int]] = defaultdict(list)
        """By task: the tokens of the attempts that touched the world, in order."""

    async def touch(self, run_id: str, name: str) -> None:
        """An effect of a local step."""
        life = LIFE.get()
        await life.pass_through()
        self._check(life, run_id, name)
        self.effects[run_id].append((name, asyncio.get_running_loop().time()))

    async def touch_once(self, run_id: str, name: str, *, key: str, token: int) -> bool:
        """An effect of an activity; the outside refuses a token that is older than one it has seen."""
        await LIFE.get().pass_through()
        seen = self.tokens[key]
        if seen and token < seen[-1]:
            return False
        seen.append(token)
        self.effects[run_id].append((name, asyncio.get_running_loop().time()))
        return True

    def times_of(self, run_id: str, name: str) -> list[float]:
        return [at for what, at in self.effects[run_id] if what == name]

    def has(self, run_id: str, name: str) -> bool:
        return any(what == name for what, _ in self.effects[run_id])
