"""Publishes a local server's root certificate to clients of the same user on this host.

So that a client of a TLS server on loopback needs no flag, and never has to do without TLS. The
file is `${XDG_STATE_HOME:-~/.local/state}/hodei/servers/<port>.pem`.
"""

import os
from pathlib import Path


class TrustFile:
    """The file of one port."""

    def __init__(self, port: int) -> None:
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        self._path = Path(state) / "hodei" / "servers" / f"{port}.pem"

    def publish(self, root_pem: str) -> None:
        """Says that the server of this port is to be verified by this root."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".new")
        scratch.write_text(root_pem)
        scratch.replace(self._path)

    def withdraw(self) -> None:
        """Says that there is no TLS server at this port."""
        self._path.unlink(missing_ok=True)
