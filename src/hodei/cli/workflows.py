"""What `hodei workflows …` does."""

import json
from collections.abc import Sequence

from typer import Exit

from hodei.cli.asking import ask
from hodei.cli.output import OutputFormat, print_fields, print_json, print_table, printable
from hodei.sdk import AsyncClient, WorkflowEvent, WorkflowFilter, WorkflowRun
from hodei.sdk.times import rfc3339


def list_workflows(
    server: str, output: OutputFormat, wanted: WorkflowFilter, *, limit: int
) -> None:
    """Prints runs."""

    async def question(client: AsyncClient) -> list[WorkflowRun]:
        return [run async for run in client.workflows(limit=limit, **wanted)]

    runs = ask(server, question)
    if output is OutputFormat.JSON:
        print_json([run.to_dict() for run in runs])
        return
    print_table(
        ("RUN", "WORKFLOW ID", "TYPE", "STATUS", "EVENTS", "STARTED", "PARKED"),
        [
            (
                run.run_id,
                run.workflow_id,
                run.type,
                run.status,
                str(run.events),
                rfc3339(run.started_at),
                run.parked.reason if run.parked else "",
            )
            for run in runs
        ],
    )


def show_workflow(server: str, output: OutputFormat, run: str, namespace: str) -> None:
    """Prints one run."""
    _print_run(ask(server, lambda client: client.get_workflow(run, namespace=namespace)), output)


def show_history(server: str, output: OutputFormat, run: str, namespace: str) -> None:
    """Prints the history of a run."""

    async def question(client: AsyncClient) -> list[WorkflowEvent]:
        return [event async for event in client.workflow_history(run, namespace=namespace)]

    events = ask(server, question)
    if output is OutputFormat.JSON:
        print_json([event.to_dict() for event in events])
        return
    for event in events:
        kind = f"  {event.kind}" if event.is_command else event.kind
        line = f"{event.seq:>5}  {rfc3339(event.at)}  {kind:<25} {printable(event.summary)}"
        print(line.rstrip())


def signal_workflow(
    server: str,
    run: str,
    name: str,
    arguments: Sequence[str],
    *,
    request_id: str,
    namespace: str,
) -> None:
    """Tells a run something."""
    values = [_value(each) for each in arguments]
    ask(
        server,
        lambda client: client.signal_workflow(
            run, name, *values, request_id=request_id, namespace=namespace
        ),
    )


def cancel_workflow(
    server: str, output: OutputFormat, run: str, *, reason: str, namespace: str
) -> None:
    """Asks a run to end and prints it as it is then."""
    _print_state(
        ask(server, lambda client: client.cancel_workflow(run, reason=reason, namespace=namespace)),
        output,
    )


def retry_step(server: str, output: OutputFormat, run: str, *, note: str, namespace: str) -> None:
    """Lets a parked run try again and prints it as it is then."""
    _print_state(
        ask(server, lambda client: client.retry_workflow_step(run, note=note, namespace=namespace)),
        output,
    )


def skip_step(server: str, output: OutputFormat, run: str, *, note: str, namespace: str) -> None:
    """Lets a parked run go on without a compensation and prints it as it is then."""
    _print_state(
        ask(server, lambda client: client.skip_workflow_step(run, note=note, namespace=namespace)),
        output,
    )


def replay_workflow(server: str, output: OutputFormat, run: str, namespace: str) -> None:
    """Says whether code and history fit."""
    difference = ask(server, lambda client: client.replay_workflow(run, namespace=namespace))
    if output is OutputFormat.JSON:
        print_json({"fits": not difference, "difference": difference})
    else:
        print(difference or "the code fits the history")
    if difference:
        raise Exit(1)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_state(run: WorkflowRun, output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(run.to_dict())
    else:
        print(f"{run.run_id} is {run.status}")


def _print_run(run: WorkflowRun, output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(run.to_dict())
        return
    parked = run.parked
    again = parked.tried_again_at if parked else None
    print_fields(
        {
            "run": run.run_id,
            "workflow id": run.workflow_id,
            "namespace": run.namespace,
            "type": f"{run.type}, version {run.version}",
            "status": run.status,
            "started": rfc3339(run.started_at),
            "closed": rfc3339(run.closed_at) if run.closed_at else "",
            "events": str(run.events),
            "parked": f"{parked.reason}, since {rfc3339(parked.since)}" if parked else "",
            "because": parked.message if parked else "",
            "tried again": rfc3339(again) if again else "",
            "result": "" if run.result is None else json.dumps(run.result),
            "failure": run.failure or "",
        }
    )
