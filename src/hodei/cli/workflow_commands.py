"""`hodei workflows …`: what can be typed."""

from typing import Annotated

from typer import Argument, Option, Typer

from hodei.cli.options import Output, Server
from hodei.cli.output import OutputFormat

app = Typer(help="List runs of workflows, look into them, and let parked ones go on.")

Run = Annotated[
    str,
    Argument(
        metavar="RUN", help="A run id, or a workflow id: then its open run, else its newest one."
    ),
]
Namespace = Annotated[
    str, Option("--namespace", help="Of the workflow id. Default: the default one.")
]
Note = Annotated[str, Option("--note", help="Why, for the run's history.")]


@app.command("list")
def list_workflows(
    *,
    status: Annotated[
        list[str] | None,
        Option("--status", metavar="STATUS", help="Only runs with this status; repeatable."),
    ] = None,
    kind: Annotated[str, Option("--type", help="Only runs of this workflow.")] = "",
    workflow_id: Annotated[str, Option("--id", help="Only runs of this workflow id.")] = "",
    namespace: Annotated[str, Option("--namespace", help="Only of this namespace.")] = "",
    parked: Annotated[bool, Option("--parked", help="Only runs that do not go on.")] = False,
    limit: Annotated[int, Option("--limit", min=1, help="At most so many.")] = 100,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """List runs, the newest first."""
    from hodei.cli.workflows import list_workflows as run
    from hodei.sdk import WorkflowFilter

    wanted = WorkflowFilter(
        namespace=namespace,
        workflow_id=workflow_id,
        type=kind,
        statuses=[each.upper() for each in status or []],
        only_parked=parked,
    )
    run(server, output, wanted, limit=limit)


@app.command()
def show(
    run: Run, namespace: Namespace = "", server: Server = "", output: Output = OutputFormat.TEXT
) -> None:
    """Show a run: how it is, why it is parked, how it ended."""
    from hodei.cli.workflows import show_workflow

    show_workflow(server, output, run, namespace)


@app.command()
def history(
    run: Run, namespace: Namespace = "", server: Server = "", output: Output = OutputFormat.TEXT
) -> None:
    """Print what happened to a run; what its code asked for is indented below what it heard of."""
    from hodei.cli.workflows import show_history

    show_history(server, output, run, namespace)


@app.command()
def signal(
    run: Run,
    name: Annotated[str, Argument(metavar="NAME", help="Of the signal.")],
    argument: Annotated[
        list[str] | None,
        Argument(metavar="[ARGUMENT]...", help="As JSON; what is none is taken as text."),
    ] = None,
    *,
    request_id: Annotated[
        str, Option("--request-id", help="A second signal with the same one is not heard again.")
    ] = "",
    namespace: Namespace = "",
    server: Server = "",
) -> None:
    """Tell a run something."""
    from hodei.cli.workflows import signal_workflow

    signal_workflow(server, run, name, argument or [], request_id=request_id, namespace=namespace)


@app.command()
def cancel(
    run: Run,
    *,
    reason: Annotated[str, Option("--reason", help="Why, for the run's history.")] = "",
    namespace: Namespace = "",
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Ask a run to end: its code is cancelled, and undoes what it must."""
    from hodei.cli.workflows import cancel_workflow

    cancel_workflow(server, output, run, reason=reason, namespace=namespace)


@app.command("retry-step")
def retry_step(
    run: Run,
    *,
    note: Note = "",
    namespace: Namespace = "",
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Let a parked run go on: what it is parked for is tried again."""
    from hodei.cli.workflows import retry_step as run_it

    run_it(server, output, run, note=note, namespace=namespace)


@app.command("skip-step")
def skip_step(
    run: Run,
    *,
    note: Note = "",
    namespace: Namespace = "",
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Let a run go on without the compensation for which it is parked."""
    from hodei.cli.workflows import skip_step as run_it

    run_it(server, output, run, note=note, namespace=namespace)


@app.command()
def replay(
    run: Run, namespace: Namespace = "", server: Server = "", output: Output = OutputFormat.TEXT
) -> None:
    """Run the server's code over a run's history; leaves with 1 where they differ."""
    from hodei.cli.workflows import replay_workflow

    replay_workflow(server, output, run, namespace)
