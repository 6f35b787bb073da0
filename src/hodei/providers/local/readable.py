"""Waiting for descriptors on the event loop: pidfds, pipes, sockets."""

import asyncio
import os


async def until_readable(fd: int) -> None:
    """Returns once `fd` is readable; for a pidfd: once the process has ended."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    # A loop has one reader for a descriptor: with one of its own, each caller may wait.
    own = os.dup(fd)
    loop.add_reader(own, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(own)
        os.close(own)
