"""The connection to a Docker engine."""

import asyncio
import errno
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiodocker import Docker
from aiodocker.exceptions import DockerContextError, DockerError
from aiohttp import ClientError

from hodei.ports.providers import ProviderUnavailableError

ANSWERS_WITHIN_S: Final = 30.0
"""An engine that takes longer for anything but an image is not there. A busy one takes seconds."""
_NOT_CONNECTED: Final = 900
"""The status by which aiodocker says that it could not ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where the engine is."""

    host: str = ""
    """As DOCKER_HOST has it, `unix://PATH` or `tcp://HOST:PORT`; empty means that of the context,
    or else the usual socket."""
    context: str = ""
    """One of `docker context ls`; empty means the current one. Not used where there is a host."""
    cert_path: Path | None = None
    """A directory with ca.pem, cert.pem and key.pem, for TLS."""

    def __str__(self) -> str:
        return self.host or (f"the context {self.context}" if self.context else "its usual socket")


class Engine:
    """A Docker engine, as long as it is open."""

    def __init__(self, address: EngineAddress) -> None:
        self.address = address
        self._docker: Docker | None = None

    @property
    def docker(self) -> Docker:
        """The client.

        Raises:
            ProviderUnavailableError: The connection is closed.
        """
        if self._docker is None:
            raise ProviderUnavailableError("the Docker provider is not started")
        return self._docker

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed."""
        return self._docker is not None

    async def open(self) -> None:
        """Gets ready to ask; asks nothing yet. Idempotent.

        Raises:
            ProviderUnavailableError: The address cannot be one.
        """
        if self._docker is None:
            self._docker = _client(self.address)

    async def close(self) -> None:
        """Closes the connections. Idempotent."""
        docker, self._docker = self._docker, None
        if docker is not None:
            await docker.close()

    @asynccontextmanager
    async def asked(self, within_s: float = ANSWERS_WITHIN_S) -> AsyncGenerator[Docker]:
        """The client, for a block that may take so long.

        Raises:
            ProviderUnavailableError: The engine is not there, or does not answer. What it answers
                with an error of its own is left to the block's user as a `DockerError`.
        """
        try:
            async with asyncio.timeout(within_s):
                yield self.docker
        except TimeoutError as error:
            raise ProviderUnavailableError(
                f"the Docker engine at {self.address} has not answered for {within_s:g} s; see "
                "whether it is well (docker info)"
            ) from error
        except DockerError as error:
            if error.status == _NOT_CONNECTED:
                raise self._gone(error) from error
            raise
        except (ClientError, OSError) as error:
            raise self._gone(error) from error

    async def info(self) -> dict[str, Any]:
        """What the engine says of itself and of its host.

        Raises:
            ProviderUnavailableError: It is not there, or is not well.
        """
        try:
            async with self.asked() as docker:
                return dict(await docker.system.info())
        except DockerError as error:
            raise ProviderUnavailableError(
                f"the Docker engine at {self.address} is not well: {error.message}"
            ) from error

    def _gone(self, error: Exception) -> ProviderUnavailableError:
        cause = error.__context__ if isinstance(error, DockerError) else error
        # Errors of TLS have numbers of their own, which mean nothing else.
        is_tls = isinstance(cause, ssl.SSLError)
        number = None if is_tls else getattr(cause, "errno", None)
        if number in {errno.EACCES, errno.EPERM}:
            what = (
                "may not be used by the user of this server: add the user to the group that owns "
                "the socket (docker, as a rule), or run the server as another"
            )
        elif number == errno.ENOENT:
            what = "is not there: start it, or say where it is (docker.host, DOCKER_HOST)"
        else:
            detail = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            what = f"cannot be reached ({detail}): start it, or say where it is (docker.host)"
            if is_tls or self.address.host.startswith("tcp://"):
                what += "; where it speaks TLS, with which certificates (docker.cert_path)"
        return ProviderUnavailableError(f"the Docker engine at {self.address} {what}")


def _client(address: EngineAddress) -> Docker:
    try:
        if not address.host:
            return Docker(context=address.context or None)
        if address.cert_path is None:
            return Docker(url=address.host)
        _, _, place = address.host.partition("://")
        return Docker(url=f"https://{place}", ssl_context=_tls(address.cert_path))
    except AssertionError as error:
        raise ProviderUnavailableError(
            "no Docker engine was found: there is no socket in the usual places; start one, or say "
            "where it is (docker.host, DOCKER_HOST)"
        ) from error
    except (ValueError, OSError, DockerContextError) as error:
        raise ProviderUnavailableError(
            f"the Docker engine at {address} cannot be used: {error}; see docker.host, "
            "docker.context and docker.cert_path"
        ) from error
    except DockerError as error:
        # Of all that it is made of, only SSH fails so: what it needs for it is not installed.
        raise _over_ssh(address) from error


def _over_ssh(address: EngineAddress) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        f"the Docker engine at {address} is behind SSH, which is not spoken here: bring its socket "
        "here (ssh -L /tmp/engine.sock:/var/run/docker.sock USER@HOST) and name that "
        "(docker.host=unix:///tmp/engine.sock)"
    )


def _tls(directory: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    context.load_cert_chain(str(directory / "cert.pem"), str(directory / "key.pem"))
    return context
