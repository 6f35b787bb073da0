"""Logins of registries, from a file as `docker login` writes it.

Only what stands in the file is used; programs that keep logins elsewhere (`credsStore`,
`credHelpers`) are not called.
"""

import json
from pathlib import Path
from typing import Any

from hodei.ports.providers import ProvisioningRefusedError


def registry_of(image: str, *, default: str) -> str:
    """The registry that an image names; `default` where it names none."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else default


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
    entry = next((auths[key] for key in (registry, f"https://{registry}") if auths.get(key)), None)
    if entry is None:
        return None
    return {name: str(value) for name, value in entry.items() if value}
