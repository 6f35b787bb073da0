"""What a Docker engine says when it does not do what was asked, in words that name the option.

The engine has no codes beyond HTTP's, so its words are what there is to go by. What no rule knows is
passed on as it is: as final where the engine calls the request wrong, else as worth another try.
"""

import re
from typing import Final, NamedTuple

from aiodocker.exceptions import DockerError

from hodei.ports.providers import (
    KindUnavailableError,
    ProviderUnavailableError,
    ProvisioningRefusedError,
)

Refusal = ProviderUnavailableError | ProvisioningRefusedError

_LONGEST_WORDS: Final = 300


class _Rule(NamedTuple):
    words: re.Pattern[str]
    option: str
    advice: str
    is_final: bool = True


def _rule(words: str, option: str, advice: str, *, is_final: bool = True) -> _Rule:
    return _Rule(re.compile(words, re.IGNORECASE), option, advice, is_final)


_OF_CONTAINERS: Final = (
    _rule(
        r"minimum memory limit",
        "requirements.memory_bytes",
        "ask for more memory (--memory); an agent alone takes about 40 MiB",
    ),
    _rule(r"range of cpus", "requirements.cpu_cores", "ask for fewer cores (--cpu)"),
    # Before the mounts: what is wrong with its options is an error of mounting, too.
    _rule(
        r"tmpfs",
        "container.tmpfs",
        "write PATH or PATH:OPTIONS, with options of mount(8), such as /scratch:size=64m (--tmpfs)",
    ),
    _rule(
        r"bind source path does not exist|invalid mount|mount(?:point)? .* (?:invalid|duplicate)"
        r"|duplicate mount point|error mounting|failed to mount|volume name .* invalid"
        r"|includes invalid characters for a local volume",
        "container.mounts",
        "name a path that is there on the engine's host, or a volume, and a target that is free "
        "(--mount)",
    ),
    _rule(
        r"network .* not found|could not find .* network|network mode",
        "container.network",
        "name a network of the engine (docker network ls)",
    ),
    _rule(
        r"unknown or invalid runtime|unknown runtime",
        "container.runtime",
        "name a runtime that the engine knows (docker info)",
    ),
    _rule(
        r"could not select device driver|nvidia|no known gpu vendor",
        "requirements.gpu_count",
        "the engine has no driver for GPUs in containers: install its toolkit, or ask for none",
    ),
    _rule(
        r"unable to find (?:user|group)|no matching entries in (?:passwd|group) file",
        "container.user",
        "name a user that the image has, or a number",
    ),
    _rule(
        r"(?:unknown|invalid) capability|capabilit(?:y|ies) .* (?:unknown|invalid|not)",
        "container.cap_add",
        "name capabilities of Linux without CAP_, such as NET_ADMIN",
    ),
    _rule(
        r"exec format error",
        "container.platform",
        "the image or the agent's files are of another architecture than the engine's host",
    ),
    _rule(
        r"bad format for add-host|invalid (?:ip )?address in add-host",
        "container.extra_hosts",
        "write NAME:ADDRESS",
    ),
    _rule(r"invalid reference format", "image", "see how its name is written"),
    _rule(
        r"no such file or directory",
        "docker.agent_bundle",
        "the agent's files are not where the engine's host looks for them (make agent-bundle)",
    ),
    _rule(
        r"no space left|too many open files|resource temporarily unavailable|cannot allocate",
        "docker",
        "the engine's host is short of it: make room",
        is_final=False,
    ),
)

_OF_REGISTRIES: Final = (
    _rule(
        r"pull access denied|repository does not exist|name unknown|repository name not known",
        "image",
        "there is no such image, or its registry shows it only to those who log in: check the "
        "spelling, or give a login (docker.registry_auth_file)",
    ),
    _rule(
        r"no matching manifest|does not match the specified platform",
        "image",
        "it is not there for this architecture: name another, or another tag",
    ),
    _rule(
        r"manifest unknown|manifest for .* not found|manifest .* not found",
        "image",
        "the registry has no such tag, or has it no more: name one that is there",
    ),
    _rule(
        r"unauthorized|authentication required|no basic auth credentials|incorrect username"
        r"|access forbidden|\bdenied\b|\b40[13]\b",
        "image",
        "its registry refuses: give a login that may read it (docker.registry_auth_file)",
    ),
    _rule(r"invalid reference format", "image", "see how its name is written"),
    _rule(
        r"toomanyrequests|rate limit",
        "image",
        "its registry takes no more requests for now: log in, or wait",
        is_final=False,
    ),
    _rule(
        r"no such host|dial tcp|i/o timeout|timeout|connection|tls|x509|server misbehaving|\beof\b"
        r"|network is unreachable|\b50\d\b|internal server error|bad gateway",
        "image",
        "its registry cannot be reached from the engine's host: check the name of the registry, and "
        "the network",
        is_final=False,
    ),
)


def of_container(error: DockerError, *, doing: str) -> Refusal:
    """Why a container was not created or started."""
    return _refusal(error, _OF_CONTAINERS, doing)


def of_image(error: DockerError, image: str) -> Refusal:
    """Why an image was not fetched."""
    return _refusal(error, _OF_REGISTRIES, f"fetching the image {image}")


def _refusal(error: DockerError, rules: tuple[_Rule, ...], doing: str) -> Refusal:
    words = " ".join(error.message.split())[:_LONGEST_WORDS]
    for rule in rules:
        if rule.words.search(words):
            text = f"{rule.option}: {doing} failed: {words}; {rule.advice}"
            return ProvisioningRefusedError(text) if rule.is_final else KindUnavailableError(text)
    text = f"{doing} failed: {words}"
    is_wrong = 400 <= error.status < 500 and error.status != 409
    return ProvisioningRefusedError(text) if is_wrong else KindUnavailableError(text)
