"""`hodei workers …`: what can be typed."""

from typing import Annotated

from typer import Option, Typer

from hodei.cli.options import Output, Server, WorkerIdArgument
from hodei.cli.output import OutputFormat

app = Typer(help="List, show, drain and invite workers, and clean up after them.")


@app.command("list")
def list_workers(
    *,
    ended: Annotated[bool, Option("--all", help="Also those that have ended.")] = False,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """List workers."""
    from hodei.cli.workers import list_workers as run

    run(server, output, include_ended=ended)


@app.command()
def show(
    worker_id: WorkerIdArgument, server: Server = "", output: Output = OutputFormat.TEXT
) -> None:
    """Show a worker: its state, what it holds, and why it ended."""
    from hodei.cli.workers import show_worker

    show_worker(server, output, worker_id)


@app.command()
def drain(
    worker_id: WorkerIdArgument, server: Server = "", output: Output = OutputFormat.TEXT
) -> None:
    """Let a worker finish what it has, take nothing new, and end."""
    from hodei.cli.workers import drain_worker

    drain_worker(server, output, worker_id)


@app.command("clean-up")
def clean_up(
    *,
    provider: Annotated[
        str, Option("--provider", metavar="NAME", help="Only its instances. Default: all.")
    ] = "",
    dry_run: Annotated[bool, Option("--dry-run", help="Only print what would be removed.")] = False,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Remove what providers have that is no worker's, such as containers of a lost database."""
    from hodei.cli.workers import clean_up_workers

    clean_up_workers(server, output, provider=provider, dry_run=dry_run)


@app.command()
def invite(
    *,
    name: Annotated[str, Option("--name", help="Of the worker, for people.")] = "",
    label: Annotated[
        list[str] | None,
        Option("--label", metavar="KEY=VALUE", help="A label of the worker; repeatable."),
    ] = None,
    server: Server = "",
) -> None:
    """Print what a new worker needs, as JSON with a one-time password: pipe it to hodei worker."""
    from hodei.cli.pairs import read_pairs
    from hodei.cli.workers import invite_worker

    invite_worker(server, name=name, labels=read_pairs(label or [], option="--label"))
