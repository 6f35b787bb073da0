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
from hodei.lifecycle.processes import ProcessIdentity


async def idle(slots: Sequence[SlotProcess], document: dict[str, object]) -> int:
    """Waits for SIGTERM and ends well."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    return 0


async def until_signals(slots: Sequence[SlotProcess], document: dict[str, object]) -> int:
    """Waits for SIGINT and SIGTERM; ends with the sum of what came."""
    came: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, came.put_nowait, int(signum))
    (Path(str(document["work_dir"])).parent / "work-ready").touch()
    return await came.get() + await came.get()


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
    marks = Path(str(document["work_dir"])).parent / "marks"
    left = [path.name for path in marks.iterdir() if ProcessIdentity.of(int(path.read_text()))]
    seen = {"other_slot_lives": not slots[1].died.is_set()} | ({"left": left} if left else {})
    (marks / "seen-at-death").write_text(json.dumps(seen))
    return 7


SCENARIOS = {each.__name__: each for each in (idle, until_signals, exit_at_once, run_job)}


def prepare(document: bytes, work_dir: Path, key_fd: int | None = None, /) -> Prepared:
    facts = json.loads(document)
    scenario = SCENARIOS[facts["labels"].get("scenario", "idle")]
    facts |= facts["labels"] | {"work_dir": str(work_dir)}

    def run(slots: Sequence[SlotProcess]) -> int:
        return asyncio.run(scenario(slots, facts))

    return Prepared(worker_id=facts["worker_id"], slots=facts.get("slots", 1), run=run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], prepare, lambda: None))
