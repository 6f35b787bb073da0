"""Where a running server is, and the file that says so."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where a running server is."""

    grpc: str
    worker: str
    enroll: str
    http: str
    data_dir: Path
    pid: int

    def to_json(self) -> str:
        """As `--ready-file` has it."""
        facts = {
            "grpc": self.grpc,
            "worker": self.worker,
            "enroll": self.enroll,
            "http": self.http,
            "data_dir": str(self.data_dir),
            "pid": self.pid,
        }
        return json.dumps(facts)


def write_ready_file(path: Path, addresses: Addresses) -> None:
    """Writes the addresses, whole or not at all."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(addresses.to_json() + "\n")
    scratch.replace(path)
