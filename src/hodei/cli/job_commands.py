"""`hodei jobs …`: what can be typed."""

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, Typer

from hodei.cli.options import JobIdArgument, Output, Server
from hodei.cli.output import OutputFormat

if TYPE_CHECKING:
    from hodei.sdk import JobFilter

app = Typer(help="List, show, cancel, retry and watch jobs.")


@app.command("list")
def list_jobs(
    *,
    state: Annotated[
        list[str] | None, Option("--state", help="Only jobs in this state; may be repeated.")
    ] = None,
    name: Annotated[str, Option("--name", help="Only jobs of exactly this name.")] = "",
    label: Annotated[
        list[str] | None,
        Option("--label", metavar="KEY=VALUE", help="Only jobs with this label; repeatable."),
    ] = None,
    tag: Annotated[
        list[str] | None, Option("--tag", help="Only jobs with this tag; repeatable.")
    ] = None,
    since: Annotated[
        str,
        Option("--since", metavar="TIME", help="Created since then: RFC 3339, or 2h for ago."),
    ] = "",
    limit: Annotated[int, Option("--limit", min=1, help="At most so many, the newest first.")] = 50,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """List jobs, the newest first."""
    from hodei.cli.jobs import list_jobs as run
    from hodei.cli.pairs import read_pairs

    labels = read_pairs(label or [], option="--label")
    wanted: JobFilter = {"states": state or [], "name": name, "tags": tag or [], "labels": labels}
    run(server, output, limit=limit, since=since, wanted=wanted)


@app.command()
def show(job_id: JobIdArgument, server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """Show a job: its state and why, its attempts, and what a waiting one waits for."""
    from hodei.cli.jobs import show_job

    show_job(server, output, job_id)


@app.command()
def cancel(
    job_id: JobIdArgument,
    *,
    reason: Annotated[str, Option("--reason", help="Why; shown with the job.")] = "",
    wait: Annotated[bool, Option("--wait", help="Wait until it has ended.")] = False,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Ask for the end of a job: SIGTERM to all of it, its grace, SIGKILL."""
    from hodei.cli.jobs import cancel_job

    cancel_job(server, output, job_id, reason=reason, wait=wait)


@app.command()
def retry(job_id: JobIdArgument, server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """Queue a job that has ended, but not succeeded, once more."""
    from hodei.cli.jobs import retry_job

    retry_job(server, output, job_id)


@app.command()
def watch(
    job_id: Annotated[
        str, Argument(metavar="[JOB]", help="Only this job, to its end; else all, from now on.")
    ] = "",
    *,
    after: Annotated[
        str, Option("--after", metavar="POSITION", help="Go on after this event.")
    ] = "",
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Print what happens as it happens, a line for each event (with --output json: of JSON)."""
    from hodei.cli.jobs import watch_jobs

    watch_jobs(server, output, job_id or None, after=after or None)
