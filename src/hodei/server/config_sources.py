"""Where a server's configuration comes from: flags over environment over a TOML file over defaults.

Each field of `ServerConfig` is a setting. Its key is the field's name, without the `_s` of those
that are durations; those of a provider begin with its name, such as `local.`. In the environment it
is `HODEI_` and the key in capitals, with `_` for the dot; a few have other names there, too.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast, get_type_hints

from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from hodei.server.config import DockerProviderConfig, LocalProviderConfig, ServerConfig
from hodei.server.config_limits import check_config
from hodei.server.config_values import Reader, Value, reader_for

DEFAULT_DATA_DIR: Final = Path(".hodei")
CONFIG_VARIABLE: Final = "HODEI_CONFIG_FILE"

OTHER_VARIABLES: Final = frozenset(
    {
        # Of clients, of agents and of the jobs that they run: a server may be started from there.
        "HODEI_SERVER_ADDRESS",
        "HODEI_CA_FILE",
        "HODEI_WORKER_ID",
        "HODEI_WORKER_NAME",
        "HODEI_OTP_TOKEN",
        "HODEI_CA_FINGERPRINT",
        "HODEI_JOB_ID",
        "HODEI_ATTEMPT",
        "HODEI_SECRETS_VIA_STDIN",
        "HODEI_SECRETS_DIR",
        CONFIG_VARIABLE,
        # Of providers that are switched on by `UNAVAILABLE` below; alone they do nothing.
        "HODEI_K8S_NAMESPACE",
        "HODEI_FC_KERNEL_PATH",
        "HODEI_FC_ROOTFS_PATH",
    }
)
"""Variables that are known and are no setting of a server."""

UNAVAILABLE: Final = {
    "HODEI_K8S_ENABLED": "the Kubernetes provider is not in this release; unset it",
    "HODEI_FC_ENABLED": "the Firecracker provider is not in this release; unset it",
}
"""Variables that ask for what is not there: refused by name, unless they say no."""

ALIASES: Final = {"HODEI_WORKER_IMAGE": "docker.image"}
"""Other variables for a setting; what the setting's own says goes first."""

SECTIONS: Final[dict[str, type]] = {
    "": ServerConfig,
    "local": LocalProviderConfig,
    "docker": DockerProviderConfig,
}
"""The parts of a configuration, by what keys of theirs begin with."""

_NO: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be configured."""

    key: str
    field: str
    """Of its dataclass."""
    section: str
    """Of `SECTIONS`."""
    read: Reader
    default: Value

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"HODEI_{self.key.replace('.', '_').upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveValue:
    """A setting as it is, and where it comes from."""

    key: str
    value: Value
    source: str
    """`default`, the variable, the file, or the flag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveConfig:
    """A configuration, and where each part of it comes from."""

    config: ServerConfig
    values: tuple[EffectiveValue, ...]


def load_config(
    *,
    flags: Mapping[str, tuple[object, str]],
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    defaults: Mapping[str, Value] | None = None,
) -> EffectiveConfig:
    """The configuration of a server.

    Args:
        flags: By key; what was given on the command line, and by which flag.
        file: TOML; without it, what `HODEI_CONFIG_FILE` names, where it names one.
        environment: The process's.
        defaults: By key; instead of those of `ServerConfig`.

    Raises:
        InvalidFieldsError: A key is not known or a value not allowed; each violation's field says
            where it stands.
    """
    given: dict[str, tuple[object, str]] = {}
    named = file or (Path(name) if (name := environment.get(CONFIG_VARIABLE)) else None)
    if named is not None:
        given |= _from_file(named)
    given |= _from_environment(environment)
    for key, (_, flag) in flags.items():
        _require_known(key, flag, SETTINGS)
    given |= flags
    values = _fit_warm_workers(
        [_effective(setting, given, defaults or {}) for setting in SETTINGS.values()]
    )
    sources = {value.key: value.source for value in values}
    config = _build({value.key: value.value for value in values})
    if violations := check_config(config):
        raise InvalidFieldsError(
            [
                FieldViolation(field=_place(each.field, sources), description=each.description)
                for each in violations
            ]
        )
    return EffectiveConfig(config=config, values=tuple(values))


def _place(key: str, sources: Mapping[str, str]) -> str:
    return key if sources[key] == "default" else sources[key]


def _effective(
    setting: Setting, given: Mapping[str, tuple[object, str]], defaults: Mapping[str, Value]
) -> EffectiveValue:
    if setting.key not in given:
        value = defaults.get(setting.key, setting.default)
        return EffectiveValue(key=setting.key, value=value, source="default")
    raw, source = given[setting.key]
    return EffectiveValue(key=setting.key, value=setting.read(raw, field=source), source=source)


def _fit_warm_workers(values: list[EffectiveValue]) -> list[EffectiveValue]:
    """Keeps the default of warm workers within a maximum that was given alone."""
    most = next(value.value for value in values if value.key == "local.max_workers")
    return [
        replace(value, value=min(value.value, most))
        if value.key == "local.warm_workers"
        and value.source == "default"
        and isinstance(value.value, int)
        and isinstance(most, int)
        else value
        for value in values
    ]


def _from_file(path: Path) -> dict[str, tuple[object, str]]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidFieldsError.of("--config", f"cannot read {path}: {error}") from error
    nested: dict[str, object] = {}
    for section in filter(None, SECTIONS):
        table = document.pop(section, {})
        if not isinstance(table, dict):
            raise InvalidFieldsError.of(f"{path}: {section}", f"is a table; write [{section}]")
        own = cast("dict[str, object]", table)
        nested |= {f"{section}.{key}": value for key, value in own.items()}
    found: dict[str, tuple[object, str]] = {}
    for key, value in {**document, **nested}.items():
        _require_known(key, f"{path}: {key}", SETTINGS)
        found[key] = (value, f"{path}: {key}")
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    by_variable = {setting.variable: setting.key for setting in SETTINGS.values()}
    found = _from_docker(environment)
    for variable, key in ALIASES.items():
        if variable in environment:
            found[key] = (environment[variable], variable)
    for variable, text in environment.items():
        if not variable.startswith("HODEI_") or variable in OTHER_VARIABLES | ALIASES.keys():
            continue
        if variable in UNAVAILABLE:
            if text.strip().lower() not in _NO:
                raise InvalidFieldsError.of(variable, UNAVAILABLE[variable])
            continue
        _require_known(variable, variable, by_variable)
        found[by_variable[variable]] = (text, variable)
    return found


def _from_docker(environment: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    """What Docker's own variables say about where its engine is."""
    found: dict[str, tuple[object, str]] = {}
    for variable, key in (("DOCKER_CONTEXT", "docker.context"), ("DOCKER_HOST", "docker.host")):
        if environment.get(variable):
            found[key] = (environment[variable], variable)
    if environment.get("DOCKER_TLS_VERIFY") and environment.get("DOCKER_CERT_PATH"):
        found["docker.cert_path"] = (environment["DOCKER_CERT_PATH"], "DOCKER_CERT_PATH")
    return found


def _require_known(name: str, place: str, known: Mapping[str, object]) -> None:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "hodei config show lists the settings"
        raise InvalidFieldsError.of(place, f"there is no setting {name!r}; {hint}")


def _settings() -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for section, owner in SECTIONS.items():
        hints = get_type_hints(owner)
        for each in fields(owner):
            if each.name not in SECTIONS:
                setting = _setting(each, hints[each.name], section)
                found[setting.key] = setting
    return found


def _setting(field: Field[Any], hint: object, section: str) -> Setting:
    is_duration = hint is float
    name = field.name.removesuffix("_s") if is_duration else field.name
    key = f"{section}.{name}" if section else name
    factory = cast("Callable[[], Value]", field.default_factory)
    default = factory() if field.default_factory is not MISSING else field.default
    return Setting(
        key=key,
        field=field.name,
        section=section,
        read=reader_for(hint),
        default=DEFAULT_DATA_DIR if key == "data_dir" else cast("Value", default),
    )


def _build(values: Mapping[str, Value]) -> ServerConfig:
    parts: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for setting in SETTINGS.values():
        parts[setting.section][setting.field] = values[setting.key]
    own = parts.pop("")
    return ServerConfig(**own, **{name: SECTIONS[name](**part) for name, part in parts.items()})


SETTINGS: Final = _settings()
"""Every setting, by its key, in the order of the configuration's fields."""
