"""A server's data directory: one server at a time, and what it keeps there besides its stores."""

import fcntl
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hodei.kernel.clock import IdSource
from hodei.kernel.errors import RefusedError
from hodei.kernel.ids import ClusterId

_KEY_BYTES = 32
_MOVED = "database-moved"
_CLUSTER_ID = "cluster_id"
_OTP_KEY = "otp.key"
_ROOT = "root.pem"

BELONGINGS = ("pki", "cluster_id", "otp.key", "ports.json", _MOVED)
"""What makes an installation what it is, besides its jobs and their output: files and directories."""


class DataDirInUseError(RefusedError):
    """Another server has the directory open."""

    code = "DATA_DIR_IN_USE"


class DataDirError(RefusedError):
    """The directory cannot be used as it is."""

    code = "DATA_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes an installation itself. All of it is secret but the id."""

    cluster_id: str
    root_pem: bytes
    """Key and certificate."""
    otp_key: bytes


class DataDir:
    """The directory, held by this process until `release` or its death."""

    def __init__(self, path: Path) -> None:
        """Takes the directory; makes it where it is missing.

        Raises:
            DataDirInUseError: Another server has it; the message names its process.
            DataDirError: It cannot be made or written.
        """
        self.path = path.absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._lock = os.open(
                self.path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise DataDirError(
                f"the data directory {self.path} cannot be used: {error.strerror}; "
                "choose another with --data-dir"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise DataDirInUseError(
                f"the data directory {self.path} is in use by a server with process id {holder}; "
                "stop that one, or choose another directory with --data-dir"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @staticmethod
    def user_of(path: Path) -> str:
        """The server that has the directory now, for people; empty for none."""
        try:
            inode = (path / "server.lock").stat().st_ino
        except FileNotFoundError:
            return ""
        # Looked up, not tried: a server that starts just now must find the lock free.
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            _, kind, _, _, process, place, *_ = line.split()
            if kind == "FLOCK" and place.rpartition(":")[2] == str(inode):
                return f"process {process}"
        return ""

    def release(self) -> None:
        """Lets another server have it."""
        os.ftruncate(self._lock, 0)
        os.close(self._lock)

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.path / "pki"

    @property
    def logs(self) -> Path:
        """The output of jobs."""
        return self.logs_of(self.path)

    @staticmethod
    def logs_of(path: Path) -> Path:
        """The output of jobs in a data directory that another may hold."""
        return path / "logs"

    @staticmethod
    def moved_marker(path: Path) -> Path:
        """The file that says where the jobs of a data directory are now, where it is there."""
        return path / _MOVED

    @property
    def workers(self) -> Path:
        """The directories of local workers."""
        return self.path / "workers"

    def workers_of(self, provider: str) -> Path:
        """As above, of a local provider that was added."""
        return self.path / "providers" / provider

    def mark_moved(self, place: str) -> None:
        """Notes that its database has been copied to another place, which is the true one now."""
        self._write(_MOVED, f"{place}\n".encode())

    def require_not_moved(self) -> None:
        """Sees to it that nobody goes on with a database that has a successor.

        Raises:
            DataDirError: It was copied.
        """
        marker = self.moved_marker(self.path)
        if marker.exists():
            raise DataDirError(
                f"the jobs of {self.path} were copied to the database at "
                f"{marker.read_text().strip()}: name it with --database-url; or remove {marker} to "
                "go on here as if there had been no copy"
            )

    def cluster_id(self, ids: IdSource) -> ClusterId:
        """The id of this installation, drawn at its first start."""
        return ClusterId(self._kept(_CLUSTER_ID, lambda: ids.new().encode()).decode().strip())

    def otp_key(self) -> bytes:
        """The key by which one-time passwords are remembered."""
        return self._kept(_OTP_KEY, lambda: secrets.token_bytes(_KEY_BYTES))

    def identity(self) -> Identity | None:
        """What makes the installation of this directory itself; None before its first start."""
        try:
            return Identity(
                cluster_id=(self.path / _CLUSTER_ID).read_text("ascii").strip(),
                root_pem=(self.pki / _ROOT).read_bytes(),
                otp_key=(self.path / _OTP_KEY).read_bytes(),
            )
        except FileNotFoundError:
            return None

    def adopt(self, identity: Identity) -> None:
        """Becomes one of several directories of an installation. Idempotent.

        Raises:
            DataDirError: It is of another one.
        """
        own = self.identity()
        if own == identity:
            return
        if own is not None and (own.cluster_id, own.root_pem) != (
            identity.cluster_id,
            identity.root_pem,
        ):
            raise DataDirError(
                f"the data directory {self.path} is of installation {own.cluster_id}, and the "
                f"database of {identity.cluster_id}: choose another directory with --data-dir, or "
                "another database"
            )
        self.pki.mkdir(mode=0o700, exist_ok=True)
        self._write(f"{self.pki.name}/{_ROOT}", identity.root_pem)
        self._write(_OTP_KEY, identity.otp_key)
        # The last: from here on the directory has an identity.
        self._write(_CLUSTER_ID, f"{identity.cluster_id}\n".encode())

    def port(self, name: str, configured: int) -> int:
        """The port to listen on: where 0 is configured, the one of the last start, or 0."""
        return configured or self._ports().get(name, 0)

    def keep_ports(self, ports: dict[str, int]) -> None:
        """Remembers the ports, so that workers find a restarted server."""
        self._write("ports.json", json.dumps(ports).encode())

    def _ports(self) -> dict[str, int]:
        try:
            return msgspec.json.decode((self.path / "ports.json").read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError):
            return {}

    def _kept(self, name: str, make: Callable[[], bytes]) -> bytes:
        try:
            if found := (self.path / name).read_bytes():
                return found
        except FileNotFoundError:
            pass
        made = make()
        self._write(name, made)
        return made

    def _write(self, name: str, content: bytes) -> None:
        """Whole or not at all, also when the machine stops in the middle."""
        scratch = (self.path / name).with_name(f".{Path(name).name}.new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        scratch.replace(self.path / name)
