"""Runs one question to a server, for commands that ask one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hodei.sdk import AsyncClient

T = TypeVar("T")


def ask(server: str, question: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """The answer of the server that the user named, or of the default one."""

    async def run() -> T:
        async with AsyncClient(server or None) as client:
            return await question(client)

    return asyncio.run(run())
