"""A server's settings: where they come from, and which are refused."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from hodei.cli.main import main
from hodei.kernel.errors import InvalidFieldsError
from hodei.server.config import ServerConfig
from hodei.server.config_sources import SECTIONS, SETTINGS, EffectiveConfig, load_config


def load(
    *,
    flags: dict[str, tuple[object, str]] | None = None,
    environment: dict[str, str] | None = None,
    toml: str = "",
    tmp_path: Path | None = None,
) -> EffectiveConfig:
    file = None
    if tmp_path is not None:
        file = tmp_path / "hodei.toml"
        file.write_text(toml)
    return load_config(flags=flags or {}, file=file, environment=environment or {})


def test_without_anything_given_everything_is_at_its_default() -> None:
    loaded = load()
    assert loaded.config == ServerConfig(data_dir=Path(".hodei"))
    assert {value.source for value in loaded.values} == {"default"}


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    loaded = load(
        flags={"grpc_port": ("1", "--grpc-port")},
        environment={"HODEI_GRPC_PORT": "2", "HODEI_WORKER_PORT": "2"},
        toml="grpc_port = 3\nworker_port = 3\nhttp_port = 3\n",
        tmp_path=tmp_path,
    )
    config = loaded.config
    assert (config.grpc_port, config.worker_port, config.http_port) == (1, 2, 3)
    sources = {value.key: value.source for value in loaded.values}
    assert sources["grpc_port"] == "--grpc-port"
    assert sources["worker_port"] == "HODEI_WORKER_PORT"
    assert sources["http_port"] == f"{tmp_path / 'hodei.toml'}: http_port"
    assert sources["enroll_port"] == "default"


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "named.toml"
    file.write_text('name = "from the file"')
    loaded = load(environment={"HODEI_CONFIG_FILE": str(file)})
    assert loaded.config.name == "from the file"


DOCKER = {"HODEI_DOCKER_ENABLED": "1"}


def test_every_field_of_the_configuration_is_a_setting() -> None:
    for section, owner in SECTIONS.items():
        of_section = {each.field for each in SETTINGS.values() if each.section == section}
        assert of_section == {each.name for each in fields(owner)} - SECTIONS.keys()


def test_the_engine_and_the_image_have_the_names_that_users_know() -> None:
    engine = {"DOCKER_HOST": "tcp://a:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}
    docker = load(environment={**engine, "HODEI_WORKER_IMAGE": "tool:1"}).config.docker
    assert (docker.host, str(docker.cert_path), docker.image) == ("tcp://a:1", "/certs", "tool:1")
    own = {"HODEI_DOCKER_HOST": "tcp://b:1", "HODEI_DOCKER_IMAGE": "tool:2"}
    docker = load(environment={**engine, **own, "HODEI_WORKER_IMAGE": "tool:1"}).config.docker
    assert (docker.host, docker.image) == ("tcp://b:1", "tool:2")


def test_text_and_toml_give_the_same_values(tmp_path: Path) -> None:
    toml = """
        lease = "90s"
        dev_mode = true
        [local]
        slots = 2
        labels = { zone = "a", tier = "1" }
        agent_command = ["python", "-m", "an agent"]
        custom_resources = { licence = 3 }
    """
    environment = {
        "HODEI_LEASE": "1m30s",
        "HODEI_DEV_MODE": "1",
        "HODEI_LOCAL_SLOTS": "2",
        "HODEI_LOCAL_LABELS": "zone=a,tier=1",
        "HODEI_LOCAL_AGENT_COMMAND": "python -m 'an agent'",
        "HODEI_LOCAL_CUSTOM_RESOURCES": "licence=3",
    }
    by_file = load(toml=toml, tmp_path=tmp_path).config
    assert by_file == load(environment=environment).config
    assert by_file.lease_s == 90
    assert by_file.local.labels == {"zone": "a", "tier": "1"}
    assert by_file.local.agent_command == ("python", "-m", "an agent")
    assert by_file.local.custom_resources == {"licence": 3}


@pytest.mark.parametrize(
    ("environment", "place", "said"),
    [
        ({"HODEI_GRPC_PROT": "1"}, "HODEI_GRPC_PROT", "did you mean HODEI_GRPC_PORT?"),
        ({"HODEI_XYZZY": "1"}, "HODEI_XYZZY", "hodei config show lists the settings"),
        ({"HODEI_GRPC_PORT": "x"}, "HODEI_GRPC_PORT", "not a whole number"),
        ({"HODEI_GRPC_PORT": "-1"}, "HODEI_GRPC_PORT", "not from 0 to 65535"),
        ({"HODEI_HTTP_PORT": "50051"}, "HODEI_HTTP_PORT", "50051 is grpc_port's already"),
        ({"HODEI_LEASE": "20s"}, "HODEI_LEASE", "20 s is not from 30s to 1d"),
        ({"HODEI_LEASE": "long"}, "HODEI_LEASE", "is not a duration"),
        ({"HODEI_DEV_MODE": "maybe"}, "HODEI_DEV_MODE", "neither true nor false"),
        ({"HODEI_LISTEN_HOST": "0.0.0.0"}, "HODEI_LISTEN_HOST", "not a loopback address"),
        ({"HODEI_LOCAL_SLOTS": "0"}, "HODEI_LOCAL_SLOTS", "not from 1 to 256"),
        ({"HODEI_LOCAL_WARM_WORKERS": "9"}, "HODEI_LOCAL_WARM_WORKERS", "not from 0 to 4"),
        ({"HODEI_LOCAL_LABELS": "x"}, "HODEI_LOCAL_LABELS", "is not a pair"),
        ({"HODEI_LOCAL_AGENT_COMMAND": "'"}, "HODEI_LOCAL_AGENT_COMMAND", "is not a command"),
        ({"HODEI_DATA_DIR": ""}, "HODEI_DATA_DIR", "is empty"),
        (DOCKER | {"HODEI_DOCKER_PULL": "x"}, "HODEI_DOCKER_PULL", "always, missing, never"),
        (DOCKER | {"HODEI_DOCKER_SLOTS": "0"}, "HODEI_DOCKER_SLOTS", "not from 1 to 256"),
        (DOCKER | {"HODEI_DOCKER_MEMORY": "much"}, "HODEI_DOCKER_MEMORY", "much"),
        (DOCKER | {"HODEI_DOCKER_MOUNTS": "x"}, "HODEI_DOCKER_MOUNTS", "absolute path"),
        (DOCKER | {"HODEI_DOCKER_WARM": "Debian=1"}, "HODEI_DOCKER_WARM", "no name of an image"),
        (DOCKER | {"HODEI_DOCKER_WARM": "debian=99"}, "HODEI_DOCKER_WARM", "not from 0 to 10"),
        (DOCKER | {"HODEI_DOCKER_NETWORK": "none"}, "HODEI_DOCKER_NETWORK", "another network"),
        (DOCKER | {"HODEI_DOCKER_JOB_OPTIONS": "all"}, "HODEI_DOCKER_JOB_OPTIONS", "'all'"),
        (DOCKER | {"DOCKER_HOST": "here"}, "DOCKER_HOST", "unix://PATH"),
        (DOCKER | {"HODEI_WORKER_IMAGE": "a b"}, "HODEI_WORKER_IMAGE", "no name of an image"),
        ({"HODEI_K8S_ENABLED": "true"}, "HODEI_K8S_ENABLED", "not in this release"),
        ({"HODEI_FC_ENABLED": "yes"}, "HODEI_FC_ENABLED", "not in this release"),
    ],
)
def test_what_is_not_allowed_in_the_environment_is_refused_by_its_variable(
    environment: dict[str, str], place: str, said: str
) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        load(environment=environment)
    [violation] = caught.value.violations
    assert violation.field == place
    assert said in violation.description


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("grpc_prot = 1", "did you mean grpc_port?"),
        ("[local]\nslot = 1", "did you mean local.slots?"),
        ("local = 1", "is a table"),
        ("grpc_port = true", "True is not a whole number"),
        ("name = 7", "7 is not a text"),
        ("grpc_port = ", "cannot read"),
    ],
)
def test_what_is_not_allowed_in_the_file_is_refused_by_its_place(
    toml: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        load(toml=toml, tmp_path=tmp_path)
    assert said in str(caught.value)
    assert str(tmp_path / "hodei.toml") in str(caught.value)


def test_variables_of_clients_agents_and_absent_providers_do_no_harm() -> None:
    environment = {
        "HODEI_SERVER_ADDRESS": "x",
        "HODEI_JOB_ID": "x",
        "HODEI_DOCKER_ENABLED": "0",
        "HODEI_K8S_NAMESPACE": "x",
        "PATH": "x",
    }
    assert load(environment=environment).config == load().config


def test_fewer_workers_than_are_kept_warm_by_default_need_no_second_setting() -> None:
    config = load(environment={"HODEI_LOCAL_MAX_WORKERS": "0"}).config
    assert (config.local.max_workers, config.local.warm_workers) == (0, 0)


def test_config_show_prints_every_setting_and_where_it_comes_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HODEI_LEASE", "2m")
    assert main(["config", "show", "--set", "local.slots=7"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["lease", "2m", "HODEI_LEASE"] in lines
    assert ["local.slots", "7", "--set", "local.slots"] in lines
    assert len(lines) == len(SETTINGS) + 1
    assert main(["config", "show", "--output", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["lease"] == {"value": 120.0, "source": "HODEI_LEASE"}
    assert shown["data_dir"] == {"value": ".hodei", "source": "default"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://me:s3cret@db:5432/hodei", "postgres://me:***@db:5432/hodei"),
        (
            "postgresql://me@db/hodei?password=s3cret&x=y",
            "postgresql://me@db/hodei?password=***&x=y",
        ),
        ("postgresql:///hodei", "postgresql:///hodei"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("output", ["text", "json"])
def test_config_show_keeps_the_password_of_the_database_to_itself(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    shown: str,
    output: str,
) -> None:
    monkeypatch.setenv("HODEI_DATABASE_URL", url)
    assert main(["config", "show", "--output", output]) == 0
    told = capsys.readouterr().out
    assert shown in told
    assert "s3cret" not in told
