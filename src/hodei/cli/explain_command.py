"""`hodei explain`: what can be typed."""

from typer import Typer

from hodei.cli.options import JobIdArgument, Output, Server
from hodei.cli.output import OutputFormat


def register(app: Typer) -> None:
    """Adds the command."""
    app.command()(explain)


def explain(job_id: JobIdArgument, server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """Explain a job: what it waits for and what was considered for it, or why it ended so."""
    from hodei.cli.explain import explain_job

    explain_job(server, output, job_id)
