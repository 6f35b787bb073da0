"""What `hodei jobs …` does."""

from datetime import datetime, timedelta

from hodei.cli.asking import ask
from hodei.cli.output import (
    OutputFormat,
    print_fields,
    print_json,
    print_json_line,
    print_table,
    printable,
)
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.units import format_duration, parse_duration_s
from hodei.lifecycle.system_clock import SystemClock
from hodei.sdk import AsyncClient, Attempt, Job, JobEvent, JobFilter
from hodei.sdk.times import rfc3339


def list_jobs(
    server: str, output: OutputFormat, *, limit: int, since: str, wanted: JobFilter
) -> None:
    """Prints the jobs that are wanted."""
    if since:
        wanted["created_after"] = _instant(since)

    async def question(client: AsyncClient) -> list[Job]:
        return [job async for job in client.jobs(limit=limit, **wanted)]

    jobs = ask(server, question)
    if output is OutputFormat.JSON:
        print_json([job.to_dict() for job in jobs])
        return
    print_table(
        ("ID", "NAME", "STATE", "EXIT", "ATTEMPTS", "CREATED", "TOOK"),
        [
            (
                job.id,
                job.name,
                job.state,
                _text(job.exit_code),
                str(len(job.attempts)),
                rfc3339(job.created_at),
                _took(job.created_at, job.finished_at),
            )
            for job in jobs
        ],
    )


def show_job(server: str, output: OutputFormat, job_id: str) -> None:
    """Prints one job."""
    _print_job(ask(server, lambda client: client.get(job_id)), output)


def cancel_job(server: str, output: OutputFormat, job_id: str, *, reason: str, wait: bool) -> None:
    """Asks for a job's end and prints it as it is then."""

    async def question(client: AsyncClient) -> Job:
        job = await client.cancel(job_id, reason=reason)
        return await client.wait(job_id) if wait else job

    job = ask(server, question)
    if output is OutputFormat.JSON:
        print_json(job.to_dict())
    elif job.is_terminal:
        print(f"{job.id} is {job.state}")
    else:
        print(f"{job.id} is being cancelled")


def retry_job(server: str, output: OutputFormat, job_id: str) -> None:
    """Queues a job that has ended once more, and prints it as it is then."""
    job = ask(server, lambda client: client.retry(job_id))
    if output is OutputFormat.JSON:
        print_json(job.to_dict())
    else:
        print(f"{job.id} is {job.state}")


def watch_jobs(server: str, output: OutputFormat, job_id: str | None, *, after: str | None) -> None:
    """Prints events as they come: of one job to its end, or of all from now on."""

    async def question(client: AsyncClient) -> None:
        start = after
        if job_id is None and after is None:
            start = (await client.server_info()).position
        async for event in client.events(job_id, after=start, include_workers=True):
            if output is OutputFormat.JSON:
                print_json_line(event.to_dict())
            else:
                print(_event_line(event), flush=True)

    ask(server, question)


def _print_job(job: Job, output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(job.to_dict())
        return
    print_fields(
        {
            "id": job.id,
            "name": job.name,
            "state": job.state,
            "exit code": _text(job.exit_code),
            "reason": _reason(job),
            "advice": job.reason.advice if job.reason else "",
            "waits because": job.pending_reason,
            "created": f"{rfc3339(job.created_at)}"
            + (f" by {job.queued_by}" * bool(job.queued_by)),
            "finished": rfc3339(job.finished_at) if job.finished_at else "",
            "took": _took(job.created_at, job.finished_at),
            "priority": job.priority,
            "labels": ", ".join(f"{key}={value}" for key, value in job.labels.items()),
            "tags": ", ".join(job.tags),
        }
    )
    if job.attempts:
        print()
        print_table(
            ("ATTEMPT", "STATE", "EXIT", "REASON", "WORKER", "STARTED", "TOOK"),
            [_attempt_row(attempt) for attempt in job.attempts],
        )


def _attempt_row(attempt: Attempt) -> tuple[str, ...]:
    return (
        str(attempt.number),
        attempt.state,
        f"signal {attempt.signal}" if attempt.signal else _text(attempt.exit_code),
        attempt.reason.code if attempt.reason else "",
        attempt.worker_id,
        rfc3339(attempt.started_at) if attempt.started_at else "",
        _took(attempt.started_at, attempt.finished_at),
    )


def _reason(job: Job) -> str:
    return f"{job.reason.message} ({job.reason.code})" if job.reason else ""


def _event_line(event: JobEvent) -> str:
    facts = {
        "job": event.job_id,
        "worker": event.worker_id,
        "attempt": str(event.attempt or ""),
        "state": event.state,
        "reason": event.reason.code if event.reason else "",
    }
    # What a provider saw is the one thing that no code stands for.
    if event.type in {"WorkerStopped", "WorkerHealthChanged"}:
        facts |= {name: event.details.get(name, "") for name in ("exit_code", "message")}
    told = " ".join(f"{name}={value}" for name, value in facts.items() if value)
    return printable(f"{rfc3339(event.at)}  {event.type:<24}  {told}")


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            ago_s = parse_duration_s(text, field="--since")
            return SystemClock().now() - timedelta(seconds=ago_s)
        except (InvalidFieldsError, OverflowError):
            raise InvalidFieldsError.of(
                "--since", f"{text!r} is neither a time, such as 2026-11-25T08:00:00Z, nor 2h"
            ) from None
    return at.astimezone()


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _took(start: datetime | None, end: datetime | None) -> str:
    return format_duration((end - start).total_seconds()) if start and end else ""
