"""`hodei servers …`: what can be typed."""

from typer import Typer

from hodei.cli.options import Output, Server
from hodei.cli.output import OutputFormat

app = Typer(help="List the servers that share a database.")


@app.callback()
def _servers() -> None:
    """List the servers that share a database."""


@app.command("list")
def list_servers(server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """List servers: those that live, and those that ended within a day."""
    from hodei.cli.servers import list_servers as run

    run(server, output)
