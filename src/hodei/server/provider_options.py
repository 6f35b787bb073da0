"""The options of a provider that was added: read and checked as the settings of its type are."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

from hodei.domain.providers.record import ProviderRecord, ProviderType
from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from hodei.server.config import DockerProviderConfig, LocalProviderConfig, ServerConfig
from hodei.server.config_limits import check_local
from hodei.server.config_sources import SETTINGS, Setting
from hodei.server.docker_limits import check_docker

OPTIONS_OF: Final[Mapping[ProviderType, str]] = {
    ProviderType.LOCAL: "local",
    ProviderType.DOCKER: "docker",
}
"""The types that can be added, each with the section of the settings that says its options."""

_NOT_HERE: Final = {
    "enabled": "is no option: see `hodei providers enable` and `disable`",
    "agent_command": "is for the server's settings only: it would run whatever it says as the server",
}
_OF_THE_SERVER: Final = ("agent_bundle", "image", "pull", "registry_auth_file")
"""Of Docker: what is left out is as the settings have it for the server's own provider."""
_MOST_BYTES: Final = 64 * 1024


def option_violations(record: ProviderRecord, server: ServerConfig) -> list[FieldViolation]:
    """Everything in type and options that is not allowed."""
    if record.type not in OPTIONS_OF:
        allowed = ", ".join(each.lower() for each in OPTIONS_OF)
        description = f"{record.type.lower()!r} cannot be added; one of {allowed} can"
        return [FieldViolation(field="type", description=description)]
    try:
        config = config_of(record, server)
    except InvalidFieldsError as error:
        return list(error.violations)
    found = (
        check_docker(config) if isinstance(config, DockerProviderConfig) else check_local(config)
    )
    section = f"{OPTIONS_OF[record.type]}."
    return [
        FieldViolation(
            field=f"options.{each.field.removeprefix(section)}", description=each.description
        )
        for each in [*found, *_password(config)]
    ]


def config_of(
    record: ProviderRecord, server: ServerConfig
) -> DockerProviderConfig | LocalProviderConfig:
    """The record's options as settings of its type.

    Raises:
        InvalidFieldsError: An option is not known, or its text is not what it should be.
    """
    section = OPTIONS_OF[record.type]
    settings = {
        key.removeprefix(f"{section}."): each
        for key, each in SETTINGS.items()
        if each.section == section
    }
    values: dict[str, Any] = {"enabled": True}
    violations: list[FieldViolation] = []
    for name, text in record.options.items():
        try:
            setting = _setting(name, text, settings)
            values[setting.field] = setting.read(text, field=f"options.{name}")
        except InvalidFieldsError as error:
            violations += error.violations
    if violations:
        raise InvalidFieldsError(violations)
    if record.type is ProviderType.DOCKER:
        return DockerProviderConfig(**(_defaults(record, server.docker) | values))
    local = LocalProviderConfig(**values)
    return replace(local, warm_workers=local.warm_workers if "warm_workers" in values else 0)


def _setting(name: str, text: str, settings: Mapping[str, Setting]) -> Setting:
    field = f"options.{name[:60]}"
    if name in _NOT_HERE:
        raise InvalidFieldsError.of(field, _NOT_HERE[name])
    if name not in settings:
        near = get_close_matches(name, settings, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reference/configuration.md lists them"
        raise InvalidFieldsError.of(field, f"there is no such option; {hint}")
    if len(text.encode()) > _MOST_BYTES:
        raise InvalidFieldsError.of(field, f"is longer than {_MOST_BYTES} bytes")
    return settings[name]


def _defaults(record: ProviderRecord, own: DockerProviderConfig) -> dict[str, Any]:
    """What the server's own settings say and the record does not."""
    names = [*_OF_THE_SERVER]
    if not {"host", "context"} & record.options.keys():
        names += ["host", "context", "cert_path"]
    return {name: getattr(own, name) for name in names}


def _password(config: DockerProviderConfig | LocalProviderConfig) -> list[FieldViolation]:
    # Options are shown to whoever may list providers.
    if not isinstance(config, DockerProviderConfig) or config.host.startswith("ssh://"):
        return []
    if "@" not in urlsplit(config.host).netloc:
        return []
    description = "holds a login, which would be shown: leave it out, and use cert_path for TLS"
    return [FieldViolation(field="docker.host", description=description)]
