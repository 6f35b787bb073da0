"""What `hodei dev` and `hodei server` do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hodei.cli.config import typed_settings
from hodei.cli.own_name import own_name
from hodei.server.become import become_server
from hodei.server.config import ServerConfig
from hodei.server.config_sources import load_config


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedServer:
    """What was typed."""

    settings: Mapping[str, tuple[str, str]]
    """By key: the value, empty when not given, and its flag."""
    config_file: str
    others: Sequence[str]
    """Of `--set`."""

    def load(self, *, is_dev: bool) -> ServerConfig:
        """The configuration that it makes together with environment, file and defaults.

        Raises:
            InvalidFieldsError: A setting is not known or not allowed.
        """
        flags: dict[str, tuple[object, str]] = typed_settings(self.others)
        flags |= {key: (value, flag) for key, (value, flag) in self.settings.items() if value}
        if is_dev:
            flags["dev_mode"] = (True, "hodei dev")
        file = Path(self.config_file) if self.config_file else None
        return load_config(flags=flags, file=file).config


def serve_dev(typed: TypedServer) -> NoReturn:
    """Serves this machine until it is told to stop; greets whoever started it."""
    become_server(typed.load(is_dev=True), called_as=own_name())


def serve_server(typed: TypedServer) -> NoReturn:
    """Serves until it is told to stop."""
    become_server(typed.load(is_dev=False), called_as="")
