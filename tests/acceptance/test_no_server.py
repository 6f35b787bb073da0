"""Without a server, every command says so in one line and leaves with 2."""

import json
import socket

import pytest

from acceptance.harness import HODEI, run_command

COMMANDS = [
    ["run", "--", "true"],
    ["run", "--detach", "--", "true"],
    ["jobs", "list"],
    ["jobs", "show", "some-job"],
    ["jobs", "cancel", "some-job"],
    ["jobs", "retry", "some-job"],
    ["jobs", "watch", "some-job"],
    ["jobs", "watch"],
    ["logs", "some-job"],
    ["logs", "-f", "some-job"],
    ["workers", "list"],
    ["workers", "show", "some-worker"],
    ["workers", "drain", "some-worker"],
]


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_says_in_one_line_that_no_server_runs(nobody: str, command: list[str]) -> None:
    ran = run_command([HODEI, *command], environment={"HODEI_SERVER_ADDRESS": nobody}, within_s=20)
    assert ran.code == 2
    assert len(ran.errors.strip().splitlines()) == 1, ran.errors
    assert nobody in ran.errors
    assert "hodei dev" in ran.errors
    assert ran.stdout == b""


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] != "logs"], ids=" ".join)
def test_json_output_is_one_json_value_even_then(nobody: str, command: list[str]) -> None:
    words = [command[0], *command[1:]]
    at = words.index("--") if "--" in words else len(words)
    words[at:at] = ["--output", "json"]
    ran = run_command(
        [
            HODEI,
            *words,
        ],
        environment={"HODEI_SERVER_ADDRESS": nobody},
        within_s=20,
    )
    assert ran.code == 2
    assert "error" in json.loads(ran.stdout)
    assert "Traceback" not in ran.errors


def test_the_version_needs_no_server(nobody: str) -> None:
    ran = run_command([HODEI, "version"], environment={"HODEI_SERVER_ADDRESS": nobody})
    assert ran.code == 0
