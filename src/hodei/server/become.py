"""How the `hodei` command turns into the server's own process."""

import os
import sys
from typing import NoReturn

import msgspec

from hodei.server.config import ServerConfig


def become_server(config: ServerConfig, *, called_as: str) -> NoReturn:
    """Replaces this process by the server.

    Args:
        config: Handed over in memory, since a command line can be read by everybody.
        called_as: How the user calls the command, for the greeting; empty for no greeting.
    """
    descriptor = os.memfd_create("hodei-config", 0)
    os.write(descriptor, msgspec.json.encode(config, enc_hook=str))
    os.lseek(descriptor, 0, os.SEEK_SET)
    command = [sys.executable, "-P", "-m", "hodei.server", "--config-fd", str(descriptor)]
    greeting = ["--greet-as", called_as] if called_as else []
    os.execv(sys.executable, [*command, *greeting])  # noqa: S606 - no shell, on purpose
