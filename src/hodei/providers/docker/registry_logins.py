"""Logins of registries, from a file as `docker login` writes it.

Only what stands in the file is used; programs that keep logins elsewhere (`credsStore`,
`credHelpers`) are not called.
"""

import json
from pathlib import Path
from typing import Any, Final

from hodei.ports.providers import ProvisioningRefusedError

_DOCKER_HUB: Final = "docker.io"
_KEYS_OF_DOCKER_HUB: Final = ("https://index.docker.io/v1/", "index.docker.io", _DOCKER_HUB)


def with_registry(image: str) -> tuple[str, str]:
    """An image's registry, and its name with the registry in front."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, image
    return _DOCKER_HUB, f"{_DOCKER_HUB}/{image if slash else f'library/{image}'}"


def login_for(registry: str, file: Path | None) -> dict[str, str] | None:
    """The login for a registry; None where the file has none.

    Raises:
        ProvisioningRefusedError: The file cannot be read.
    """
    if file is None:
        return None
    try:
        auths: dict[str, Any] = json.loads(file.read_bytes()).get("auths", {})
    except (OSError, ValueError, AttributeError) as error:
        raise ProvisioningRefusedError(
            f"docker.registry_auth_file: {file} cannot be read ({error}); write it with "
            "docker login, which keeps logins in config.json"
        ) from error
    keys = _KEYS_OF_DOCKER_HUB if registry == _DOCKER_HUB else (registry, f"https://{registry}")
    entry = next((auths[key] for key in keys if auths.get(key)), None)
    if entry is None:
        return None
    return {name: str(value) for name, value in entry.items() if value}
