"""Whether an engine can be used, and what it is."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hodei.kernel.units import format_size
from hodei.ports.providers import ProviderUnavailableError
from hodei.providers.docker.engine import Engine, EngineAddress
from hodei.providers.docker.gateway import gateway_in
from hodei.providers.docker.images import architecture_of
from hodei.providers.docker.options import DockerOptions

_AGENT: Final = "hodei-agent"
_ELSEWHERE: Final = ("tcp://", "ssh://", "http")
"""What addresses of engines begin with whose files this server does not see."""


async def examine(engine: Engine, options: DockerOptions) -> Mapping[str, str]:
    """What the engine says of itself, and what of it these options use.

    Raises:
        ProviderUnavailableError: It does not answer, or the options do not fit it.
    """
    info = await engine.info()
    require_linux(info, engine.address)
    architecture = architecture_of(info)
    bundle = await find_bundle(options, engine.address, architecture)
    runtimes: Mapping[str, object] = info.get("Runtimes") or {}
    if options.runtime and options.runtime not in runtimes:
        raise ProviderUnavailableError(
            f"docker.runtime: the engine at {engine.address} knows no {options.runtime}; it has "
            f"{', '.join(sorted(runtimes))}"
        )
    gateway = await gateway_in(engine, options.network)
    return {
        "engine": str(engine.address),
        "version": str(info.get("ServerVersion", "")),
        "system": f"{info.get('OperatingSystem', '')}, Linux {info.get('KernelVersion', '')}",
        "architecture": architecture,
        "cpus": str(info.get("NCPU", "")),
        "memory": format_size(int(info.get("MemTotal", 0))),
        "runtimes": ", ".join(sorted(runtimes)),
        "cgroups": f"v{info.get('CgroupVersion', '1')}, {info.get('CgroupDriver', '')}",
        "storage": str(info.get("Driver", "")),
        "network": f"{options.network}, this server is at {gateway}",
        "agent": str(bundle) or "in the images",
        "containers": f"{info.get('ContainersRunning', 0)} running, whosever they are",
        **_limits(info),
    }


def require_linux(info: Mapping[str, Any], address: EngineAddress) -> None:
    """Sees to it that the engine runs containers for Linux.

    Raises:
        ProviderUnavailableError: It runs others.
    """
    if info.get("OSType") != "linux":
        raise ProviderUnavailableError(
            f"the Docker engine at {address} runs {info.get('OSType')} containers; the agent needs "
            "one for Linux"
        )


async def find_bundle(
    options: DockerOptions, address: EngineAddress, architecture: str
) -> Path | str:
    """Where the agent's files are: looked for where this server sees the engine's files.

    Raises:
        ProviderUnavailableError: There are none.
    """
    bundle = options.agent_bundle
    if isinstance(bundle, Path) and not address.host.startswith(_ELSEWHERE):
        return await asyncio.to_thread(_find, bundle, architecture)
    return bundle


def _limits(info: Mapping[str, Any]) -> Mapping[str, str]:
    """What containers cannot be limited in, where the engine's host lacks it."""
    lacking = [
        name
        for name, key in (("memory", "MemoryLimit"), ("cpu", "CpuCfsQuota"), ("pids", "PidsLimit"))
        if info.get(key) is False
    ]
    return {"not limited": ", ".join(lacking)} if lacking else {}


def _find(directory: Path, architecture: str) -> Path:
    """The directory itself, or what was built last for the architecture."""
    for place in (directory, directory / architecture):
        if (place / _AGENT).is_file():
            # Not the link: it moves on when another is built, and this one may be in use by then.
            return place.resolve()
    raise ProviderUnavailableError(
        f"docker.agent_bundle: there is no {_AGENT} for {architecture} in {directory}; make it with "
        "make agent-bundle, or name the directory where it is"
    )
