"""What `hodei dev` and `hodei server` do."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hodei.cli.config import typed_settings
from hodei.cli.own_name import own_name
from hodei.server.config import ServerConfig
from hodei.server.config_sources import load_config
from hodei.server.run import Addresses, serve


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


def serve_dev(typed: TypedServer) -> int:
    """Serves this machine until it is told to stop; greets whoever started it."""
    return serve(typed.load(is_dev=True), on_ready=_greet)


def serve_server(typed: TypedServer) -> int:
    """Serves until it is told to stop."""
    return serve(typed.load(is_dev=False))


def _greet(addresses: Addresses) -> None:
    hodei = own_name()
    server = "" if addresses.grpc.endswith(":50051") else f" --server {addresses.grpc}"
    print(
        f"Hodei Jobs is ready (data in {addresses.data_dir}, stop with Ctrl-C)\n"
        f"  clients    {addresses.grpc}\n"
        f"  workers    {addresses.worker}\n"
        f"  enrolment  {addresses.enroll}\n"
        f"  health     http://{addresses.http}/health/ready\n"
        "Try in another terminal:\n"
        f'  {hodei} run{server} -- echo "Hello from Hodei!"\n'
        f"  {hodei} jobs list{server}\n"
        f"  {hodei} workers list{server}",
        file=sys.stderr,
    )
