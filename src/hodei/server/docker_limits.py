"""What the configuration of the Docker provider may be."""

from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from typing import Final

from hodei.domain.jobs.container import ContainerOptions, Mount, PullPolicy
from hodei.domain.jobs.container_limits import MAX_OPTION_ENTRIES, check_container, is_image_name
from hodei.domain.jobs.violations import Violations
from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from hodei.kernel.units import format_duration, parse_size_bytes
from hodei.server.config import DockerProviderConfig
from hodei.server.label_limits import check_worker_labels

_DAY_S: Final = 86400.0
_SCHEMES: Final = frozenset({"unix", "tcp", "http", "https"})
_JOB_OPTIONS: Final = frozenset(ContainerOptions.__slots__)


def check_docker(docker: DockerProviderConfig) -> list[FieldViolation]:
    """Everything in it that is not allowed, by the setting's key."""
    checks: tuple[Callable[[DockerProviderConfig], Iterator[FieldViolation]], ...] = (
        _numbers,
        _durations,
        _words,
        _images,
        _options,
        _dns_servers,
        partial(check_worker_labels, "docker"),
    )
    return [violation for check in checks for violation in check(docker)]


def size_of(text: str, *, key: str) -> int:
    """A size in bytes; 0 where there is none.

    Raises:
        InvalidFieldsError: It is none.
    """
    return parse_size_bytes(text, field=key) if text else 0


def mount_of(text: str) -> Mount:
    """A mount, from SOURCE:TARGET or SOURCE:TARGET:ro; what is wrong in it is found later."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    return Mount(source=source, target=target, read_only=mode == "ro")


def _numbers(docker: DockerProviderConfig) -> Iterator[FieldViolation]:
    for name, value, lowest, highest in (
        ("slots", docker.slots, 1, 256),
        ("max_workers", docker.max_workers, 0, 1000),
        ("jobs_per_worker", docker.jobs_per_worker, 0, 1_000_000),
        ("cpu_millicores", docker.cpu_millicores, 0, 4096 * 1000),
        ("gpus", docker.gpus, 0, 1024),
        *(("warm", count, 0, docker.max_workers) for count in docker.warm.values()),
    ):
        if not lowest <= value <= highest:
            yield _wrong(name, f"{value} is not from {lowest} to {highest}")


def _durations(docker: DockerProviderConfig) -> Iterator[FieldViolation]:
    for name, value, lowest, highest in (
        ("idle_timeout", docker.idle_timeout_s, 0.1, 30 * _DAY_S),
        ("max_age", docker.max_age_s, 1.0, 30 * _DAY_S),
        ("enroll_timeout", docker.enroll_timeout_s, 0.1, 3600.0),
    ):
        if not lowest <= value <= highest:
            allowed = f"{format_duration(lowest)} to {format_duration(highest)}"
            yield _wrong(name, f"{value:g} s is not from {allowed}")


def _words(docker: DockerProviderConfig) -> Iterator[FieldViolation]:
    if docker.pull not in set(PullPolicy):
        yield _wrong("pull", f"{docker.pull!r} is not one of {', '.join(PullPolicy)}")
    unknown = sorted(set(docker.job_options) - _JOB_OPTIONS)
    if unknown:
        known = ", ".join(sorted(_JOB_OPTIONS))
        yield _wrong("job_options", f"{unknown[0]!r} is not one of {known}")
    if docker.network == "none":
        yield _wrong("network", "none would keep agents from this server: name another network")
    if docker.host and docker.host.partition("://")[0] not in _SCHEMES:
        # Not the value itself: it may hold a password.
        yield _wrong(
            "host",
            "is not unix://PATH or tcp://HOST:PORT; of an engine behind ssh://, bring the socket here "
            "(ssh -L /tmp/engine.sock:/var/run/docker.sock USER@HOST) and name that",
        )
    for name, text in (("memory", docker.memory), ("shm_size", docker.shm_size)):
        try:
            size_of(text, key=f"docker.{name}")
        except InvalidFieldsError as error:
            yield from error.violations


def _images(docker: DockerProviderConfig) -> Iterator[FieldViolation]:
    named = [("image", docker.image)] if docker.image else []
    named += [("prepull", image) for image in docker.prepull]
    named += [("warm", image) for image in docker.warm]
    for name, image in named:
        if not is_image_name(image):
            yield _wrong(name, f"{image!r} is no name of an image, such as debian:12")


def _options(docker: DockerProviderConfig) -> Iterator[FieldViolation]:
    """By the rules that hold for jobs, too."""
    found = Violations()
    own = ContainerOptions(
        pids_limit=docker.pids_limit,
        tmpfs=docker.tmpfs,
        mounts=tuple(map(mount_of, docker.mounts)),
        network=docker.network,
        extra_hosts=docker.extra_hosts,
        user=docker.user,
        cap_add=docker.cap_add,
        runtime=docker.runtime,
    )
    check_container(found, "", own)
    for each in found.found:
        name = each.field.removeprefix("container.").partition("[")[0]
        yield _wrong(name, each.description)


def _dns_servers(docker: DockerProviderConfig) -> Iterator[FieldViolation]:
    if len(docker.dns_servers) > MAX_OPTION_ENTRIES:
        yield _wrong("dns_servers", f"has more than {MAX_OPTION_ENTRIES} entries")
    for text in docker.dns_servers:
        try:
            ip_address(text)
        except ValueError:
            yield _wrong("dns_servers", f"{text!r} is no address, such as 10.0.0.53")


def _wrong(name: str, description: str) -> FieldViolation:
    return FieldViolation(field=f"docker.{name}", description=description)
