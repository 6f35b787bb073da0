"""Debian's packages: found, downloaded once, unpacked into a folder; nothing is installed."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_bundle.programs import run
from agent_bundle.recipe import CACHE, Architecture, BuildError


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One file of a package, as Debian's index has it now."""

    file: str
    """Its name, which has the version."""
    sha256: str
    name: str


class Archive:
    """The packages of one architecture."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self.is_native = run(["dpkg", "--print-architecture"]).strip() == architecture.debian
        """Whether this machine is of it."""
        self._options = [] if self.is_native else self._private_index()

    def find(self, names: Sequence[str]) -> list[Package]:
        """The newest of each.

        Raises:
            BuildError: Debian's index, as this machine has it, has no such package.
        """
        try:
            listed = self._listed(names)
        except BuildError:
            # The index may be missing or old.
            run(["apt-get", *self._options, "update", "-qq"])
            listed = self._listed(names)
        return listed

    def unpack(self, packages: Sequence[Package], into: Path) -> None:
        """Downloads what is not there yet, and unpacks all of it over one another.

        Raises:
            BuildError: A file is not what the index says.
        """
        folder = CACHE / self._architecture.debian
        folder.mkdir(parents=True, exist_ok=True)
        missing = [each for each in packages if not (folder / each.file).exists()]
        if missing:
            names = [f"{each.name}:{self._architecture.debian}" for each in missing]
            run(["apt-get", *self._options, "download", "-qq", *names], cwd=folder)
        for package in packages:
            file = folder / package.file
            if not file.exists() or _sha256(file) != package.sha256:
                file.unlink(missing_ok=True)
                raise BuildError(f"{package.file} did not arrive as the index has it: try again")
            run(["dpkg-deb", "--extract", file, into])

    def _listed(self, names: Sequence[str]) -> list[Package]:
        words = [f"{name}:{self._architecture.debian}" for name in names]
        try:
            lines = run(["apt-get", *self._options, "download", "--print-uris", "-qq", *words])
        except BuildError as error:
            raise BuildError(
                f"{error}\nThe recipe is of Debian 12's packages: build the bundle on Debian 12, or in"
                " a container of it (docs/how-to/build-the-agent-bundle.md)"
            ) from error
        found: list[Package] = []
        for line in lines.splitlines():
            _, file, _, digest = shlex.split(line)
            algorithm, _, value = digest.partition(":")
            if algorithm != "SHA256":
                raise BuildError(f"the index has no SHA256 of {file}, but {algorithm}")
            found.append(Package(file=file, sha256=value, name=file.partition("_")[0]))
        if {each.name for each in found} != set(names):
            raise BuildError(f"of {' '.join(names)} the index has only {found}")
        return sorted(found, key=lambda each: each.name)

    def _private_index(self) -> list[str]:
        """Options for an index of another architecture, which the machine's own knows nothing of."""
        top = CACHE / f"apt-{self._architecture.debian}"
        for part in ("lists/partial", "cache/archives/partial"):
            (top / part).mkdir(parents=True, exist_ok=True)
        (top / "status").touch()
        settings = {
            "APT::Architecture": self._architecture.debian,
            "APT::Architectures": self._architecture.debian,
            "Dir::State::Lists": f"{top}/lists",
            "Dir::State::status": f"{top}/status",
            "Dir::Cache": f"{top}/cache",
        }
        return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
