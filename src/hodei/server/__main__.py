"""The server's own process: `python -m hodei.server --config-fd N`.

The `hodei` command decides the configuration and then becomes this (exec), so that a server does
not carry the command line's libraries for the rest of its life: 8 MB of 90.
"""

# ruff: noqa: E402 - what is imported below must not find rich
import sys

# structlog imports rich for a renderer that no server uses, where it finds it: 3 MB and 100 ms.
sys.modules["rich"] = None  # pyright: ignore[reportArgumentType] - import then fails, as meant

import argparse
import os
from pathlib import Path

import msgspec

from hodei.kernel.units import ByteSize, parse_size_bytes
from hodei.server.addresses import Addresses
from hodei.server.config import ServerConfig
from hodei.server.greeting import greet
from hodei.server.run import serve


def main() -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hodei.server", description=__doc__)
    parser.add_argument("--config-fd", type=int, required=True, help="a ServerConfig as JSON")
    parser.add_argument("--greet-as", default="", help="how the user calls the command")
    options = parser.parse_args()
    with os.fdopen(options.config_fd, "rb") as handed_over:
        config = msgspec.json.decode(handed_over.read(), type=ServerConfig, dec_hook=_as_kind)

    def on_ready(addresses: Addresses) -> None:
        if options.greet_as:
            greet(addresses, called_as=options.greet_as)

    return serve(config, on_ready=on_ready)


def _as_kind(kind: type, value: object) -> object:
    """What `become` wrote as text."""
    if issubclass(kind, ByteSize):
        return ByteSize(parse_size_bytes(str(value), field="size"))
    return Path(str(value)) if issubclass(kind, Path) else value


if __name__ == "__main__":
    raise SystemExit(main())
