"""Things measured in turns in one run, so that what else the machine does falls on all alike."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

Measure = Callable[[], Awaitable[float]]


async def first_byte(command: Sequence[str]) -> float:
    """Milliseconds from starting a command to the first byte that it prints."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.read(1), f"{command} printed nothing"
    took = time.perf_counter() - began
    await process.communicate()
    return took * 1000


async def in_turns(
    measures: dict[str, Measure], rounds: int, *, unit: str = "ms"
) -> dict[str, float]:
    """The median of each; the first round warms caches and does not count."""
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(rounds + 1):
        for name, measure in measures.items():
            took = await measure()
            if turn:
                taken[name].append(took)
    for name, values in taken.items():
        low, median, high = min(values), statistics.median(values), max(values)
        print(
            f"{name:<44}{low:>8.4g} {median:>8.4g} {high:>8.4g} {unit} (min, median, max)",
            flush=True,
        )
    return {name: statistics.median(values) for name, values in taken.items()}
