"""A port that a server keeps is one that no outgoing connection can take meanwhile."""

import socket
from pathlib import Path

import pytest

from hodei.server import free_ports
from hodei.server.free_ports import free_port

FIRST_OF_SYSTEM = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def test_a_free_port_is_none_of_those_that_outgoing_connections_get() -> None:
    for _ in range(50):
        port = free_port("127.0.0.1")
        assert 20_000 <= port < FIRST_OF_SYSTEM
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_a_port_that_somebody_has_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", free_port("127.0.0.1")))
        taken = holder.getsockname()[1]
        monkeypatch.setattr(free_ports, "_FIRST", taken)
        monkeypatch.setattr(free_ports, "_first_of_system", lambda: taken + 2)
        assert free_port("127.0.0.1") == taken + 1


def test_the_systems_choice_has_to_do_where_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(free_ports, "_first_of_system", lambda: 1024)
    assert free_port("127.0.0.1") == 0


def test_names_are_bound_like_addresses() -> None:
    assert free_port("localhost") >= 20_000
