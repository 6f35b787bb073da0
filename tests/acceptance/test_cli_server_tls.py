"""`hodei server` speaks TLS to clients, and a client of the same user needs no flag for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from acceptance.harness import HodeiServer


@dataclass(slots=True, kw_only=True)
class TlsServer(HodeiServer):
    """The server as it is started on its own."""

    def command(self) -> list[str]:
        """As that of `hodei dev`."""
        return ["server" if word == "dev" else word for word in HodeiServer.command(self)]


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[TlsServer]:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    server = TlsServer(data_dir=tmp_path / "data", environment=state)
    try:
        server.start()
        yield server
    finally:
        server.close()


def test_clients_of_the_same_user_find_its_certificate_and_others_are_told_what_they_need(
    tls_server: TlsServer, tmp_path: Path
) -> None:
    known = {"XDG_STATE_HOME": str(tmp_path / "state")}
    stranger = {"XDG_STATE_HOME": str(tmp_path / "elsewhere")}
    ran = tls_server.cli("run", "--", "echo", "over TLS", environment=known)
    assert (ran.code, ran.stdout) == (0, b"over TLS\n")
    refused = tls_server.cli("jobs", "list", environment=stranger)
    assert refused.code == 2
    assert "HODEI_CA_FILE" in refused.errors
    [certificate] = (tmp_path / "state" / "hodei" / "servers").glob("*.pem")
    named = {**stranger, "HODEI_CA_FILE": str(certificate)}
    assert tls_server.cli("jobs", "list", environment=named).code == 0
    assert tls_server.stop() == 0
    assert not certificate.exists()
