"""Ports for a server that was told to take any, which will be free again after its crash too.

The ports that the system itself gives away for 0 are those from which outgoing connections get
their near end. While a server is down, any of them may take its port; most of all those of its own
workers, which dial it again and again: on loopback, one that is given the number that it dials
connects to itself, and the server that comes back finds its port taken.
"""

import secrets
import socket
from pathlib import Path
from typing import Final

_FIRST: Final = 20_000
"""Below it are the well-known and most of the registered ports."""
_FIRST_OF_SYSTEM: Final = 32_768
"""Linux' default for the first port of outgoing connections."""
_MOST_TRIES: Final = 200


def free_port(host: str, *others: str) -> int:
    """A port of all the hosts that nobody has, below those of outgoing connections.

    0 where none was found: then the system's choice has to do.
    """
    candidates = range(_FIRST, _first_of_system())
    for _ in range(_MOST_TRIES if candidates else 0):
        port = secrets.choice(candidates)
        if all(_is_free(each, port) for each in (host, *others)):
            return port
    return 0


def _first_of_system() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _FIRST_OF_SYSTEM


def is_any(host: str) -> bool:
    """Whether who listens there listens at every address of this machine."""
    return host in {"0.0.0.0", "::"}  # noqa: S104 - it is asked for, not bound


def is_of_this_machine(host: str) -> bool:
    """Whether this machine has the address."""
    return _is_free(host, 0)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((host, port))
    except OSError:
        return False
    return True
