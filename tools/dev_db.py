"""Runs a PostgreSQL of one's own in the checkout: `start`, `stop`, `status`, `url`.

`start` installs PostgreSQL from Debian where it is missing (as root), makes a cluster under
`.dev/postgres` at the first time and starts it on a free port of the loopback address; it prints the
URL to give to `hodei`. Everything may be repeated. Tests make clusters of their own from `Cluster`.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPERUSER = "postgres"
ROLE = "hodei"
DATABASE = "hodei"
_WAIT_S = 60


class UnusableError(Exception):
    """PostgreSQL cannot be run here; the message says why."""


def programs(*, install: bool = False) -> Path:
    """The directory of the newest PostgreSQL's programs.

    Raises:
        UnusableError: There is none, and it cannot be or should not be installed.
    """
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parent.parent.name) if path.parent.parent.name.isdigit() else 0,
    )
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    if not install or os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UnusableError(
            "no PostgreSQL here: install the package postgresql, or run `make dev-db` as root"
        )
    _install()
    return programs()


def _install() -> None:
    print("Installing PostgreSQL from Debian", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends"]):
        command = ["apt-get", *words, *(["postgresql"] if words[0] == "install" else [])]
        done = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise UnusableError(f"{' '.join(command)} failed with {done.returncode}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A PostgreSQL of one's own, whether it runs or not.

    It listens on the loopback address only and asks for a password. When root owns the directory
    the server runs as the user `postgres`, since PostgreSQL refuses to run as root.
    """

    directory: Path
    bin: Path

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _kept(self) -> Path:
        """What only its owner reads: not within `data`, which is the server's."""
        return self.directory / "dev-db"

    @property
    def port(self) -> int:
        """Where it listens; the same for as long as it exists."""
        return int((self._kept / "port").read_text())

    def url(self, *, user: str = ROLE, database: str = DATABASE) -> str:
        """Where to connect, with the password."""
        password = (self._kept / "password").read_text()
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        """The same, for the superuser."""
        return self.url(user=SUPERUSER, database="postgres")

    def make(self, settings: Mapping[str, str] | None = None) -> None:
        """Makes the cluster, with these lines in its configuration."""
        if (self._kept / "port").exists():
            return
        self._kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = secrets.token_hex(16)
        _write_private(self._kept / "password", password)
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(mode=0o700)
        for_initdb = self.directory / "initdb-password"
        _write_private(for_initdb, password)
        if os.geteuid() == 0:
            shutil.chown(self._data, SUPERUSER, SUPERUSER)
            shutil.chown(for_initdb, SUPERUSER, SUPERUSER)
        self._run(
            "initdb",
            *("--pgdata", str(self._data), "--username", SUPERUSER, "--pwfile", str(for_initdb)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"),
            *("--no-sync", "--no-instructions"),
        )
        for_initdb.unlink()
        port = _free_port()
        lines = {
            "listen_addresses": "'127.0.0.1'",
            "port": str(port),
            "unix_socket_directories": "''",
            **(settings or {}),
        }
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in lines.items())
        _write_private(self._kept / "port", str(port))

    def start(self) -> None:
        """Starts it and sees to it that the role and the database are there. Idempotent."""
        if not self.is_running:
            log = self._data / "server.log"
            self._run("pg_ctl", "start", "--wait", f"--timeout={_WAIT_S}", f"--log={log}")
        role = self.ask(f"SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}'")
        if not role:
            password = (self._kept / "password").read_text()
            self.ask(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'")
        if not self.ask(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            self.create_database(DATABASE)

    def stop(self, *, mode: str = "fast") -> None:
        """Stops it: `smart`, `fast` or `immediate`, which is a crash. Idempotent."""
        if self.is_running:
            self._run("pg_ctl", "stop", "--wait", f"--timeout={_WAIT_S}", f"--mode={mode}")

    def restart(self, *, mode: str = "fast") -> None:
        """Stops and starts it, at the same port."""
        self.stop(mode=mode)
        self.start()

    @property
    def is_running(self) -> bool:
        """Whether there is a server process."""
        if not (self._data / "PG_VERSION").exists():
            return False
        return self._pg_ctl_status() == 0

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the main process of the server."""
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), number)

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """Makes a database that the role owns."""
        self.ask(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE "{template}"')

    def drop_database(self, name: str) -> None:
        """Removes a database, whoever uses it."""
        self.ask(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def ask(self, statement: str, *, database: str = "postgres") -> str:
        """What the database answers to its superuser, as plain text."""
        environment = {"PGPASSWORD": (self._kept / "password").read_text(), "PATH": os.defpath}
        address = [*("-h", "127.0.0.1", "-p", str(self.port)), *("-U", SUPERUSER, "-d", database)]
        command = [str(self.bin / "psql"), "-XAtq", *address, "-c", statement]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UnusableError(f"{statement}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _pg_ctl_status(self) -> int:
        command = [str(self.bin / "pg_ctl"), "status", f"--pgdata={self._data}"]
        return subprocess.run(
            _as_server_user(command), capture_output=True, check=False, cwd="/"
        ).returncode

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        if program == "pg_ctl":
            command.append(f"--pgdata={self._data}")
        with tempfile.TemporaryFile("w+") as said:
            # A file: a server that it starts would hold a pipe open.
            done = subprocess.run(
                _as_server_user(command),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            )
            said.seek(0)
            if done.returncode != 0:
                raise UnusableError(f"{program} failed: {said.read().strip()[-2000:]}")


def _as_server_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={SUPERUSER}", f"--regid={SUPERUSER}", "--init-groups", *command]


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def own_directory() -> Path:
    """Where the checkout's cluster lives: in the checkout, unless its server could not get there."""
    wanted = ROOT / ".dev" / "postgres"
    if os.geteuid() != 0 or all(
        each.stat().st_mode & stat.S_IXOTH for each in wanted.parents if each.exists()
    ):
        return wanted
    return Path("/var/lib/postgresql") / f"hodei-dev-{sha256(bytes(ROOT)).hexdigest()[:12]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["start", "stop", "status", "url"])
    what = parser.parse_args().what
    try:
        cluster = Cluster(directory=own_directory(), bin=programs(install=what == "start"))
        if what == "start":
            began = time.monotonic()
            cluster.make()
            cluster.start()
            print(
                f"PostgreSQL runs ({time.monotonic() - began:.1f} s). To use it:", file=sys.stderr
            )
            print(
                "  export HODEI_DATABASE_URL=$(.venv/bin/python tools/dev_db.py url)",
                file=sys.stderr,
            )
        elif what == "stop":
            cluster.stop()
            return 0
        if not cluster.is_running:
            print("PostgreSQL does not run: make dev-db starts it", file=sys.stderr)
            return 1
        print(cluster.url())
    except UnusableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
