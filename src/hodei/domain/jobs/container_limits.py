"""What is allowed in a job's image and in the options of its container.

Only what no engine could take is refused here; what a certain engine lacks, it says itself when a
worker is made.
"""

import re
from typing import Final

from hodei.domain.jobs.container import ContainerOptions, Mount
from hodei.domain.jobs.violations import Violations, shown

MAX_IMAGE_CHARS: Final = 512
"""Registries take names of 255 characters; host, tag and digest come on top."""
MAX_PIDS: Final = 4 * 1024 * 1024
"""Linux gives no higher number to a process."""
MAX_SHM_BYTES: Final = 2**40
"""1 TiB, so that a slip of the unit is found."""
MAX_OPTION_ENTRIES: Final = 64
"""Mounts, hosts and the like of one container."""
MAX_OPTION_CHARS: Final = 4096
"""Of one of them: paths are the longest part."""

_PATH_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?{_PATH_PART}(?:/{_PATH_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_IMAGE_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_CAPABILITY: Final = re.compile(r"[A-Z][A-Z_]*")
_PLATFORM: Final = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*:[0-9A-Fa-f.:]+|[^:\s]+:host-gateway")


def is_image_name(name: str) -> bool:
    """Whether an image can have this name: [REGISTRY/]NAME[:TAG][@sha256:DIGEST], or an id."""
    return _IMAGE.fullmatch(name) is not None or _IMAGE_ID.fullmatch(name) is not None


def check_container(found: Violations, image: str, options: ContainerOptions | None) -> None:
    """Adds what is not allowed."""
    if len(image) > MAX_IMAGE_CHARS:
        found.check_line("image", image, max_chars=MAX_IMAGE_CHARS)
    elif image and not is_image_name(image):
        found.add(
            "image",
            f"is {shown(image)}: write [REGISTRY/]NAME[:TAG][@sha256:DIGEST], with a name in "
            "lower case, such as debian:12 or registry.example.com/team/tool:1.4",
        )
    if options is not None:
        _check_options(found, options)


def _check_options(found: Violations, options: ContainerOptions) -> None:
    if not 0 <= options.pids_limit <= MAX_PIDS:
        found.add("container.pids_limit", f"is {options.pids_limit}: 0 to {MAX_PIDS}")
    if not 0 <= options.shm_bytes <= MAX_SHM_BYTES:
        found.add("container.shm_bytes", f"is {options.shm_bytes}: 0 to {MAX_SHM_BYTES}")
    _check_each(
        found,
        "tmpfs",
        options.tmpfs,
        re.compile(r"/[^:\0]*(:[A-Za-z0-9_=,.-]+)?"),
        "PATH or PATH:OPTIONS with an absolute path, such as /scratch:size=64m",
    )
    _check_each(found, "extra_hosts", options.extra_hosts, _HOST, "NAME:ADDRESS")
    _check_each(
        found, "cap_add", options.cap_add, _CAPABILITY, "capabilities such as NET_BIND_SERVICE"
    )
    for name, text, allowed, rule in (
        ("network", options.network, _NAME, "the name of a network of the engine"),
        ("user", options.user, _USER, "USER or UID, with :GROUP or :GID after it"),
        ("platform", options.platform, _PLATFORM, "OS/ARCHITECTURE such as linux/amd64"),
        ("runtime", options.runtime, _NAME, "a runtime that the engine knows, such as runsc"),
    ):
        if text and (len(text) > MAX_OPTION_CHARS or allowed.fullmatch(text) is None):
            found.add(f"container.{name}", f"is {shown(text)}: {rule}")
    found.check_count("container.mounts", options.mounts, at_most=MAX_OPTION_ENTRIES)
    for index, mount in enumerate(options.mounts):
        _check_mount(found, f"container.mounts[{index}]", mount)


def _check_each(
    found: Violations, name: str, texts: tuple[str, ...], allowed: re.Pattern[str], rule: str
) -> None:
    field = f"container.{name}"
    found.check_count(field, texts, at_most=MAX_OPTION_ENTRIES)
    for index, text in enumerate(texts):
        if len(text) > MAX_OPTION_CHARS or allowed.fullmatch(text) is None:
            found.add(f"{field}[{index}]", f"is {shown(text)}: {rule}")


def _check_mount(found: Violations, field: str, mount: Mount) -> None:
    is_path = mount.source.startswith("/")
    if not is_path and _NAME.fullmatch(mount.source) is None:
        found.add(
            f"{field}.source",
            f"is {shown(mount.source)}: an absolute path on the engine's host, or the name of a "
            "volume",
        )
    if not mount.target.startswith("/") or mount.target == "/":
        found.add(f"{field}.target", f"is {shown(mount.target)}: an absolute path other than /")
    for name, path in (("source", mount.source), ("target", mount.target)):
        found.check_text(f"{field}.{name}", path, max_bytes=MAX_OPTION_CHARS)
