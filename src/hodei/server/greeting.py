"""What a server for development says once it serves."""

import sys

from hodei.server.addresses import Addresses


def greet(addresses: Addresses, *, called_as: str) -> None:
    """Says on stderr where the server is and what to try."""
    server = "" if addresses.grpc.endswith(":50051") else f" --server {addresses.grpc}"
    print(  # noqa: T201 - for the person who started it
        f"Hodei Jobs is ready (data in {addresses.data_dir}, stop with Ctrl-C)\n"
        f"  clients    {addresses.grpc}\n"
        f"  workers    {addresses.worker}\n"
        f"  enrolment  {addresses.enroll}\n"
        f"  health     http://{addresses.http}/health/ready\n"
        "Try in another terminal:\n"
        f'  {called_as} run{server} -- echo "Hello from Hodei!"\n'
        f"  {called_as} jobs list{server}\n"
        f"  {called_as} workers list{server}",
        file=sys.stderr,
    )
