"""What the machine itself can do: a bare loop that starts processes, with nothing around it.

Absolute figures of a shared machine say little; every figure of ours is a ratio to this one, which
is measured beside it.
"""

import os
import time

LIVE = 4
NOTHING = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]


def spawn_rate(processes: int = 1000) -> float:
    """Processes per second: `/bin/true` by posix_spawn, four alive at a time, nothing captured."""
    began = time.perf_counter()
    live = 0
    for _ in range(processes):
        if live == LIVE:
            os.wait()
            live -= 1
        os.posix_spawn("/bin/true", ["true"], os.environ, file_actions=NOTHING)
        live += 1
    while live:
        os.wait()
        live -= 1
    return processes / (time.perf_counter() - began)
