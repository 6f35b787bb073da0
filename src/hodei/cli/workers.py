"""What `hodei workers …` does."""

from hodei.cli.asking import ask
from hodei.cli.output import OutputFormat, print_fields, print_json, print_table
from hodei.sdk import AsyncClient, Orphan, Worker
from hodei.sdk.times import rfc3339


def list_workers(server: str, output: OutputFormat, *, include_ended: bool) -> None:
    """Prints the workers."""

    async def question(client: AsyncClient) -> list[Worker]:
        return [worker async for worker in client.workers(include_ended=include_ended)]

    workers = ask(server, question)
    if output is OutputFormat.JSON:
        print_json([worker.to_dict() for worker in workers])
        return
    print_table(
        ("ID", "PROVIDER", "STATE", "SLOTS", "PID", "LABELS", "REASON"),
        [
            (
                worker.id,
                worker.provider,
                worker.state,
                f"{worker.slots_used}/{worker.slots}",
                "" if worker.pid is None else str(worker.pid),
                _labels(worker),
                worker.reason.message if worker.reason else "",
            )
            for worker in workers
        ],
    )


def show_worker(server: str, output: OutputFormat, worker_id: str) -> None:
    """Prints one worker."""
    _print_worker(ask(server, lambda client: client.get_worker(worker_id)), output)


def drain_worker(server: str, output: OutputFormat, worker_id: str) -> None:
    """Drains a worker and prints it as it is then."""
    worker = ask(server, lambda client: client.drain_worker(worker_id))
    if output is OutputFormat.JSON:
        print_json(worker.to_dict())
    else:
        print(f"{worker.id} is {worker.state}")


def clean_up_workers(server: str, output: OutputFormat, *, provider: str, dry_run: bool) -> None:
    """Prints what is left behind at providers, and what became of it."""
    orphans = ask(
        server, lambda client: client.clean_up_workers(provider=provider, dry_run=dry_run)
    )
    if output is OutputFormat.JSON:
        print_json([each.to_dict() for each in orphans])
        return
    print_table(
        ("PROVIDER", "WORKER", "INSTANCE", "STATE"),
        [
            (each.provider, each.worker_id, _instance(each), _fate(each, dry_run=dry_run))
            for each in orphans
        ],
    )


def _instance(orphan: Orphan) -> str:
    return ", ".join(f"{key}={value}" for key, value in orphan.instance.items())


def _fate(orphan: Orphan, *, dry_run: bool) -> str:
    if dry_run:
        return "would be removed"
    return "removed" if orphan.removed else f"left: {orphan.message}"


def invite_worker(server: str, *, name: str, labels: dict[str, str]) -> None:
    """Prints the bootstrap document of a new worker."""
    invitation = ask(server, lambda client: client.invite_worker(name=name, labels=labels))
    print_json(invitation.to_dict())


def _print_worker(worker: Worker, output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(worker.to_dict())
        return
    beat = worker.last_heartbeat_at
    print_fields(
        {
            "id": worker.id,
            "name": worker.name,
            "provider": worker.provider,
            "state": worker.state,
            "connected": "yes" if worker.connected else "no",
            "slots": f"{worker.slots_used} of {worker.slots} used",
            "jobs": ", ".join(worker.job_ids),
            "pid": "" if worker.pid is None else str(worker.pid),
            "labels": _labels(worker),
            "agent": worker.agent_version,
            "reason": f"{worker.reason.message} ({worker.reason.code})" if worker.reason else "",
            "advice": worker.reason.advice if worker.reason else "",
            "created": rfc3339(worker.created_at),
            "heartbeat": rfc3339(beat) if beat else "",
        }
    )


def _labels(worker: Worker) -> str:
    return ", ".join(f"{key}={value}" for key, value in worker.labels.items())
