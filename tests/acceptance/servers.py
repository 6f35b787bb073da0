"""Several real servers on one database, and the clients that may speak to any of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acceptance.harness import HODEI, HodeiServer, Ran, eventually, run_command
from hodei.sdk import Client


@dataclass(slots=True, kw_only=True)
class Servers:
    """Servers a, b, … that share a database; each has workers of its own host."""

    folder: Path
    url: str
    settings: dict[str, str]
    all: list[HodeiServer] = field(default_factory=list[HodeiServer])

    def add(
        self, *, url: str = "", environment: dict[str, str] | None = None, **settings: object
    ) -> HodeiServer:
        """Starts one more."""
        name = "abcdefgh"[len(self.all)]
        environment = {
            **(environment or {}),
            **self.settings,
            "HODEI_NAME": name,
            "HODEI_DATABASE_URL": url or self.url,
            **{f"HODEI_{key.upper()}": str(value) for key, value in settings.items()},
        }
        server = HodeiServer(data_dir=self.folder / name, environment=environment)
        self.all.append(server)
        return server.start(within_s=40)

    @property
    def addresses(self) -> list[str]:
        """Where clients may go."""
        return [each.address for each in self.all]

    def client(self) -> Client:
        """A client that knows all of them."""
        return Client(self.addresses)

    def cli(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """Runs `hodei ARGUMENTS` with the addresses of all."""
        environment = {"HODEI_SERVER_ADDRESS": ",".join(self.addresses)}
        return run_command([HODEI, *arguments], environment=environment, stdin=stdin)

    def seen_by(self, server: HodeiServer) -> dict[str, dict[str, Any]]:
        """What one of them says of all that live, by name; the newest life of each."""
        listed = server.cli("servers", "list", "--output", "json").json
        return {each["name"]: each for each in listed}

    def until_all_know_one_another(self) -> None:
        """Returns once their workers know where else to go, too: each server has told its own."""
        for each in self.all:
            eventually(
                lambda each=each: len(self.seen_by(each)) == len(self.all), what="all servers"
            )

    def until_taken_over(self, server: HodeiServer, gone: str, *, within_s: float = 20.0) -> None:
        """Returns once a server does what another did."""
        eventually(
            lambda: (
                self.seen_by(server)[gone]["state"] == "ENDED"
                and f"host:{gone}" in duties_of(self, server)
            ),
            within_s=within_s,
            what=f"{gone} to be taken over",
        )

    def close(self) -> None:
        """Ends all of it."""
        for each in self.all:
            each.close()


def duties_of(servers: Servers, server: HodeiServer) -> set[str]:
    """What a server does for all, as it says itself."""
    own = [each for each in servers.seen_by(server).values() if each["is_self"]]
    return {duty for each in own for duty in each["duties"]}


@contextmanager
def some_servers(folder: Path, url: str, count: int = 2, **settings: object) -> Iterator[Servers]:
    """So many servers that know one another, ended at the end."""
    named = {f"HODEI_{key.upper()}": str(value) for key, value in settings.items()}
    servers = Servers(folder=folder, url=url, settings=named)
    try:
        for _ in range(count):
            servers.add()
        servers.until_all_know_one_another()
        yield servers
    finally:
        servers.close()


StartServers = Callable[..., Servers]
