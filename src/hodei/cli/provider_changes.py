"""What `hodei providers add|update|enable|disable|remove|test` do."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hodei.cli.asking import ask
from hodei.cli.output import OutputFormat, print_fields, print_json
from hodei.cli.pairs import read_pairs
from hodei.sdk import AsyncClient, Provider, ProviderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was typed; None where nothing was."""

    options: Mapping[str, str]
    priority: int | None
    cost_per_hour: float | None
    tags: tuple[str, ...] | None
    metadata: Mapping[str, str] | None

    @classmethod
    def of(
        cls,
        options: list[str] | None,
        priority: int | None,
        cost_per_hour: float | None,
        tags: list[str] | None,
        metadata: list[str] | None,
    ) -> "Decided":
        """Reads the pairs.

        Raises:
            InvalidFieldsError: One is none.
        """
        return cls(
            options=read_pairs(options or [], option="--option"),
            priority=priority,
            cost_per_hour=cost_per_hour,
            tags=None if tags is None else tuple(tags),
            metadata=None if metadata is None else read_pairs(metadata, option="--metadata"),
        )

    def over(self, settings: ProviderSettings) -> ProviderSettings:
        """The settings with what was typed."""
        typed = {
            "priority": self.priority,
            "cost_per_hour": self.cost_per_hour,
            "tags": self.tags,
            "metadata": self.metadata,
        }
        given = {name: value for name, value in typed.items() if value is not None}
        return replace(settings, **given)


def add_provider(
    server: str, output: OutputFormat, name: str, type_: str, decided: Decided, *, enabled: bool
) -> None:
    """Adds a provider and says how it is."""

    async def question(client: AsyncClient) -> Provider:
        return await client.add_provider(
            name,
            type=type_,
            options=decided.options,
            settings=decided.over(ProviderSettings()),
            enabled=enabled,
        )

    _print(ask(server, question), output, "is added")


def update_provider(
    server: str, output: OutputFormat, name: str, decided: Decided, unset: Sequence[str]
) -> None:
    """Changes a provider and says how it is."""

    async def question(client: AsyncClient) -> Provider:
        found = await client.get_provider(name)
        now = ProviderSettings(
            priority=found.priority,
            cost_per_hour=found.cost_per_hour,
            tags=found.tags,
            metadata=found.metadata,
        )
        return await client.update_provider(
            found.name,
            options={**decided.options, **dict.fromkeys(unset)},
            settings=decided.over(now),
        )

    _print(ask(server, question), output, "is changed")


def enable_provider(server: str, output: OutputFormat, name: str) -> None:
    """Enables a provider and says how it is."""
    _print(ask(server, lambda client: client.enable_provider(name)), output, "is enabled")


def disable_provider(server: str, output: OutputFormat, name: str) -> None:
    """Disables a provider and says what it still has."""
    _print(ask(server, lambda client: client.disable_provider(name)), output, "is disabled")


def remove_provider(server: str, output: OutputFormat, name: str, *, force: bool) -> None:
    """Removes a provider and says what it waits for."""
    left = ask(server, lambda client: client.remove_provider(name, force=force))
    if output is OutputFormat.JSON:
        print_json({"name": name, "workers_left": left})
    elif left:
        print(f"{name} is being removed: {left} workers of it end first")
    else:
        print(f"{name} is removed")


def test_provider(server: str, output: OutputFormat, name: str) -> bool:
    """Prints what is behind a provider; returns whether it can be used."""
    found = ask(server, lambda client: client.test_provider(name))
    if output is OutputFormat.JSON:
        print_json(found.to_dict())
    elif found.problem:
        print(f"hodei: provider {name} cannot be used: {found.problem}", file=sys.stderr)
    else:
        print_fields(found.facts)
    return not found.problem


def _print(provider: Provider, output: OutputFormat, what: str) -> None:
    if output is OutputFormat.JSON:
        print_json(provider.to_dict())
        return
    more = f", {provider.active_workers} workers" if provider.active_workers else ""
    problem = f": {provider.problem}" if provider.problem else ""
    print(f"{provider.name} {what} ({provider.state}{more}){problem}")
