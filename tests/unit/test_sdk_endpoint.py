"""Where a client looks for a server, and what it trusts."""

from pathlib import Path

import pytest

from hodei.kernel.errors import InvalidFieldsError
from hodei.sdk.endpoint import Endpoint, find_endpoints


def only(address: str | None, environment: dict[str, str], ca_file: Path | None = None) -> Endpoint:
    [endpoint] = find_endpoints(address, ca_file=ca_file, environment=environment)
    return endpoint


def publish(state: Path, port: int) -> Path:
    file = state / "hodei" / "servers" / f"{port}.pem"
    file.parent.mkdir(parents=True)
    file.write_text("a certificate")
    return file


def test_an_address_that_is_given_wins_over_the_environment_and_that_over_the_default() -> None:
    environment = {"HODEI_SERVER_ADDRESS": "env:1"}
    assert only("given:2", environment).address == "given:2"
    assert only(None, environment).address == "env:1"
    assert only("", environment).address == "env:1"
    assert only(None, {}).address == "localhost:50051"


def test_several_addresses_are_kept_in_their_order() -> None:
    found = find_endpoints("a:1, b:2", ca_file=None, environment={})
    assert [each.address for each in found] == ["a:1", "b:2"]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a", "a", 50051),
        ("[::1]:7", "::1", 7),
        ("[::1]", "::1", 50051),
        ("127.0.0.1:7", "127.0.0.1", 7),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, host: str, port: int) -> None:
    found = only(text, {})
    assert (found.host, found.port) == (host, port)


@pytest.mark.parametrize(
    "text", ["http://a:1", "a:", ":1", "a:0", "a:65536", "a:b", "[::1", "::1", "a:1:2", "a/b:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldsError, match="write host:port"):
        only(text, {})


def test_a_loopback_address_is_plaintext_unless_its_server_publishes_a_certificate(
    tmp_path: Path,
) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    for host in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]"):
        assert only(f"{host}:7", environment).is_plaintext
    file = publish(tmp_path, 7)
    assert only("localhost:7", environment).ca_file == file
    assert not only("localhost:7", environment).is_plaintext
    assert only("localhost:8", environment).is_plaintext


def test_an_address_of_another_machine_is_never_plaintext(tmp_path: Path) -> None:
    publish(tmp_path, 7)
    found = only("example.org:7", {"XDG_STATE_HOME": str(tmp_path)})
    assert (found.is_plaintext, found.ca_file) == (False, None)


def test_a_ca_file_that_is_given_is_trusted_alone(tmp_path: Path) -> None:
    publish(tmp_path, 7)
    given, named = tmp_path / "given.pem", tmp_path / "named.pem"
    given.touch()
    named.touch()
    environment = {"XDG_STATE_HOME": str(tmp_path), "HODEI_CA_FILE": str(named)}
    assert only("localhost:7", environment).ca_file == named
    assert only("localhost:7", environment, given).ca_file == given
    assert only("example.org:7", environment).ca_file == named
    with pytest.raises(InvalidFieldsError, match="is not a file"):
        only("localhost:7", {}, tmp_path / "missing.pem")
