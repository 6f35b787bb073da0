"""An agent that does as a test says, under the real keeper, zygote and slots.

The bootstrap document names a `scenario`, a coroutine function of this file.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from hodei.agent.keeper import Prepared
from hodei.agent.main import main
from hodei.agent.slots import SlotProcess, SpawnRequest


async def idle(slots: Sequence[SlotProcess], document: dict[str, object]) -> int:
    """Waits for SIGTERM and ends well."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    return 0


async def exit_at_once(slots: Sequence[SlotProcess], document: dict[str, object]) -> int:
    """Ends with the code that the document names."""
    return int(str(document["code"]))


async def run_job(slots: Sequence[SlotProcess], document: dict[str, object]) -> int:
    """Runs `script` on the first slot, and ends when SIGTERM comes, or the slot dies, with 7."""
    for slot in slots:
        await slot.attach()
    null = os.open(os.devnull, os.O_RDWR)
    await slots[0].spawn(
        SpawnRequest(
            argv=(b"/bin/bash", b"-c", str(document["script"]).encode()),
            env={
                b"PATH": b"/usr/bin:/bin",
                b"HODEI_WORKER_ID": str(document["worker_id"]).encode(),
            },
            cwd=b"/",
            stdin_fd=null,
            stdout_fd=null,
            stderr_fd=2,
        )
    )
    await slots[0].died.wait()
    return 7


SCENARIOS = {each.__name__: each for each in (idle, exit_at_once, run_job)}


def prepare(document: bytes, work_dir: Path) -> Prepared:
    facts = json.loads(document)
    scenario = SCENARIOS[facts["labels"].get("scenario", "idle")]
    facts |= facts["labels"]

    def run(slots: Sequence[SlotProcess]) -> int:
        return asyncio.run(scenario(slots, facts))

    return Prepared(worker_id=facts["worker_id"], slots=facts.get("slots", 1), run=run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], prepare, lambda: None))
