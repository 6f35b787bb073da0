"""The log store's process is killed with SIGKILL at a random instant, again and again."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from hodei.adapters.logstore import SegmentLogStore
from hodei.domain.logs import LogStream
from hodei.kernel.ids import JobId
from hodei.lifecycle.system_clock import SystemClock
from integration import logstore_child as child

CHILD = Path(child.__file__)

Ends = dict[tuple[JobId, LogStream], int]


def run_and_kill(directory: Path, seed: int, after_lines: int) -> Ends:
    """Returns what the process had acknowledged, in what it managed to say."""
    acknowledged: Ends = {}
    with subprocess.Popen(
        [sys.executable, CHILD, directory, str(seed)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            if count == after_lines:
                process.kill()
            if line.endswith("\n"):
                job_id, stream, end = line.split()
                acknowledged[JobId(job_id), LogStream(int(stream))] = int(end)
    return acknowledged


async def stored_output(directory: Path) -> dict[tuple[JobId, LogStream], bytes]:
    """Reads everything; checks that no byte of the order is missing or doubled."""
    store = await SegmentLogStore.open(directory, SystemClock(), limits=child.LIMITS)
    found: dict[tuple[JobId, LogStream], bytes] = {}
    for job_id in child.JOBS:
        after = 0
        pieces: dict[LogStream, list[bytes]] = {stream: [] for stream in LogStream}
        ends = dict.fromkeys(LogStream, 0)
        while entries := await store.read(job_id, after_sequence=after, max_bytes=1 << 20):
            for entry in entries:
                chunk = entry.chunk
                assert chunk.offset == ends[chunk.stream]
                assert entry.sequence == after + len(chunk.data)
                ends[chunk.stream], after = chunk.end, entry.sequence
                pieces[chunk.stream].append(chunk.data)
        assert await store.ends(job_id, 1) == ends
        for stream in LogStream:
            found[job_id, stream] = b"".join(pieces[stream])
    await store.close()
    return found


@pytest.mark.slow
async def test_everything_acknowledged_is_there_once_after_kill_9(tmp_path: Path):
    chance = random.Random(7)
    for round_ in range(6):
        acknowledged = run_and_kill(tmp_path, round_, chance.randint(0, 400))
        output = await stored_output(tmp_path)

        assert acknowledged
        for (job_id, stream), data in output.items():
            assert len(data) >= acknowledged.get((job_id, stream), 0)
            assert data == child.expected(job_id, stream, 0, len(data))
