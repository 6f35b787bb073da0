"""Servers, agents and sessions of the database killed at random while jobs of all kinds run."""

import contextlib
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from acceptance.harness import HodeiServer, eventually
from acceptance.reading import output_of
from acceptance.servers import Servers
from dev_db import Cluster, UnusableError
from hodei.kernel.errors import HodeiError, NotFoundError
from hodei.sdk import Client
from support.history_checker import Did, Heard, History, Lost, Seen, Wrote

# The lock is the kernel's: it is held for as long as any process of the attempt lives.
SCRIPT = """
exec 9> "$1/$2.lock"
flock -n 9 || echo x >> "$1/$2.overlaps"
echo x >> "$1/$2.runs"
# By the shell itself: a process of its own could be what is killed.
printf "$2 begins %d\\n" {1..200}
sleep "$3"
printf "$2 goes on %d\\n" {1..200}
echo x >> "$1/$2.ends"
exit "$4"
"""
KINDS = ("quick", "quick", "slow", "slow", "failing", "cancelled")
SOME_SESSION = """
SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'hodei %' ORDER BY random() LIMIT 1
"""
KILLS = {"server": 2, "worker": 6, "session": 3, "backend": 1, "restart": 1, "pause": 1}
"""What is killed, and how often among the others."""
WORKER_OF = re.compile(r"/workers/([^/ ]+)")


@dataclass(slots=True, kw_only=True)
class Chaos:
    """What is killed, and what is noted meanwhile."""

    servers: Servers
    database: Cluster
    folder: Path
    chance: random.Random
    longest_pause_s: float = 3.0
    """That a server is stopped for."""
    history: History = field(default_factory=History)
    kills: dict[str, int] = field(default_factory=dict[str, int])
    deck: list[str] = field(default_factory=list[str])
    """What is killed next, from its end: of each kind its share, however few there are in all."""
    is_over: threading.Event = field(default_factory=threading.Event)

    def request(self, job_id: str, kind: str) -> dict[str, object]:
        """A job that notes outside when it runs."""
        pause = {"quick": "0.1", "slow": "2.5"}.get(kind, "0.3")
        code = "3" if kind == "failing" else "0"
        pause = "30" if kind == "cancelled" else pause
        command = ["bash", "-c", SCRIPT, "bash", str(self.folder), job_id, pause, code]
        # Enough for attempts that are lost, and few enough for those that fail.
        retries = 2 if kind == "failing" else 50
        return {"id": job_id, "command": command, "retries": retries, "backoff": 0, "grace": 0.2}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Follows the events at each server, and asks for jobs, while the block runs."""
        threads = [
            *(threading.Thread(target=self._follow, args=(each,)) for each in self.servers.all),
            *(threading.Thread(target=self._ask, args=(each,)) for each in self.servers.all),
        ]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self.is_over.set()
            for each in threads:
                each.join()

    def kill_something(self) -> None:
        """Kills one thing; or stops a server for a while."""
        if not self.deck:
            self.deck = [what for what, often in KILLS.items() for _ in range(often)]
            self.chance.shuffle(self.deck)
        what = self.deck.pop()
        self.kills[what] = self.kills.get(what, 0) + 1
        match what:
            case "server":
                # In the middle of jobs that then go on elsewhere. Those of a server that was killed
                # before stay where they have gone, so that by chance it would often be an idle one.
                self._wait_for_work()
                server = max(
                    self.servers.all, key=lambda each: (_streams(each), self.chance.random())
                )
                server.kill()
                server.start(within_s=60)
            case "pause":
                # Now and then past its lease: it goes on as if nothing had been.
                self._pause(self.chance.choice((0.5, 1, 2, self.longest_pause_s)))
            case "worker":
                self._kill_worker()
            case "restart":
                self.database.restart(mode=self.chance.choice(("fast", "immediate")))
            case _:
                self._end_session(with_its_process=what == "backend")

    def _wait_for_work(self) -> None:
        def some() -> bool:
            return any(self._is_job(each) for host in self.servers.all for each in host.processes())

        # There may be none left.
        with contextlib.suppress(AssertionError):
            eventually(some, within_s=3, every_s=0.1)

    def _is_job(self, process: psutil.Process) -> bool:
        return str(self.folder) in _place(process)

    def _end_session(self, *, with_its_process: bool) -> None:
        pid = self.database.ask(SOME_SESSION)
        if not pid:
            return
        if not with_its_process:
            self.database.ask(f"SELECT pg_terminate_backend({pid})")
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
        # The database ends all others, and recovers as after a crash of its own.
        eventually(self._database_answers, within_s=60, what="the database after the crash")

    def _database_answers(self) -> bool:
        try:
            return self.database.ask("SELECT 1") == "1"
        except UnusableError:
            return False

    def _pause(self, seconds: float) -> None:
        pid = self.chance.choice(self.servers.all).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def note_what_jobs_did(self) -> None:
        """Reads what they wrote outside, and what was kept of their output."""
        for number, job_id in enumerate(self.history.submitted):
            self.history.did[job_id] = Did(
                runs=self._lines(job_id, "runs"),
                ends=self._lines(job_id, "ends"),
                overlaps=self._lines(job_id, "overlaps"),
            )
            server = self.servers.all[number % len(self.servers.all)]
            with server.client() as client:
                self._note_attempts(client, job_id)

    def _note_attempts(self, client: Client, job_id: str) -> None:
        for attempt in client.get(job_id).attempts:
            if attempt.reason is not None and attempt.reason.code == "WORKER_LOST":
                self.history.lost.append(
                    Lost(
                        job_id=job_id,
                        attempt=attempt.number,
                        worker_id=attempt.worker_id,
                        why=attempt.reason.message,
                    )
                )
            self.history.wrote.append(
                Wrote(
                    job_id=job_id,
                    attempt=attempt.number,
                    text=output_of(client, job_id, attempt=attempt.number).stdout.decode(),
                    whole="".join(
                        f"{job_id} {what} {number}\n"
                        for what in ("begins", "goes on")
                        for number in range(1, 201)
                    ),
                    came_to_its_end=attempt.exit_code is not None,
                )
            )

    def _lines(self, job_id: str, what: str) -> int:
        file = self.folder / f"{job_id}.{what}"
        return len(file.read_text().split()) if file.exists() else 0

    def _kill_worker(self) -> None:
        owner = self.chance.choice(self.servers.all)
        agents = [
            each
            for each in owner.processes()
            if each.pid != owner.pid and str(owner.data_dir / "workers") in _place(each)
        ]
        if agents:
            chosen = self.chance.choice(agents)
            self.history.harmed.update(WORKER_OF.findall(_place(chosen)))
            with contextlib.suppress(psutil.Error):
                chosen.kill()

    def _follow(self, server: HodeiServer) -> None:
        heard = self.history.heard.setdefault(server.data_dir.name, [])
        # One of them first, the others when it is gone: a follower goes on anywhere.
        others = [each.address for each in self.servers.all if each is not server]
        with Client([server.address, *others], reconnect_within=120) as client:
            for event in self._until_over(client):
                if event.type.startswith("Job"):
                    heard.append(
                        Heard(
                            position=event.position,
                            job_id=event.job_id,
                            kind=event.type,
                            attempt=event.attempt,
                            state=event.state,
                        )
                    )

    def _until_over(self, client: Client) -> Iterator[object]:
        after = None
        while True:
            # Not for ever: the end of the chaos is no event.
            for event in client.events(after=after, follow=False):
                after = event.position
                yield event
            if self.is_over.wait(0.05):
                yield from client.events(after=after, follow=False)
                return

    def _ask(self, server: HodeiServer) -> None:
        chance = random.Random(server.data_dir.name)
        with Client(server.address) as client:
            while not self.is_over.wait(0.02):
                if not (known := list(self.history.submitted)):
                    continue
                job_id = chance.choice(known)
                began = time.monotonic()
                state, attempts = "", 0
                try:
                    job = client.get(job_id)
                    state, attempts = job.state.value, len(job.attempts)
                except NotFoundError:
                    pass
                except HodeiError:
                    # The server is away: no answer is no lie.
                    continue
                self.history.seen.append(
                    Seen(
                        began=began,
                        ended=time.monotonic(),
                        server=server.data_dir.name,
                        job_id=job_id,
                        state=state,
                        attempts=attempts,
                    )
                )


def _streams(server: HodeiServer) -> int:
    """How many workers are connected to a server."""
    port = int(server.addresses["worker"].rpartition(":")[2])
    try:
        connections = psutil.Process(server.pid).net_connections("tcp")
    except psutil.Error:
        return 0
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port for each in connections
    )


def _place(process: psutil.Process) -> str:
    try:
        return " ".join([*process.cmdline(), process.cwd()])
    except (psutil.Error, OSError):
        return ""


def run_through_chaos(
    chaos: Chaos, *, jobs: int, for_s: float, every_s: float, patience_s: float
) -> None:
    """Queues jobs one after another while things are killed; returns once all have ended."""
    chaos.folder.mkdir()
    kinds = [chaos.chance.choice(KINDS) for _ in range(jobs)]
    ends = {"failing": "FAILED", "cancelled": "CANCELLED"}
    with chaos.watched(), chaos.servers.client() as client:
        killer = threading.Thread(target=_kill_for, args=(chaos, for_s, every_s))
        killer.start()
        pause_s = for_s / jobs
        for number, kind in enumerate(kinds):
            job_id = f"{kind}-{number}"
            _insist(lambda job_id=job_id, kind=kind: client.submit(**chaos.request(job_id, kind)))
            chaos.history.submitted[job_id] = time.monotonic()
            if kind == "cancelled":
                _insist(lambda job_id=job_id: client.cancel(job_id))
            time.sleep(pause_s)
        killer.join()
        for job_id in chaos.history.submitted:
            ended = client.wait(job_id, timeout=patience_s)
            assert ended.state == ends.get(job_id.split("-")[0], "SUCCEEDED"), ended.to_dict()
    chaos.note_what_jobs_did()


def _insist(call: Callable[[], object]) -> None:
    """Repeats a call that no server answered: ids make that safe."""
    deadline = time.monotonic() + 60
    while True:
        try:
            call()
        except HodeiError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _kill_for(chaos: Chaos, for_s: float, every_s: float) -> None:
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        chaos.kill_something()
        time.sleep(every_s)
