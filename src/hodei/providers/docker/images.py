"""Images: whether the engine has them, and fetching those that it has not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog
from aiodocker.exceptions import DockerError

from hodei.domain.jobs.container import PullPolicy
from hodei.ports.providers import ProvisioningRefusedError
from hodei.providers.docker.engine import Engine
from hodei.providers.docker.refusals import of_image
from hodei.providers.docker.registry_logins import login_for, registry_of

log = structlog.get_logger()

_PULLED_WITHIN_S: Final = 3600.0
"""The largest images take many minutes; past an hour nothing comes any more."""
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What must be known of an image before a container is made from it."""

    id: str
    user: str
    architecture: str


class Images:
    """The images of one engine."""

    def __init__(self, engine: Engine, registry_auth_file: Path | None) -> None:
        self._engine = engine
        self._registry_auth_file = registry_auth_file
        # Each lock is there as long as somebody holds it or waits for it.
        self._fetching: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._fetched_at: dict[str, float] = {}
        self.default_registry = ""
        """Of images that name none, as the engine says."""

    async def ensure(self, image: str, policy: PullPolicy, platform: str = "") -> ImageFacts:
        """Sees to it that the engine has the image. Those who ask at once wait for one fetch.

        Raises:
            ProviderUnavailableError: The engine, or the image's registry, is not there.
            ProvisioningRefusedError: There is no such image, or it must not be had.
        """
        asked_at = asyncio.get_running_loop().time()
        facts = await self.facts(image)
        wanted = platform.split("/")[1] if platform else ""
        is_there = facts is not None and wanted in {"", facts.architecture}
        if policy is PullPolicy.NEVER and facts is None:
            raise ProvisioningRefusedError(
                f"image: the engine does not have {image}, and container.pull is never: fetch it "
                "(docker pull), or let it be fetched (--pull missing)"
            )
        if policy is PullPolicy.ALWAYS or (policy is PullPolicy.MISSING and not is_there):
            async with self._alone(image):
                # Somebody else may have fetched it since.
                if self._fetched_at.get(image, 0.0) < asked_at:
                    await self._fetch(image, platform)
                    self._fetched_at[image] = asyncio.get_running_loop().time()
            facts = await self.facts(image)
        if facts is None:
            raise ProvisioningRefusedError(
                f"image: {image} was fetched and is gone again; see who removes images there"
            )
        return facts

    async def facts(self, image: str) -> ImageFacts | None:
        """What the engine knows of an image; None where it does not have it.

        Raises:
            ProviderUnavailableError: The engine is not there.
            ProvisioningRefusedError: The name cannot be one.
        """
        try:
            async with self._engine.asked() as docker:
                shown: dict[str, Any] = await docker.images.inspect(image)
        except DockerError as error:
            if error.status == 404:
                return None
            raise of_image(error, image) from error
        config = shown.get("Config") or {}
        return ImageFacts(
            id=shown["Id"],
            user=config.get("User") or "",
            architecture=shown.get("Architecture") or "",
        )

    async def _fetch(self, image: str, platform: str) -> None:
        registry = registry_of(image, default=self.default_registry)
        login = await asyncio.to_thread(login_for, registry, self._registry_auth_file)
        # With a login the client wants a name that has a slash; this is the same image.
        name = image if login is None or "/" in image else f"library/{image}"
        log.info("image_pulling", image=image, registry=registry)
        try:
            async with self._engine.asked(_PULLED_WITHIN_S) as docker:
                await docker.images.pull(name, auth=login, platform=platform or None)
        except DockerError as error:
            raise of_image(error, image) from error
        log.info("image_pulled", image=image)

    @asynccontextmanager
    async def _alone(self, image: str) -> AsyncGenerator[None]:
        lock = self._fetching.setdefault(image, asyncio.Lock())
        async with lock:
            yield


def architecture_of(info: dict[str, Any]) -> str:
    """The architecture of an engine's host, by the name that images give it."""
    machine = str(info.get("Architecture", ""))
    return _ARCHITECTURES.get(machine, machine)
