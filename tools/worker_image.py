"""Makes the image `hodei-worker`: a base with the agent bundle in it (`make worker-image`).

It is built by deploy/docker/worker.Dockerfile, in the engine that DOCKER_HOST names. The base is what
`--base` names; without it a Debian is made by debootstrap (as root) and imported, so that no registry
is needed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from agent_bundle.build import Bundle, build
from agent_bundle.programs import run
from agent_bundle.recipe import ARCHITECTURES, ROOT, BuildError
from docker_engine import UnusableError, install_packages
from hodei.kernel.version import VERSION

DOCKERFILE = ROOT / "deploy" / "docker" / "worker.Dockerfile"
OWN_BASE = "hodei-base:debian-12"
BASE_CACHE = ROOT / ".dev" / "images"
VERSION_LABEL = "hodei.agent.version"
"""Of the image: the version of the bundle in it."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make(bundle: Bundle, base: str, tag: str, environment: dict[str, str] | None = None) -> None:
    """Builds the image out of a base that the engine has or can pull.

    Raises:
        BuildError: The engine cannot; has its words.
    """
    run(
        [
            *("docker", "build", "--file", DOCKERFILE, "--tag", tag),
            *("--build-arg", f"BASE={base}", "--label", f"{VERSION_LABEL}={bundle.version}"),
            bundle.directory,
        ],
        environment=environment,
    )


def own_base() -> str:
    """Sees to it that the engine has a Debian that was made here; returns its name.

    Raises:
        BuildError: It cannot be made.
        UnusableError: What makes it is not there.
    """
    if run(["docker", "image", "ls", "--quiet", OWN_BASE]).strip():
        return OWN_BASE
    tar = BASE_CACHE / f"{OWN_BASE.replace(':', '-')}.tar"
    if not tar.exists():
        _bootstrap(tar)
    run(["docker", "import", "--change", f"ENV PATH={_PATH}", tar, OWN_BASE])
    return OWN_BASE


def _bootstrap(tar: Path) -> None:
    if os.geteuid() != 0:
        raise UnusableError("to make a base needs root: run it as root, or name one with BASE=")
    install_packages({"debootstrap": "debootstrap"})
    print("Making a Debian by debootstrap", file=sys.stderr)
    tar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hodei-base-") as top:
        run(["debootstrap", "--variant=minbase", "bookworm", top, _mirror()])
        # What apt keeps for its next run is of no use in an image.
        for name in ("var/cache/apt/archives", "var/lib/apt/lists"):
            run(["find", f"{top}/{name}", "-type", "f", "-delete"])
        partial = tar.with_suffix(".partial")
        run(["tar", "--create", "--numeric-owner", "--directory", top, "--file", partial, "."])
        partial.rename(tar)


def _mirror() -> str:
    """Where this machine gets Debian's packages."""
    listed = run(["apt-get", "indextargets", "--format", "$(SITE)", "Codename: bookworm"])
    if not (sites := listed.split()):
        raise BuildError("apt has no index of Debian 12 here: name a base with BASE=")
    return sites[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="an image that the engine has or can pull")
    parser.add_argument("--tag", default="hodei-worker")
    options = parser.parse_args()
    try:
        architecture = ARCHITECTURES[run(["dpkg", "--print-architecture"]).strip()]
        bundle = build(architecture, ROOT / "build" / "agent-bundle", VERSION)
        make(bundle, options.base or own_base(), options.tag)
    except (BuildError, UnusableError, subprocess.SubprocessError) as error:
        print(f"worker-image: {error}", file=sys.stderr)
        return 1
    print(f"{options.tag} with agent {bundle.version}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
