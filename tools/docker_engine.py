"""Runs a Docker engine of one's own in the checkout: `start`, `stop`, `status`, `host`.

`start` installs Debian's `docker.io` where there is no engine (as root), starts one with its own
socket, data, bridge and address range, and makes the images of `docker_images.py`; it prints the
DOCKER_HOST to give to `hodei`. An engine of the host is neither used nor touched, nor are the host's
packet filters: containers reach the bridge's gateway, which is this host, and nothing else.
`stop` removes all of it. Everything may be repeated. Tests make engines of their own from `Engine`.
"""

import argparse
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ipaddress.ip_network("10.213.0.0/16")
"""Each engine takes a /24: the lower half for its bridge, the upper for networks that users make."""
STORAGE_DRIVERS = ("overlay2", "vfs")
"""In order of preference: overlay cannot lie upon overlay, plain copies can lie upon anything."""
LONGEST_DIRECTORY = 64
"""In bytes: the sockets below it may have a path of 107."""
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Where the system's own programs are, also for users whose PATH lacks them."""
_START_WITHIN_S = 60.0
_STOP_WITHIN_S = 30.0


class UnusableError(Exception):
    """No Docker engine can be run here; the message says why."""


def install() -> None:
    """Sees to it that there is an engine to run.

    Raises:
        UnusableError: There is none, or no right to run it.
    """
    if os.geteuid() != 0:
        raise UnusableError("a Docker engine needs root")
    install_packages({"dockerd": "docker.io", "docker": "docker.io", "ip": "iproute2"})


def install_packages(packages_by_program: dict[str, str]) -> None:
    """Installs Debian's packages for the programs that are not there.

    Raises:
        UnusableError: They cannot be installed here.
    """
    missing = sorted(
        {
            package
            for program, package in packages_by_program.items()
            if shutil.which(program, path=_PATH) is None
        }
    )
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UnusableError(f"install these packages first: {' '.join(missing)}")
    print(f"Installing {' '.join(missing)} from Debian", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise UnusableError(f"{' '.join(command)} failed with {done.returncode}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A Docker engine of one's own, whether it runs or not."""

    directory: Path
    """Holds everything of it, and is gone after `remove`."""
    options: tuple[str, ...] = ()
    """More of them for `dockerd`."""

    @property
    def host(self) -> str:
        """What DOCKER_HOST should be."""
        return f"unix://{self.directory}/docker.sock"

    @property
    def gateway(self) -> str:
        """The address of this host that containers can reach."""
        return str(ipaddress.ip_network(self._record()["network"])[1])

    @property
    def storage_driver(self) -> str:
        """How it keeps the layers of images."""
        return self._record()["storage_driver"]

    @property
    def _name(self) -> str:
        """Of its bridge and control groups; interfaces have names of 15 bytes at most."""
        return f"hodei-{sha256(bytes(self.directory)).hexdigest()[:8]}"

    @property
    def pid(self) -> int | None:
        """Of the engine, where it runs."""
        try:
            pid = int((self.directory / "dockerd.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if bytes(self.directory) in command else None

    def start(self) -> None:
        """Starts it and returns when it answers. Idempotent.

        Raises:
            UnusableError: It does not start; says what it said last.
        """
        if self.pid is not None:
            return
        if len(bytes(self.directory)) > LONGEST_DIRECTORY:
            raise UnusableError(f"{self.directory} is too long a path for the sockets below it")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        network = self._make_bridge()
        known = self.directory / "engine.json"
        drivers = [self.storage_driver] if known.exists() else list(STORAGE_DRIVERS)
        said = ""
        for driver in drivers:
            if self._start(network, driver):
                known.write_text(json.dumps({"network": str(network), "storage_driver": driver}))
                return
            said = (self.directory / "engine.log").read_text(errors="replace").strip()[-600:]
        raise UnusableError(f"the Docker engine does not start; it said last: {said}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it, with its containers unless its options say otherwise. Idempotent."""
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, number)
        deadline = time.monotonic() + _STOP_WITHIN_S
        while self.pid is not None:
            _has_ended(pid)
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        (self.directory / "dockerd.pid").unlink(missing_ok=True)
        # The containerd of an engine that was killed dies with it; where nobody reaps it, the next
        # engine would take what is left of it for alive, and wait for it in vain.
        (self.directory / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends and starts it, with the same data and the same addresses."""
        self.stop(number)
        self.start()

    def remove(self) -> None:
        """Ends it and removes everything that it made on this host. Idempotent."""
        if self.pid is not None:
            with suppress(UnusableError):
                if containers := self.docker("ps", "--all", "--quiet").split():
                    self.docker("rm", "--force", "--volumes", *containers)
        self.stop()
        # What a killed engine leaves mounted would keep its directory from being removed.
        for mount in reversed(Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()):
            if (point := mount.split()[1]).startswith(f"{self.directory}/"):
                subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)
        _ip("link", "delete", self._name, check=False)
        groups = Path("/sys/fs/cgroup")
        for group in (groups / self._name, *groups.glob(f"*/{self._name}")):
            with suppress(OSError):
                group.rmdir()

    def docker(self, *arguments: str, stdin: bytes | None = None) -> str:
        """What `docker` prints, told to use this engine.

        Raises:
            UnusableError: It failed; has its words.
        """
        done = subprocess.run(
            ["docker", "--host", self.host, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip()
            raise UnusableError(f"docker {' '.join(arguments)}: {words}")
        return done.stdout.decode()

    def import_image(self, tar: Path, name: str, changes: Sequence[str] = ()) -> None:
        """Makes an image of a tar file; `changes` are lines such as `ENV A=b`."""
        options = [word for change in changes for word in ("--change", change)]
        self.docker("import", *options, str(tar), name)

    def _record(self) -> dict[str, str]:
        return json.loads((self.directory / "engine.json").read_text())

    def _make_bridge(self) -> ipaddress.IPv4Network:
        listed = json.loads(_ip("-json", "address", "show"))
        taken = {
            address["local"]: link["ifname"] for link in listed for address in link["addr_info"]
        }
        for each in NETWORKS.subnets(new_prefix=24):
            if taken.get(str(each[1])) == self._name:
                return each
        network = next(
            each for each in NETWORKS.subnets(new_prefix=24) if str(each[1]) not in taken
        )
        # Without an address of its own a bridge takes the lowest of its ports', and whenever a
        # container comes or goes that changes it, the others send to nobody for half a minute.
        mac = f"02:42:{network[1].packed.hex(':')}"
        _ip("link", "add", self._name, "address", mac, "type", "bridge", check=False)
        _ip("address", "add", f"{network[1]}/25", "dev", self._name)
        _ip("link", "set", self._name, "up")
        return network

    def _start(self, network: ipaddress.IPv4Network, driver: str) -> bool:
        _, for_networks = network.subnets()
        command = [
            "dockerd",
            *("--host", self.host, "--pidfile", f"{self.directory}/dockerd.pid"),
            *("--data-root", f"{self.directory}/data", "--exec-root", f"{self.directory}/exec"),
            *("--storage-driver", driver, "--bridge", self._name),
            *("--default-address-pool", f"base={for_networks},size=28"),
            *("--iptables=false", "--ip-masq=false", "--ip-forward=false"),
            *("--cgroup-parent", f"/{self._name}", "--shutdown-timeout=1"),
            *self.options,
        ]
        pid = _spawn(command, self.directory / "engine.log")
        deadline = time.monotonic() + _START_WITHIN_S
        while not _has_ended(pid) and time.monotonic() < deadline:
            with suppress(UnusableError):
                self.docker("version")
                return True
            time.sleep(0.05)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _has_ended(pid)
        return False


def _spawn(command: list[str], log: Path) -> int:
    """Starts a program that outlives this one; returns its pid."""
    environment = {**os.environ, "PATH": _PATH}
    with log.open("wb") as file:
        return os.posix_spawn(
            shutil.which(command[0], path=_PATH) or command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, file.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, file.fileno(), 2),
            ],
            setsid=True,
        )


def _has_ended(pid: int) -> bool:
    """Whether a child has; one of another process never has, as far as this one can tell."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["ip", *arguments], env={"PATH": _PATH}, capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        raise UnusableError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def own_directory() -> Path:
    """Where the checkout's engine lives: in the checkout, unless the path would be too long."""
    wanted = ROOT / ".dev" / "docker"
    if len(bytes(wanted)) <= LONGEST_DIRECTORY:
        return wanted
    return Path(tempfile.gettempdir()) / f"hodei-docker-{sha256(bytes(ROOT)).hexdigest()[:12]}"


def main() -> int:
    import docker_images  # noqa: PLC0415 - which imports this module

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["start", "stop", "status", "host"])
    parser.add_argument("--directory", type=Path, default=own_directory(), help="of the engine")
    options = parser.parse_args()
    engine = Engine(directory=options.directory)
    try:
        if options.what == "stop":
            engine.remove()
            return 0
        if options.what == "start":
            install()
            engine.start()
            names = docker_images.load(engine)
            print(f"A Docker engine runs, with the images {', '.join(names)}", file=sys.stderr)
            print(
                "  export DOCKER_HOST=$(.venv/bin/python tools/docker_engine.py host)",
                file=sys.stderr,
            )
    except UnusableError as error:
        print(f"docker_engine: {error}", file=sys.stderr)
        return 1
    if engine.pid is None:
        print("no Docker engine of this checkout runs: make dev-docker starts it", file=sys.stderr)
        return 1
    print(engine.host)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
