"""The tree of commands."""

from typing import Annotated, Any

from typer import Context, Exit, Option, Typer
from typer.main import get_command

from hodei.cli import (
    config_commands,
    db_commands,
    explain_command,
    job_commands,
    logs_command,
    providers_commands,
    run_command,
    server_commands,
    servers_commands,
    worker_commands,
    workflow_commands,
)
from hodei.cli.options import Output
from hodei.cli.output import OutputFormat, print_json
from hodei.kernel.version import VERSION


def command() -> Any:  # noqa: ANN401 - typer keeps the class of what it makes to itself
    """The whole command, ready to be called with its arguments."""
    # No completion: it would write to the user's shell set-up, and slows each start.
    app = Typer(
        name="hodei",
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Runs jobs on workers that it provisions on demand, and never loses one.",
    )
    app.callback(invoke_without_command=True)(_hodei)
    server_commands.register(app)
    run_command.register(app)
    app.add_typer(job_commands.app, name="jobs")
    explain_command.register(app)
    logs_command.register(app)
    app.add_typer(worker_commands.app, name="workers")
    app.add_typer(providers_commands.app, name="providers")
    app.add_typer(servers_commands.app, name="servers")
    app.add_typer(workflow_commands.app, name="workflows")
    app.add_typer(config_commands.app, name="config")
    app.add_typer(db_commands.app, name="db")
    app.command()(version)
    return get_command(app)


def version(output: Output = OutputFormat.TEXT) -> None:
    """Print the version of this command."""
    if output is OutputFormat.JSON:
        print_json({"version": VERSION})
    else:
        print(f"hodei {VERSION}")


def _hodei(
    context: Context,
    *,
    show_version: Annotated[
        bool, Option("--version", help="Print the version and leave.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        version()
        raise Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise Exit
