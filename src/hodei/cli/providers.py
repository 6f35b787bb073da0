"""What `hodei providers …` does."""

from hodei.cli.asking import ask
from hodei.cli.output import OutputFormat, print_fields, print_json, print_table
from hodei.sdk import AsyncClient, Provider
from hodei.sdk.times import rfc3339


def list_providers(server: str, output: OutputFormat) -> None:
    """Prints the providers."""

    async def question(client: AsyncClient) -> list[Provider]:
        return await client.providers()

    providers = ask(server, question)
    if output is OutputFormat.JSON:
        print_json([each.to_dict() for each in providers])
        return
    print_table(
        ("NAME", "TYPE", "STATE", "PRIORITY", "BREAKER", "WORKERS", "KINDS FAILED", "PROBLEM"),
        [
            (
                each.name,
                each.type,
                each.state,
                str(each.priority),
                _breaker(each),
                f"{each.active_workers}/{each.max_workers}",
                str(len(each.troubled_kinds) or ""),
                each.problem,
            )
            for each in providers
        ],
    )


def show_provider(server: str, output: OutputFormat, name: str) -> None:
    """Prints one provider."""
    provider = ask(server, lambda client: client.get_provider(name))
    if output is OutputFormat.JSON:
        print_json(provider.to_dict())
        return
    print_fields(
        {
            "name": provider.name,
            "type": provider.type,
            "state": provider.state,
            "problem": provider.problem,
            "from": "the server's settings" if provider.is_builtin else "hodei providers add",
            "priority": str(provider.priority),
            "cost": "" if provider.cost_per_hour is None else f"{provider.cost_per_hour:g} an hour",
            "options": _pairs(provider.options),
            "labels": _pairs(provider.labels),
            "only for": _only_for(provider),
            "tags": ", ".join(provider.tags),
            "metadata": _pairs(provider.metadata),
            "breaker": _breaker(provider),
            "failures": f"{provider.breaker.failures} in a row" * bool(provider.breaker.failures),
            "workers": ", ".join(f"{count} {state}" for state, count in _workers(provider)),
            "room": f"{provider.active_workers} of {provider.max_workers} workers",
            "kept": "" if provider.is_kept_here else "by another server, which knows of failures",
        }
    )
    if provider.troubled_kinds:
        print()
        print_table(
            ("KIND THAT FAILED", "NEXT TRY", "WHY"),
            [
                (each.kind, rfc3339(each.next_try_at) if each.next_try_at else "now", each.message)
                for each in provider.troubled_kinds
            ],
        )


def _only_for(provider: Provider) -> str:
    labels = provider.required_labels
    asking = f"jobs that ask for {_pairs(labels)}" if labels else ""
    regions = provider.allowed_regions
    allowed = f"the regions {', '.join(regions)} and its own" if regions else ""
    return "; ".join(filter(None, (asking, allowed)))


def _breaker(provider: Provider) -> str:
    until = provider.breaker.open_until
    return provider.breaker.state + (f" until {rfc3339(until)}" if until else "")


def _pairs(pairs: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in pairs.items())


def _workers(provider: Provider) -> list[tuple[str, int]]:
    return sorted((state, count) for state, count in provider.workers.items())
