"""Real processes for the acceptance tests: servers, commands, and a look at what they leave."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
import psutil

from hodei.sdk import Client
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc

BIN = Path(sys.executable).parent
HODEI = str(BIN / "hodei")
ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "ACCEPTANCE_RUN"
TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"}

T = TypeVar("T")


def eventually(
    look: Callable[[], T], *, within_s: float = 10.0, what: str = "", every_s: float = 0.02
) -> T:
    """Looks again and again until it sees something true; for what no event tells of."""
    deadline = time.monotonic() + within_s
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what or look}; last seen {seen!r}")
        time.sleep(every_s)


def on_a_busy_machine(seconds: float) -> float:
    """A time limit, longer by as much as there is more to do than there are processors."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that has ended."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Its standard output."""
        return self.stdout.decode()

    @property
    def errors(self) -> str:
        """Its standard error."""
        return self.stderr.decode()

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The one JSON value of its standard output."""
        return json.loads(self.stdout)


def run_command(
    command: Sequence[str | bytes],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cwd: Path | None = None,
    within_s: float = 60.0,
) -> Ran:
    """Runs a command to its end."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=clean_environment(environment),
        timeout=within_s,
        check=False,
    )
    return Ran(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would steer Hodei, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HODEI_")}
    return kept | {"COLUMNS": "200", "NO_COLOR": "1"} | dict(more or {})


@dataclass(slots=True, kw_only=True)
class HodeiServer:
    """A real `hodei dev` over a data directory, which it can outlive."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    addresses: dict[str, Any] = field(default_factory=dict[str, Any])
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def scratch(self) -> Path:
        """Beside the data directory: what the harness itself writes."""
        return self.data_dir.parent

    @property
    def log_file(self) -> Path:
        """What the server printed, over all its starts."""
        return self.scratch / f"{self.data_dir.name}.log"

    @property
    def log(self) -> str:
        """The text of the log file."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def address(self) -> str:
        """Where clients connect."""
        return str(self.addresses["grpc"])

    @property
    def pid(self) -> int:
        """The server's process id, as it says itself."""
        return int(self.addresses["pid"])

    def command(self) -> list[str]:
        """How it is started."""
        ports = [
            word
            for port in ("grpc", "worker", "enroll", "http")
            for word in (f"--{port}-port", "0")
        ]
        return [HODEI, "dev", "--data-dir", str(self.data_dir), *ports]

    def start(self, *, within_s: float = 20.0) -> Self:
        """Starts it and returns once it serves."""
        self.starts += 1
        ready = self.scratch / f"{self.data_dir.name}.ready.{self.starts}.json"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command(), "--ready-file", str(ready)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment({**self.environment, MARK: self.mark}),
                cwd=self.scratch,
                start_new_session=True,
            )

        def is_ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(
                    f"the server ended with {self.process.returncode}:\n{self.log}"
                )
            return ready.exists()

        eventually(is_ready, within_s=within_s, what="the ready file")
        self.addresses = json.loads(ready.read_text())
        return self

    def kill(self) -> None:
        """Kills the server, and nothing but the server, as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._wait(10)

    def terminate(self) -> None:
        """Asks it to stop, and does not wait."""
        os.kill(self.pid, signal.SIGTERM)

    def stop(self, *, within_s: float = 40.0) -> int:
        """Asks it to stop, and returns its exit code."""
        self.terminate()
        return self._wait(within_s)

    def _wait(self, within_s: float) -> int:
        assert self.process is not None
        code = self.process.wait(within_s)
        self.process = None
        return code

    def cli(
        self,
        *arguments: str | bytes,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        within_s: float = 60.0,
    ) -> Ran:
        """Runs `hodei ARGUMENTS` against this server to its end."""
        return run_command(
            [HODEI, *arguments],
            environment={"HODEI_SERVER_ADDRESS": self.address, **(environment or {})},
            stdin=stdin,
            cwd=cwd,
            within_s=within_s,
        )

    def start_cli(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts `hodei ARGUMENTS` against this server; the caller waits for it."""
        return subprocess.Popen(
            [HODEI, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment({"HODEI_SERVER_ADDRESS": self.address}),
        )

    def client(self) -> Client:
        """A client of the SDK; use it in a `with`."""
        return Client(self.address)

    @contextlib.contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """A bare gRPC channel to the clients' port."""
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(self.address, options=options) as channel:
            yield channel

    @contextlib.contextmanager
    def jobs_stub(self) -> Iterator[rpc.JobExecutionServiceStub]:
        """The job calls without any client of ours between."""
        with self.channel() as channel:
            yield rpc.JobExecutionServiceStub(channel)

    def processes(self) -> list[psutil.Process]:
        """Everything alive that this server brought about: itself, agents, jobs, their children."""
        seeds = [process for process in psutil.process_iter() if self._is_ours(process)]
        found = {process.pid: process for process in seeds}
        for process in seeds:
            with contextlib.suppress(psutil.Error):
                found |= {child.pid: child for child in process.children(recursive=True)}
        return [process for process in found.values() if is_alive(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        try:
            if process.environ().get(MARK) == self.mark:
                return True
            places = [*process.cmdline(), process.cwd()]
        except (psutil.Error, OSError):
            return False
        return any(place.startswith(str(self.data_dir)) for place in places)

    def close(self) -> None:
        """Ends everything that was started here, by process id."""
        for _ in range(20):
            left = self.processes()
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=0.5)
            if not left:
                break
        if self.process is not None:
            self.process.kill()
            self._wait(10)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def identify(pid_files: Path, *, count: int, within_s: float = 10.0) -> list[psutil.Process]:
    """The processes that wrote their ids into files of a directory, once there are `count`."""

    def found() -> list[psutil.Process] | None:
        # Those that end in .tmp are renamed once they are whole.
        whole = [file for file in pid_files.iterdir() if file.suffix != ".tmp"]
        texts = [file.read_text().strip() for file in whole]
        return (
            [psutil.Process(int(text)) for text in texts]
            if all(texts) and len(texts) >= count
            else None
        )

    return eventually(found, within_s=within_s, what=f"{count} process ids in {pid_files}")


def assert_all_gone(processes: Sequence[psutil.Process], *, within_s: float) -> None:
    """Fails when one of the processes is still alive after a while."""
    eventually(
        lambda: not any(map(is_alive, processes)),
        within_s=within_s,
        what=f"the end of {[process.pid for process in processes if is_alive(process)]}",
    )
