"""A real agent in a process of its own, with its keeper and slots.

As a program it is that agent: the bootstrap document on stdin, the tuning as JSON in argv.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from hodei.agent.bootstrap import parse_document
from hodei.agent.identity import ChildKeySource, make_key
from hodei.agent.keeper import Prepared
from hodei.agent.main import main
from hodei.agent.slots import SlotProcess


def given_key() -> list[str]:
    """A key and its request: made here, where cryptography is loaded, it takes no time."""
    return [part.hex() for part in make_key()]


class GivenKeySource:
    """Gives one key, and makes all others."""

    def __init__(self, key_pem: str, csr_der: str) -> None:
        self._given: tuple[bytes, bytes] | None = bytes.fromhex(key_pem), bytes.fromhex(csr_der)

    async def new_key(self) -> tuple[bytes, bytes]:
        given, self._given = self._given, None
        return given or await ChildKeySource().new_key()


class AgentProcess:
    """A started agent."""

    def __init__(self, process: asyncio.subprocess.Process, work_dir: Path, log: Path) -> None:
        self._process = process
        self.work_dir = work_dir
        self._log = log

    @classmethod
    async def start(
        cls, bootstrap: dict[str, object], work_dir: Path, **tuning: float
    ) -> "AgentProcess":
        log = work_dir.with_suffix(".log")
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__)),
                json.dumps({"work_dir": str(work_dir), "tuning": tuning, "key": given_key()}),
                stdin=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, "HODEI_OWN": "not for jobs", "SEEN": "by jobs"},
                start_new_session=True,
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(bootstrap).encode())
        process.stdin.close()
        return cls(process, work_dir, log)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, bootstrap: dict[str, object], work_dir: Path, **tuning: float
    ) -> AsyncIterator["AgentProcess"]:
        process = await cls.start(bootstrap, work_dir, **tuning)
        try:
            yield process
        finally:
            await process.end()

    async def exit_code(self, within_s: float = 10.0) -> int:
        async with asyncio.timeout(within_s):
            return await self._process.wait()

    def signal(self, signum: int) -> None:
        self._process.send_signal(signum)

    async def end(self) -> None:
        """Ends it with all that it started, whatever it does."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGQUIT)
        await self.exit_code()

    async def until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        """Waits for what only its files tell: looks every 20 ms."""
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - another process is looked at
                await asyncio.sleep(0.02)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its own log."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def has_event(self, word: str) -> bool:
        return any(event["event"] == word for event in self.events)

    def event(self, word: str) -> dict[str, Any]:
        return next(event for event in self.events if event["event"] == word)

    def resident_bytes(self) -> int:
        """The agent's own, without keeper and slots."""
        pages = (self._proc() / "statm").read_text(encoding="ascii")
        return int(pages.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def open_files(self) -> int:
        """How many descriptors the agent has."""
        return len(list((self._proc() / "fd").iterdir()))

    def _proc(self) -> Path:
        processes = json.loads((self.work_dir / "processes.json").read_text(encoding="utf-8"))
        return Path(f"/proc/{processes['agent']['pid']}")

    def leftovers(self) -> list[str]:
        """Files of jobs and of the spool; empty workspaces wait for their next job."""
        work = self.work_dir / "work"
        names = [path.name for part in ("jobs", "spool") for path in (work / part).iterdir()]
        return sorted(name for name in names if not name.startswith("spare-"))

    def spooled_bytes(self) -> int:
        """The size of all files of the spool, some of which may just be going."""
        size = 0
        for path in (self.work_dir / "work" / "spool").iterdir():
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return size


def _run() -> int:
    given = json.loads(sys.argv[1])

    def prepare(document: bytes, work_dir: Path, _key_fd: int | None = None, /) -> Prepared:
        bootstrap = parse_document(document)

        def run(slots: Sequence[SlotProcess]) -> int:
            from hodei.agent.channel import Keepalive  # noqa: PLC0415
            from hodei.agent.reactor.core import Limits  # noqa: PLC0415
            from hodei.agent.shell import Tuning, run_agent  # noqa: PLC0415

            tuning: dict[str, float] = given["tuning"]
            limits, keepalive = (
                part(**{name: value for name, value in tuning.items() if name in part.__slots__})
                for part in (Limits, Keepalive)
            )
            renew_share = tuning.get("renew_share", Tuning().renew_share)
            return run_agent(
                bootstrap,
                work_dir=work_dir,
                slots=slots,
                key_source=GivenKeySource(*given["key"]),
                tuning=Tuning(limits=limits, keepalive=keepalive, renew_share=renew_share),
            )

        return Prepared(worker_id=bootstrap.worker_id, slots=bootstrap.slots, run=run)

    return main(["--work-dir", given["work_dir"]], prepare, lambda: None)


if __name__ == "__main__":
    sys.exit(_run())
