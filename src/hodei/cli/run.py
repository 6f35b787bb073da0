"""What `hodei run` does: submits a job, streams its output, leaves with its exit code."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from hodei.cli.byte_output import BOTH, TO_STDERR, write_chunk
from hodei.cli.exit_codes import exit_code_for, is_plain_exit
from hodei.cli.failures import FailedJobError, warn
from hodei.cli.interrupts import Interrupts
from hodei.cli.output import OutputFormat, print_json
from hodei.kernel.errors import (
    HodeiError,
    UnavailableError,
    WrongStateError,
)
from hodei.lifecycle.race import until_first
from hodei.lifecycle.system_clock import SystemIdSource
from hodei.sdk import AsyncClient, Job, JobRequest, LogChunk, LogStream

EXIT_READER_LEFT: Final = 141
"""As of a program that SIGPIPE ended."""

_ASK_AGAIN_S: Final = 0.5
_SAY_WHY_AFTER_S: Final = 3.0
"""A job that waits for so long is said to, with the reason; and again when that is another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a job is run, apart from what it is."""

    server: str
    output: OutputFormat
    detach: bool
    local: bool

    @property
    def log_fds(self) -> Mapping[LogStream, int]:
        """Where the job's output goes."""
        return TO_STDERR if self.output is OutputFormat.JSON else BOTH


def run_on_server(request: JobRequest, options: RunOptions) -> int:
    """Runs the job on the server that is named and returns the exit code.

    Raises:
        HodeiError: Nothing was submitted.
        FailedJobError: The job was submitted, and then no server was there for too long.
    """
    return asyncio.run(_run_on_server(request, options))


def tell_end(job: Job, options: RunOptions) -> int:
    """Tells how the job ended and returns the exit code that stands for it."""
    if options.output is OutputFormat.JSON:
        print_json(job.to_dict())
    if not is_plain_exit(job) and job.reason is not None:
        warn(f"job {job.id} {job.state}: {job.reason.message}. {job.reason.advice}")
    return exit_code_for(job)


async def cancel_when_interrupted(
    client: AsyncClient, job_id: str, interrupts: Interrupts, *, next_time: str
) -> None:
    """Asks for the job's end at the first signal. Returns at the second, once that is asked for.

    A server that is away is asked again when it is back; then the second signal is not waited with.
    """
    await interrupts.first()
    warn(f"cancelling job {job_id}; {next_time}")
    while True:
        try:
            await client.cancel(job_id, reason="interrupted")
        except UnavailableError:
            if await interrupts.second_within(_ASK_AGAIN_S):
                return
        except WrongStateError:
            break  # It has ended meanwhile, which is what was wanted.
        except HodeiError as error:
            warn(f"job {job_id} was not cancelled: {error}")
            break
        else:
            break
    await interrupts.second()


async def stream_output(
    client: AsyncClient,
    job_id: str,
    options: RunOptions,
    *,
    before_each: Callable[[LogChunk], None] = lambda _: None,
) -> bool:
    """Writes the job's output to its end; False when the reader left before.

    A job whose output nobody reads any more is cancelled, as SIGPIPE would end it without us.
    """
    fds = options.log_fds
    async with aclosing(client.logs(job_id)) as chunks:
        try:
            async for chunk in chunks:
                before_each(chunk)
                await write_chunk(chunk, fds)
        except BrokenPipeError:
            await client.cancel(job_id, reason="nobody reads its output any more")
            return False
    return True


async def _run_on_server(request: JobRequest, options: RunOptions) -> int:
    with Interrupts() as interrupts:
        async with AsyncClient(options.server or None) as client:
            # Drawn here, so that a job whose submission is interrupted can be cancelled.
            job = await client.submit(**{"id": SystemIdSource().new(), **request})
            if options.detach:
                _print_submitted(job, options)
                return 0
            try:
                return await _follow(client, job, options, interrupts)
            except HodeiError as error:
                raise FailedJobError(job.id, error) from error


def _print_submitted(job: Job, options: RunOptions) -> None:
    if options.output is OutputFormat.JSON:
        print_json(job.to_dict())
    else:
        print(job.id)


async def _follow(
    client: AsyncClient, job: Job, options: RunOptions, interrupts: Interrupts
) -> int:
    exit_codes: list[int] = []

    async def to_its_end() -> None:
        is_read = await stream_output(client, job.id, options)
        ended = await client.wait(job.id)
        exit_codes.append(tell_end(ended, options) if is_read else EXIT_READER_LEFT)

    async def until_left() -> None:
        advice = "press Ctrl-C again to leave it to itself"
        await cancel_when_interrupted(client, job.id, interrupts, next_time=advice)
        interrupts.leave()

    await until_first(to_its_end(), until_left(), _say_why_it_waits(client, job.id))
    return exit_codes[0] if interrupts.exit_code is None else interrupts.exit_code


async def _say_why_it_waits(client: AsyncClient, job_id: str) -> None:
    """Says on stderr what a waiting job waits for, until it is cancelled."""
    told: str | None = None
    while True:
        await asyncio.sleep(_SAY_WHY_AFTER_S)
        try:
            job = await client.get(job_id)
        except HodeiError:
            continue  # The stream of the output tells of a server that is away.
        if job.pending_reason and job.pending_reason != told:
            warn(f"job {job_id} waits: {job.pending_reason}")
        told = job.pending_reason
