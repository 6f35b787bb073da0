"""`hodei run --local`: a control plane for one job, and the job's life as it happens."""

import asyncio
import logging
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from hodei.cli.exit_codes import EXIT_HODEI_FAILED
from hodei.cli.interrupts import Interrupts
from hodei.cli.local_steps import Step, step_of
from hodei.cli.own_name import own_name
from hodei.cli.run import (
    EXIT_READER_LEFT,
    RunOptions,
    cancel_when_interrupted,
    stream_output,
    tell_end,
)
from hodei.domain.jobs.states import TERMINAL
from hodei.kernel.errors import InvalidFieldsError
from hodei.lifecycle.logs import set_up_logs
from hodei.lifecycle.race import until_first
from hodei.lifecycle.system_clock import SystemClock
from hodei.sdk import AsyncClient, Job, JobEvent, JobRequest, LogChunk
from hodei.server.config import LocalProviderConfig, ServerConfig
from hodei.server.run import running_server

_STOP_GRACE_S: Final = 1.0
"""What a job still gets that was given up by a second Ctrl-C."""


def run_on_own_server(request: JobRequest, options: RunOptions) -> int:
    """Runs the job on a control plane of its own and returns the exit code.

    Nothing of it is left behind: its files are in a temporary directory, its worker ends with it.

    Raises:
        HodeiError: It could not be started, or the job was refused.
    """
    if options.detach or options.server:
        other = "--detach" if options.detach else "--server"
        raise InvalidFieldsError.of("--local", f"goes without {other}: it has a server of its own")
    return asyncio.run(_run(request, options))


async def _run(request: JobRequest, options: RunOptions) -> int:
    set_up_logs(readable=True, level=logging.ERROR)
    clock = SystemClock()
    begun = clock.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="hodei-run-") as directory,
        Interrupts() as interrupts,
    ):
        async with running_server(_config(Path(directory))) as addresses:
            _tell(f"control plane ready in {clock.monotonic() - begun:.3f} s, for this job only")
            async with AsyncClient(addresses.grpc) as client:
                life = _Life(client, await client.submit(**request), options)
                await until_first(life.live(), life.cancel_on(interrupts))
                exit_code = life.exit_code
    _advise()
    return exit_code if interrupts.exit_code is None else interrupts.exit_code


class _Life:
    """Shows a job's steps and its output in their order."""

    def __init__(self, client: AsyncClient, job: Job, options: RunOptions) -> None:
        self._client = client
        self._job = job
        self._options = options
        self._has_started = asyncio.Event()
        self._output_is_over = asyncio.Event()
        self._is_read = True
        self._has_written = False
        self._shown_at = job.created_at
        self.exit_code = EXIT_HODEI_FAILED

    async def live(self) -> None:
        """Shows the life to its end."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._show_steps())
            tasks.create_task(self._show_output())
        ended = await self._client.wait(self._job.id)
        self.exit_code = tell_end(ended, self._options) if self._is_read else EXIT_READER_LEFT

    async def cancel_on(self, interrupts: Interrupts) -> None:
        """Cancels the job at the first signal; returns at the second."""
        advice = "press Ctrl-C again to end it at once"
        await cancel_when_interrupted(self._client, self._job.id, interrupts, next_time=advice)

    async def _show_steps(self) -> None:
        async for event in self._client.events(self._job.id, include_workers=True):
            is_end = event.type.startswith("Job") and event.state in TERMINAL
            if is_end:
                # The end is shown once the output is, also when there never was any.
                self._has_started.set()
                await self._output_is_over.wait()
            self._show(event)
            if event.type == "JobAccepted":
                self._has_started.set()

    async def _show_output(self) -> None:
        await self._has_started.wait()
        self._is_read = await stream_output(
            self._client, self._job.id, self._options, before_each=self._tell_of_output
        )
        self._output_is_over.set()

    def _tell_of_output(self, chunk: LogChunk) -> None:
        if not self._has_written:
            self._has_written = True
            # Its own time may lie before that at which the server heard that the job runs.
            _tell_step(max(chunk.at, self._shown_at), self._job.created_at, Step("log lines", ""))

    def _show(self, event: JobEvent) -> None:
        step = step_of(event)
        if step is not None:
            self._shown_at = event.at
            _tell_step(event.at, self._job.created_at, step)


def _tell_step(at: datetime, begin: datetime, step: Step) -> None:
    detail = f"  ({step.detail})" if step.detail else ""
    _tell(f"  +{(at - begin).total_seconds():.3f} s  {step.what}{detail}")


def _config(directory: Path) -> ServerConfig:
    return ServerConfig(
        data_dir=directory / "data",
        dev_mode=True,
        grpc_port=0,
        worker_port=0,
        enroll_port=0,
        http_port=0,
        stop_grace_s=_STOP_GRACE_S,
        # No warm one: the job's own worker is part of what is shown.
        local=LocalProviderConfig(slots=1, max_workers=1, warm_workers=0),
    )


def _advise() -> None:
    hodei = own_name()
    _tell(
        "\nTry next:\n"
        f"  {hodei} dev                                 a control plane that stays\n"
        f'  {hodei} run -- sh -c "date; uname -a"       a job on it, from another terminal\n'
        f"  {hodei} jobs list                           what has run"
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
