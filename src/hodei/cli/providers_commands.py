"""`hodei providers …`: what can be typed."""

from typing import Annotated

from typer import Argument, Exit, Option, Typer

from hodei.cli.options import Output, Server
from hodei.cli.output import OutputFormat

app = Typer(help="List, show, add, change, switch, test and remove what makes workers.")

Name = Annotated[str, Argument(metavar="NAME", help="The provider's name.")]
Options = Annotated[
    list[str] | None,
    Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="As in the settings of its type (hodei config show), without what is before the dot; "
        "repeatable.",
    ),
]
Priority = Annotated[
    int | None, Option("--priority", help="Those with more are asked for workers first.")
]
Cost = Annotated[
    float | None,
    Option("--cost-per-hour", help="Of a worker, for the strategy lowest-cost."),
]
Tags = Annotated[list[str] | None, Option("--tag", metavar="TAG", help="Repeatable.")]
Metadata = Annotated[
    list[str] | None, Option("--metadata", metavar="KEY=VALUE", help="For people; repeatable.")
]


@app.command("list")
def list_providers(server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """List providers, in the order in which they are asked for workers, and how each of them is."""
    from hodei.cli.providers import list_providers as run

    run(server, output)


@app.command()
def show(
    name: Name,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show a provider: its state and why, its circuit breaker, and kinds that failed lately."""
    from hodei.cli.providers import show_provider

    show_provider(server, output, name)


@app.command()
def add(
    name: Name,
    *,
    type_: Annotated[str, Option("--type", metavar="docker|local", help="What it is.")],
    option: Options = None,
    priority: Priority = None,
    cost_per_hour: Cost = None,
    tag: Tags = None,
    metadata: Metadata = None,
    disabled: Annotated[bool, Option("--disabled", help="It need not be usable yet.")] = False,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Add a provider on every server of the installation, while they run."""
    from hodei.cli.provider_changes import Decided, add_provider

    decided = Decided.of(option, priority, cost_per_hour, tag, metadata)
    add_provider(server, output, name, type_, decided, enabled=not disabled)


@app.command()
def update(
    name: Name,
    *,
    option: Options = None,
    unset: Annotated[
        list[str] | None,
        Option("--unset", metavar="NAME", help="An option to leave out again; repeatable."),
    ] = None,
    priority: Priority = None,
    cost_per_hour: Cost = None,
    tag: Tags = None,
    metadata: Metadata = None,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Change a provider: what is not named stays, and the workers that it has stay as they are."""
    from hodei.cli.provider_changes import Decided, update_provider

    decided = Decided.of(option, priority, cost_per_hour, tag, metadata)
    update_provider(server, output, name, decided, unset or [])


@app.command()
def enable(name: Name, server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """Have a provider make workers again."""
    from hodei.cli.provider_changes import enable_provider

    enable_provider(server, output, name)


@app.command()
def disable(name: Name, server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """Have a provider make no more workers: its jobs end first, its idle workers leave."""
    from hodei.cli.provider_changes import disable_provider

    disable_provider(server, output, name)


@app.command()
def remove(
    name: Name,
    *,
    force: Annotated[
        bool,
        Option("--force", help="Also while it has workers: it is gone after the last of them."),
    ] = False,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Remove a provider that was added, once it has no workers."""
    from hodei.cli.provider_changes import remove_provider

    remove_provider(server, output, name, force=force)


@app.command("test")
def try_out(name: Name, server: Server = "", output: Output = OutputFormat.TEXT) -> None:
    """Ask what is behind a provider: version, architecture, limits. Exit code 1 if it is unusable."""
    from hodei.cli.provider_changes import test_provider

    if not test_provider(server, output, name):
        raise Exit(1)
