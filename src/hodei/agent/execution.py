"""One attempt on one slot: its workspace, its pipes, its process, its end."""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from hodei.agent.job_process import SlotDiedError, SpawnError, SpawnRequest
from hodei.agent.json_log import log
from hodei.agent.pipes import PipeFeeder, PipeReader, open_pipe
from hodei.agent.reactor.events import (
    Event,
    OutputEnded,
    OutputRead,
    ProcessGone,
    RunJob,
    Spawned,
    SpawnFailed,
    StreamKey,
)
from hodei.agent.slots import SlotProcess
from hodei.agent.workspace import Workspaces, job_environment, write_script
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import Exec
from hodei.domain.logs import LogStream


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionParts:
    """What every execution shares."""

    workspaces: Workspaces
    environment: Mapping[bytes, bytes]
    """What jobs inherit."""
    worker_id: str
    null_fd: int
    """/dev/null, open for reading: the stdin of jobs that have none."""
    emit: Callable[[Event], None]
    wall_ns: Callable[[], int]


class Execution:
    """Runs an attempt and reports what becomes of it. `run` is its only task."""

    def __init__(self, parts: ExecutionParts, run: RunJob, slot: SlotProcess) -> None:
        self._parts = parts
        self._run = run
        self._slot = slot
        self._readers: dict[LogStream, PipeReader] = {}
        self._feeder: PipeFeeder | None = None

    def pause(self, stream: LogStream) -> None:
        """Leaves a stream's output in its pipe."""
        if reader := self._readers.get(stream):
            reader.pause()

    def resume(self, stream: LogStream) -> None:
        """Reads a stream again."""
        if reader := self._readers.get(stream):
            reader.resume()

    def close(self) -> None:
        """Lets go of the pipes, with what may be in them. Idempotent."""
        for reader in self._readers.values():
            reader.close()
        self._stop_feeding()

    async def run(self) -> None:
        """Reports `Spawned`, output and `ProcessGone`, or else `SpawnFailed`.

        A slot that dies ends it without a word: whoever watches the slots tells of that. Then, and
        when it is cancelled, the workspace stays: processes may be left in it.
        """
        try:
            if await self._start():
                await self._see_it_end()
        except SlotDiedError as error:
            log.warning("slot_died", slot=self._slot.index, message=str(error))
            return
        finally:
            self._stop_feeding()
        await self._clean_up()

    async def _start(self) -> bool:
        try:
            argv, workspace = await self._prepare()
        except (OSError, ValueError) as error:
            self._fail(
                ReasonCode.IO_ERROR, f"its workspace or script could not be written: {error}"
            )
            return False
        try:
            await self._spawn(argv, workspace)
        except SpawnError as error:
            self._fail(error.reason_code, error.message)
            return False
        except OSError as error:
            self._fail(ReasonCode.PROCESS_SPAWN_FAILED, f"its pipes could not be made: {error}")
            return False
        return True

    async def _prepare(self) -> tuple[tuple[bytes, ...], bytes]:
        run = self._run
        workspace = self._parts.workspaces.make(run.key)
        if isinstance(run.command, Exec):
            return run.command.argv, workspace
        path = self._parts.workspaces.script_path(run.key)
        return await asyncio.to_thread(write_script, path, run.command), workspace

    async def _spawn(self, argv: tuple[bytes, ...], workspace: bytes) -> None:
        """Starts the process; the job's ends of the pipes are closed here whatever happens."""
        run = self._run
        with ExitStack() as theirs, ExitStack() as ours_on_failure:
            ends: dict[LogStream, tuple[int, int]] = {}
            for stream in LogStream:
                ends[stream] = read_fd, write_fd = open_pipe()
                ours_on_failure.callback(os.close, read_fd)
                theirs.callback(os.close, write_fd)
            stdin_fd, feed_fd = self._parts.null_fd, -1
            if run.stdin:
                stdin_fd, feed_fd = open_pipe()
                theirs.callback(os.close, stdin_fd)
                ours_on_failure.callback(os.close, feed_fd)
            request = SpawnRequest(
                argv=argv,
                env=job_environment(self._parts.environment, run, self._parts.worker_id),
                cwd=os.path.join(workspace, run.working_dir.encode()),  # noqa: PTH118 - bytes
                stdin_fd=stdin_fd,
                stdout_fd=ends[LogStream.STDOUT][1],
                stderr_fd=ends[LogStream.STDERR][1],
            )
            pid = await self._slot.spawn(request)
            ours_on_failure.pop_all()
        self._parts.emit(Spawned(key=run.key, pid=pid, wall_ns=self._parts.wall_ns()))
        for stream, (read_fd, _) in ends.items():
            self._readers[stream] = self._reader(stream, read_fd)
        if run.stdin:
            self._feeder = PipeFeeder(feed_fd, run.stdin)

    def _reader(self, stream: LogStream, fd: int) -> PipeReader:
        key = StreamKey(self._run.key, stream)
        return PipeReader(
            fd, on_data=partial(self._on_data, key), on_end=partial(self._on_end, key)
        )

    def _on_data(self, key: StreamKey, data: bytes) -> None:
        self._parts.emit(OutputRead(key=key, data=data, wall_ns=self._parts.wall_ns()))

    def _on_end(self, key: StreamKey) -> None:
        self._parts.emit(OutputEnded(key=key))

    async def _see_it_end(self) -> None:
        report = await self._slot.wait()
        for reader in self._readers.values():
            reader.finish()
        self._parts.emit(
            ProcessGone(
                key=self._run.key,
                exit_code=report.exit_code,
                signal=report.signal,
                user_cpu_s=report.user_cpu_s,
                system_cpu_s=report.system_cpu_s,
                max_rss_bytes=report.max_rss_bytes,
                out_of_memory=report.out_of_memory,
                wall_ns=self._parts.wall_ns(),
            )
        )

    def _fail(self, reason_code: ReasonCode, message: str) -> None:
        wall_ns = self._parts.wall_ns()
        self._parts.emit(
            SpawnFailed(
                key=self._run.key, reason_code=reason_code, message=message, wall_ns=wall_ns
            )
        )

    def _stop_feeding(self) -> None:
        if self._feeder is not None:
            self._feeder.close()

    async def _clean_up(self) -> None:
        key = self._run.key
        if not isinstance(self._run.command, Exec):
            self._parts.workspaces.script_path(key).unlink(missing_ok=True)
        if not self._parts.workspaces.take_back(key):
            try:
                await asyncio.to_thread(self._parts.workspaces.remove, key)
            except OSError as error:
                log.warning("workspace_left", path=str(error.filename), message=str(error))
