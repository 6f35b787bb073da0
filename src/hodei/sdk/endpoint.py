"""Where a server is, and by what it is trusted."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from hodei.kernel.errors import InvalidFieldsError

DEFAULT_ADDRESS: Final = "localhost:50051"
DEFAULT_PORT: Final = 50051
ADDRESS_VARIABLE: Final = "HODEI_SERVER_ADDRESS"
CA_VARIABLE: Final = "HODEI_CA_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One server's address."""

    host: str
    port: int
    ca_file: Path | None
    """What its certificate must come from. None trusts the system's roots, or is plaintext."""
    is_plaintext: bool
    """Only ever for a loopback address."""

    @property
    def address(self) -> str:
        """`host:port`, as people and gRPC write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine."""
        return _is_loopback(self.host)


def find_endpoints(
    addresses: str | Sequence[str] | None,
    *,
    ca_file: Path | None,
    environment: Mapping[str, str] = os.environ,
) -> list[Endpoint]:
    """The servers to speak to, in the order in which they are tried.

    Addresses: those given, else `HODEI_SERVER_ADDRESS`, else localhost:50051; a text may list
    several with commas between. Trust: `ca_file`, else `HODEI_CA_FILE`; without either, a loopback
    address is trusted by the file that a local server of the same user publishes, and is plaintext
    when there is none; any other address must show a certificate that the system trusts.

    Raises:
        InvalidFieldsError: An address is not one, or the CA file is not there.
    """
    given = addresses or environment.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
    texts = given.split(",") if isinstance(given, str) else given
    variable = environment.get(CA_VARIABLE)
    trust = ca_file or (Path(variable) if variable else None)
    if trust is not None and not trust.is_file():
        raise InvalidFieldsError.of("ca_file", f"{trust} is not a file; name the CA's certificate")
    return [_endpoint(text.strip(), trust, environment) for text in texts]


def published_trust_file(port: int, environment: Mapping[str, str] = os.environ) -> Path:
    """Where a local server that speaks TLS on `port` publishes its CA for its own user."""
    state = environment.get("XDG_STATE_HOME")
    home = Path(state) if state else Path.home() / ".local" / "state"
    return home / "hodei" / "servers" / f"{port}.pem"


def _endpoint(text: str, trust: Path | None, environment: Mapping[str, str]) -> Endpoint:
    host, port = _split(text)
    if trust is None and _is_loopback(host):
        published = published_trust_file(port, environment)
        trust = published if published.is_file() else None
        return Endpoint(host=host, port=port, ca_file=trust, is_plaintext=trust is None)
    return Endpoint(host=host, port=port, ca_file=trust, is_plaintext=False)


def _split(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        separator, port = rest[:1], rest[1:]
        well_formed = bool(closed) and separator in {"", ":"}
    else:
        host, separator, port = text.partition(":")
        well_formed = True
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not separator:
        number = DEFAULT_PORT
    if not (well_formed and host and "/" not in host and 1 <= number <= 65535):
        raise InvalidFieldsError.of(
            "server", f"{text!r} is not an address; write host:port, such as {DEFAULT_ADDRESS}"
        )
    return host, number


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
