"""Jobs that leave a record outside Hodei of every time they ran, and what is checked of it."""

import random
import threading
from dataclasses import dataclass
from pathlib import Path

from acceptance.harness import HodeiServer
from acceptance.reading import output_of
from hodei.sdk import Client

LINES = 40
OPEN = {"RUNNING", "COMPENSATING"}
"""Runs of workflows that have not ended."""
SCRIPT = """
echo run >> "$1/$2"
n=0
while [ $n -lt 40 ]; do
    echo "$2 out $n"
    echo "$2 err $n" >&2
    [ $((n % 10)) -ne 0 ] || sleep 0.05
    n=$((n + 1))
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A folder in which each job notes that it runs."""

    folder: Path

    def request(self, job_id: str) -> dict[str, object]:
        """A job of about 0.2 s that writes 40 lines to each stream, and one into the ledger."""
        command = ["sh", "-c", SCRIPT, "sh", str(self.folder), job_id]
        return {"id": job_id, "command": command}

    def runs(self, job_id: str) -> int:
        """How often the job has run."""
        file = self.folder / job_id
        return len(file.read_text().splitlines()) if file.exists() else 0

    def check(self, client: Client, job_id: str) -> None:
        """Fails unless the job ran once, ended once, and lost or doubled no byte."""
        job = client.get(job_id)
        assert job.state == "SUCCEEDED", job.to_dict()
        ran = [attempt for attempt in job.attempts if attempt.started_at is not None]
        assert [attempt.state for attempt in ran] == ["SUCCEEDED"], job.to_dict()
        assert self.runs(job_id) == 1
        output = output_of(client, job_id, attempt=ran[0].number)
        assert output.stdout.decode() == "".join(f"{job_id} out {n}\n" for n in range(LINES))
        assert output.stderr.decode() == "".join(f"{job_id} err {n}\n" for n in range(LINES))
        terminal = [
            event
            for event in client.events(job_id, follow=False)
            if event.state in {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"}
        ]
        assert len(terminal) == 1, terminal


def run_through_crashes(
    server: HodeiServer, folder: Path, *, jobs: int, crashes: int, seed: int
) -> None:
    """Queues jobs, kills the server again and again while they run, and checks every one."""
    folder.mkdir()
    ledger = Ledger(folder=folder)
    chance = random.Random(seed)
    ids = [f"crash-{seed}-{n}" for n in range(jobs)]
    with server.client() as client:
        client.submit_many([ledger.request(job_id) for job_id in ids])
        position = client.server_info().position
    for _ in range(crashes):
        position = crash_after(server, position, events=chance.randint(5, max(6, jobs // crashes)))
        # Now and then while it starts, which is when recovery itself is under way.
        server.start()
    with server.client() as client:
        for job_id in ids:
            client.wait(job_id, timeout=60)
        for job_id in ids:
            ledger.check(client, job_id)


def open_runs(server: HodeiServer) -> list[object]:
    """The runs of workflows that have not ended, or wait for an operator."""
    runs = server.cli("workflows", "list", "--output", "json").json
    return [run for run in runs if run["status"] in OPEN or run["parked"]]


def crash_after(server: HodeiServer, position: str, *, events: int) -> str:
    """Kills the server once so many more events have happened; returns the last position seen."""
    seen = position
    with server.client() as client:
        for number, event in enumerate(client.events(after=position, follow=True), start=1):
            seen = event.position
            if number >= events:
                # From another thread: this one is in the middle of the stream when it happens.
                killer = threading.Thread(target=server.kill)
                killer.start()
                killer.join()
                break
    return seen
