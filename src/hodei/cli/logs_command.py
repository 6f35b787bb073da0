"""`hodei logs`: what can be typed."""

from typing import Annotated

from typer import Option, Typer

from hodei.cli.options import JobIdArgument, Server


def register(app: Typer) -> None:
    """Adds the command."""
    app.command()(logs)


def logs(
    job_id: JobIdArgument,
    *,
    follow: Annotated[
        bool, Option("-f", "--follow", help="Go on with what comes, until the job's end.")
    ] = False,
    attempt: Annotated[
        int, Option("--attempt", min=0, help="Of this attempt only; 0 for each in turn.")
    ] = 0,
    stdout_offset: Annotated[
        int, Option("--stdout-offset", min=0, help="Leave out stdout before this byte.")
    ] = 0,
    stderr_offset: Annotated[
        int, Option("--stderr-offset", min=0, help="Leave out stderr before this byte.")
    ] = 0,
    server: Server = "",
) -> None:
    """Print a job's output, byte for byte: its stdout to stdout, its stderr to stderr."""
    from hodei.cli.logs import print_logs

    print_logs(
        server,
        job_id,
        follow=follow,
        attempt=attempt,
        stdout_offset=stdout_offset,
        stderr_offset=stderr_offset,
    )
