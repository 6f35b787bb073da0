"""`hodei providers …`: what can be typed."""

from typing import Annotated

from typer import Argument, Typer

from hodei.cli.options import Output, Server
from hodei.cli.output import OutputFormat

app = Typer(help="List and show what makes workers.")


@app.command("list")
def list_providers(server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """List providers, in the order in which they are asked for workers, and how each of them is."""
    from hodei.cli.providers import list_providers as run

    run(server, output)


@app.command()
def show(
    name: Annotated[str, Argument(metavar="NAME", help="The provider's name.")],
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show a provider: its state and why, its circuit breaker, and kinds that failed lately."""
    from hodei.cli.providers import show_provider

    show_provider(server, output, name)
