"""What may be asked of a job's container, and where it is refused."""

import pytest

from hodei.domain.jobs.container_limits import is_image_name
from hodei.kernel.errors import InvalidFieldsError
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.job_definition import decode


def refused(*, image_providers: tuple[str, ...] = ("docker",), **fields: object) -> dict[str, str]:
    definition = pb.JobDefinition(command="true", **fields)
    try:
        decode(definition, known_providers=("docker", "local"), image_providers=image_providers)
    except InvalidFieldsError as error:
        return {
            each.field.removeprefix("job_definition."): each.description
            for each in error.violations
        }
    return {}


@pytest.mark.parametrize(
    "name",
    [
        "busybox",
        "debian:12",
        "library/debian",
        "localhost:5000/a/b:1.2-3_x",
        "Registry.Example.com/team/tool",
        "tool@sha256:" + "0" * 64,
        "tool:1@sha256:" + "0" * 64,
        "sha256:" + "a" * 64,
        "a__b/c-d",
    ],
)
def test_names_that_a_registry_takes_are_names_of_images(name: str):
    assert is_image_name(name)


@pytest.mark.parametrize(
    "name",
    ["Debian", "busy box", "debian:", "debian:12:1", "-x", "a//b", "a/", "/a", "x@sha256:12", "é"],
)
def test_a_name_with_a_typo_is_refused_before_anybody_is_asked_for_it(name: str):
    assert not is_image_name(name)
    assert "[REGISTRY/]NAME" in refused(image=name)["image"]


def test_an_image_longer_than_any_registry_takes_is_refused():
    assert "at most 512" in refused(image="a" * 513)["image"]


def test_an_image_goes_with_a_provider_that_runs_images():
    assert not refused(image="debian:12")
    assert not refused(image="debian:12", scheduling={"preferred_provider": "Docker"})
    local = refused(image="debian:12", scheduling={"preferred_provider": "local"})
    assert "docker" in local["image"]
    nowhere = refused(image="debian:12", image_providers=())
    assert "HODEI_DOCKER_ENABLED" in nowhere["image"]


def test_a_definition_that_a_server_has_accepted_is_read_whatever_providers_there_are():
    _, spec = decode(pb.JobDefinition(command="true", image="debian:12"), known_providers=None)
    assert spec.image == "debian:12"


def test_options_that_say_nothing_are_none():
    _, spec = decode(
        pb.JobDefinition(command="true", container={}),
        known_providers=("docker",),
        image_providers=("docker",),
    )
    assert spec.container is None


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("pull", {"pull": "sometimes"}),
        ("pids_limit", {"pids_limit": -1}),
        ("shm_bytes", {"shm_bytes": -1}),
        ("tmpfs[0]", {"tmpfs": ["scratch"]}),
        ("mounts[0].source", {"mounts": [{"source": "../x", "target": "/x"}]}),
        ("mounts[0].target", {"mounts": [{"source": "/x", "target": "x"}]}),
        ("mounts[0].target", {"mounts": [{"source": "/x", "target": "/"}]}),
        ("mounts", {"mounts": [{"source": "/x", "target": "/x"}] * 65}),
        ("network", {"network": "a b"}),
        ("extra_hosts[0]", {"extra_hosts": ["cache"]}),
        ("user", {"user": "a b"}),
        ("cap_add[0]", {"cap_add": ["net"]}),
        ("platform", {"platform": "amd64"}),
        ("runtime", {"runtime": "a/b"}),
    ],
)
def test_an_option_that_no_engine_takes_is_refused_by_name(field: str, options: dict[str, object]):
    assert list(refused(image="x", container=options)) == [f"container.{field}"]
