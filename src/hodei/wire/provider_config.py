"""The options of a provider as its messages have them: the original's few by field, others by name."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from hodei.domain.jobs.violations import Violations, shown
from hodei.wire import provider_management_pb2 as pb

_BY_FIELD: Final = {"socket_path": "host", "default_image": "image", "network_mode": "network"}
"""Fields of `DockerConfig`, each with the option that it is."""
_LABELS: Final = "labels"
_DNS: Final = "dns_servers"
_NOT_HERE: Final = ("kubernetes", "lambda", "ec2")


def encode_options(options: Mapping[str, str], *, is_docker: bool) -> pb.ProviderTypeConfig:
    """The message of options."""
    left = dict(options)
    config = pb.ProviderTypeConfig()
    if is_docker:
        for field, option in _BY_FIELD.items():
            setattr(config.docker, field, left.pop(option, ""))
        config.docker.dns_servers.extend(shlex.split(left.pop(_DNS, "")))
        config.docker.SetInParent()
    config.options.update(left)
    return config


def decode_options(config: pb.ProviderTypeConfig, found: Violations) -> dict[str, str]:
    """The options of a message; what is wrong with it goes into `found`."""
    options = dict(config.options)
    which = config.WhichOneof("config")
    if which in _NOT_HERE:
        found.add(f"type_config.{which}", "this server has no such providers: docker and local")
    if which != "docker":
        return options
    docker = config.docker
    given = {option: getattr(docker, field) for field, option in _BY_FIELD.items()}
    if docker.socket_path.startswith("/"):
        given["host"] = f"unix://{docker.socket_path}"
    given[_LABELS] = pairs_text("type_config.docker.labels", docker.labels, found)
    given[_DNS] = words_text(docker.dns_servers)
    for name, value in given.items():
        if value and options.setdefault(name, value) != value:
            found.add(f"options.{name}", "is said twice, and not alike: leave one of the two out")
    return options


def plain_options(config: pb.ProviderTypeConfig) -> dict[str, str]:
    """The options of a message that `encode_options` made."""
    return decode_options(config, Violations())


def words_text(words: Iterable[str]) -> str:
    """A list as the text of an option."""
    return shlex.join(words)


def pairs_text(field: str, pairs: Mapping[str, str], found: Violations) -> str:
    """Pairs as the text of an option; what cannot be written so goes into `found`."""
    for key, value in pairs.items():
        if "," in key + value or "=" in key:
            found.add(f"{field}[{shown(key)}]", "has a comma, or a key with =: write it without")
    return ",".join(f"{key}={value}" for key, value in pairs.items())
