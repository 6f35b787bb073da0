"""`hodei config …`: what can be typed."""

from typing import Annotated

from typer import Option, Typer

from hodei.cli.options import Output
from hodei.cli.output import OutputFormat

app = Typer(help="The configuration of a server.")


@app.callback()
def config() -> None:
    """The configuration of a server."""


@app.command()
def show(
    config_file: Annotated[
        str, Option("--config", metavar="FILE", help="A TOML file of settings.")
    ] = "",
    setting: Annotated[
        list[str] | None,
        Option("--set", metavar="KEY=VALUE", help="A setting, as hodei server takes it."),
    ] = None,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Print every setting of a server as it is here, and where its value comes from."""
    from hodei.cli.config import show_config

    show_config(config_file, setting or [], output)
