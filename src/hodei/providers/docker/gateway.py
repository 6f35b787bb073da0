"""By which address containers reach this machine."""

from typing import Final

from aiodocker.exceptions import DockerError

from hodei.ports.providers import ProviderUnavailableError
from hodei.providers.docker.engine import Engine, EngineAddress

_OF_THE_HOST: Final = "host"
_LOOPBACK: Final = "127.0.0.1"


async def gateway_of(address: EngineAddress, network: str) -> str:
    """The gateway of an engine's network; in the host's own network that is loopback.

    Raises:
        ProviderUnavailableError: The engine is not there, or the network is not or has no gateway.
    """
    engine = Engine(address)
    await engine.open()
    try:
        return await gateway_in(engine, network)
    finally:
        await engine.close()


async def gateway_in(engine: Engine, network: str) -> str:
    """As above, of an engine that is open."""
    if network == _OF_THE_HOST:
        return _LOOPBACK
    try:
        async with engine.asked() as docker:
            found = await (await docker.networks.get(network)).show()
    except DockerError as error:
        raise ProviderUnavailableError(
            f"docker.network: {error.message}; name a network of the engine at {engine.address} "
            "(docker network ls)"
        ) from error
    settings = (found.get("IPAM") or {}).get("Config") or []
    gateway = next((str(each["Gateway"]) for each in settings if each.get("Gateway")), "")
    if not gateway:
        raise ProviderUnavailableError(
            f"docker.server_host: the network {network} has no gateway; say by which address "
            "containers reach this server"
        )
    return gateway.partition("/")[0]
