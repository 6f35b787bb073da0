"""The reference pages of the command and of the SDK name everything that there is."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hodei.cli.app import command
from hodei.sdk import AsyncClient, Client, JobRequest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def commands(node: object, path: str = "") -> Iterator[tuple[str, Any]]:
    children = getattr(node, "commands", {})
    for name, child in children.items():
        yield from commands(child, f"{path} {name}".strip())
    if not children:
        yield path, node


COMMANDS = dict(commands(command()))


@pytest.mark.parametrize("path", COMMANDS)
def test_the_page_of_the_command_names_each_command_and_each_option(path: str) -> None:
    page = (REFERENCE / "cli.md").read_text("utf-8")
    assert re.search(rf"`(hodei )?{re.escape(path)}[ `\[]", page), path
    for parameter in COMMANDS[path].params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert f"{option}" in page, f"{path} {option}"


def public(client: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(client) if not name.startswith("_")}


def test_both_clients_have_the_same_methods() -> None:
    assert public(Client) == public(AsyncClient)


def test_the_page_of_the_sdk_names_each_method_and_each_field_of_a_request() -> None:
    page = (REFERENCE / "sdk.md").read_text("utf-8")
    for name in public(Client) | set(JobRequest.__annotations__):
        assert re.search(rf"[`( ]{name}[`(,]", page), name
