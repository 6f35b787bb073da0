"""Jobs in containers of a real engine: any image, a clean environment, and refusals with their reason."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.docker_server import containers, history, output, start_with_docker
from acceptance.harness import HODEI, ROOT, HodeiServer, clean_environment, eventually, run_command
from docker_engine import Engine
from docker_images import BUSYBOX, DEBIAN, MUSL, STATIC
from hodei.sdk import ContainerOptions, Mount, PullPolicy

WITHIN_S = 60


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, docker_engine: Engine, agent_bundle: Path
) -> Iterator[HodeiServer]:
    own: list[HodeiServer] = []

    def start(**settings: object) -> HodeiServer:
        environment = {f"HODEI_{key.upper()}": str(value) for key, value in settings.items()}
        own.append(
            HodeiServer(
                data_dir=tmp_path_factory.mktemp("docker") / "data", environment=environment
            )
        )
        return own[0].start()

    try:
        yield start_with_docker(
            start,
            docker_engine,
            agent_bundle,
            docker_job_options="pull user read_only mounts network runtime pids_limit",
        )
        own[0].stop()
        assert containers(own[0], docker_engine) == []
    finally:
        for each in own:
            each.close()


def test_a_job_runs_in_any_image_and_no_container_is_left(
    server: HodeiServer, docker_engine: Engine
) -> None:
    commands = {
        STATIC: ["/busybox", "echo", "static"],
        BUSYBOX: ["sh", "-c", "echo busybox"],
        MUSL: ["/bin/libc-facts"],
        DEBIAN: ["bash", "-c", "echo debian"],
    }
    with server.client() as client:
        jobs = {
            image: client.submit(command=command, image=image)
            for image, command in commands.items()
        }
        ended = {image: client.wait(job.id, timeout=WITHIN_S) for image, job in jobs.items()}
    assert {image: job.state for image, job in ended.items()} == dict.fromkeys(jobs, "SUCCEEDED")
    said = {image: output(server, job.id) for image, job in jobs.items()}
    assert (said[STATIC], said[BUSYBOX], said[DEBIAN]) == (b"static\n", b"busybox\n", b"debian\n")
    assert said[MUSL].startswith(b"threads\naddress\n")
    # One job for each container: it goes when the job has ended.
    eventually(
        lambda: containers(server, docker_engine) == [], within_s=60, what="no container left"
    )
    workers = {job.attempts[0].worker_id for job in ended.values()}
    assert len(workers) == len(jobs)


def test_a_job_sees_the_images_environment_and_nothing_of_the_agents(server: HodeiServer) -> None:
    with server.client() as client:
        job = client.submit(
            command=["env"],
            image=BUSYBOX,
            env={"MINE": "1"},
            container=ContainerOptions(user="65534:65534", read_only=True),
        )
        assert client.wait(job.id, timeout=WITHIN_S).state == "SUCCEEDED"
        script = client.submit(
            script="id -u; touch here && echo workspace; touch /there 2>&1 || echo read-only",
            interpreter="sh",
            image=BUSYBOX,
            container=ContainerOptions(user="65534:65534", read_only=True),
        )
        client.wait(script.id, timeout=WITHIN_S)
    names = {line.partition(b"=")[0].decode() for line in output(server, job.id).splitlines()}
    own = {"HODEI_JOB_ID", "HODEI_ATTEMPT", "HODEI_WORKER_ID"}
    assert names == {"PATH", "HOSTNAME", "HOME", "MINE"} | own
    said = output(server, script.id)
    assert said.startswith(b"65534\nworkspace\n")
    assert said.endswith(b"read-only\n")


def test_the_times_of_a_workers_making_are_in_its_history(server: HodeiServer) -> None:
    with server.client() as client:
        job = client.submit(command=["echo", "x"], image=BUSYBOX)
        client.wait(job.id, timeout=WITHIN_S)
    events = {event.type: event for event in history(server, job.id)}
    steps = events["WorkerProvisioned"].details
    assert {"prepare_s", "create_s", "start_s", "container"} <= steps.keys()
    assert events["WorkerRegistered"].at <= events["WorkerReady"].at <= events["JobAccepted"].at
    assert "image" in events["WorkerProvisioningRequested"].details["kind"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--memory", "4096"], "requirements.memory_bytes"),
        (["--mount", "/not-there:/in"], "container.mounts"),
        (["--network", "nowhere"], "container.network"),
        (["--runtime", "nosuch"], "container.runtime"),
        (["--user", "nosuch"], "container.user"),
        (["--image", "hodei-test/none:1", "--pull", "never"], "image: the engine does not have"),
    ],
)
def test_what_cannot_be_had_ends_the_job_at_once_and_says_by_which_option(
    server: HodeiServer, options: list[str], said: str
) -> None:
    image = [] if "--image" in options else ["--image", BUSYBOX]
    ran = server.cli("run", *image, *options, "--", "true", within_s=30)
    assert ran.code == 125
    assert said in ran.errors
    assert len(ran.errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--image", "Busybox"], "--image"),
        (["--image", "x", "--provider", "local"], "docker"),
        (["--image", "x", "--add-host", "nothing"], "--add-host"),
        (["--image", "x", "--mount", "nothing"], "--mount"),
        (["--image", "x", "--pull", "perhaps"], "--pull"),
    ],
)
def test_what_no_engine_would_take_is_refused_before_anything_is_queued(
    server: HodeiServer, options: list[str], said: str
) -> None:
    ran = server.cli("run", *options, "--", "true")
    assert ran.code == 2
    assert said in ran.errors
    assert len(ran.errors.strip().splitlines()) == 1


def test_what_a_job_may_not_decide_is_said_while_it_waits(server: HodeiServer) -> None:
    with server.client() as client:
        job = client.submit(
            command=["true"], image=BUSYBOX, container=ContainerOptions(cap_add=("NET_ADMIN",))
        )
        waits = eventually(lambda: client.get(job.id).pending_reason, what="why it waits")
        assert "container.cap_add" in waits
        client.cancel(job.id)


def test_a_mount_and_a_pull_policy_of_the_job_are_honoured(
    server: HodeiServer, tmp_path: Path
) -> None:
    (tmp_path / "told").write_text("from outside\n")
    with server.client() as client:
        job = client.submit(
            command=["cat", "/in/told"],
            image=BUSYBOX,
            container=ContainerOptions(
                pull=PullPolicy.NEVER,
                mounts=(Mount(source=str(tmp_path), target="/in", read_only=True),),
            ),
        )
        assert client.wait(job.id, timeout=WITHIN_S).state == "SUCCEEDED"
    assert output(server, job.id) == b"from outside\n"


def test_a_job_without_an_image_stays_out_of_containers_unless_it_names_them(
    server: HodeiServer,
) -> None:
    with server.client() as client:
        plain = client.submit(command=["cat", "/proc/1/comm"])
        named = client.submit(command=["cat", "/proc/1/comm"], provider="docker")
        workers = [
            client.wait(job.id, timeout=WITHIN_S).attempts[0].worker_id for job in (plain, named)
        ]
    assert [worker.partition("-")[0] for worker in workers] == ["local", "docker"]


def test_make_runs_a_job_in_a_container(server: HodeiServer) -> None:
    ran = run_command(
        ["make", "-s", "job-docker-hello"],
        environment={"HODEI_SERVER_ADDRESS": server.address},
        cwd=ROOT,
    )
    assert ran.code == 0, ran.errors
    assert b"Hello from container" in ran.stdout


@pytest.mark.timeout(300)
def test_hostile_jobs_harm_nobody_but_themselves(
    server: HodeiServer, docker_engine: Engine
) -> None:
    hostile = {
        "kills everything": "kill -9 -1",
        "forks without end": "b() { b | b & }; b; sleep 1",
        "floods its log": "yes flood | head -c 5000000",
        "writes over the agent": "rm -rf /hodei/* ; echo x > /hodei/hodei-agent; rm -rf /hodei-work/*",
    }
    with server.client() as client:
        jobs = {
            what: client.submit(
                script=text,
                interpreter="sh",
                image=BUSYBOX,
                timeout=30,
                name=what,
                container=ContainerOptions(pids_limit=64),
            )
            for what, text in hostile.items()
        }
        good = client.submit(command=["echo", "unharmed"], image=BUSYBOX)
        assert client.wait(good.id, timeout=WITHIN_S).state == "SUCCEEDED"
        # Where a bomb leaves the agent no room to speak, its worker's lease of 60 s ends it.
        ended = {what: client.wait(job.id, timeout=200) for what, job in jobs.items()}
    assert output(server, good.id) == b"unharmed\n"
    assert ended["floods its log"].state == "SUCCEEDED"
    assert ended["kills everything"].state == "FAILED"
    eventually(
        lambda: containers(server, docker_engine) == [], within_s=90, what="no container left"
    )


def test_an_engine_that_is_not_there_is_refused_at_the_start_by_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [HODEI, "dev", "--docker", "--data-dir", tmp_path / "data", "--grpc-port", "0"],
        capture_output=True,
        env=clean_environment({"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}),
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    [line] = done.stderr.decode().strip().splitlines()
    assert "HODEI_DOCKER_ENABLED" in line
    assert "docker.sock is not there: start it" in line


def test_a_socket_without_permission_is_refused_at_the_start_with_what_to_do(
    tmp_path: Path, docker_engine: Engine
) -> None:
    socket = docker_engine.host.removeprefix("unix://")
    # What is imported first may lie where another user must not read.
    program = (
        "import asyncio, os;"
        "from hodei.providers.docker.gateway import gateway_of;"
        "from hodei.providers.docker import EngineAddress;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        f"asyncio.run(gateway_of(EngineAddress(host='unix://{socket}'), 'bridge'))"
    )
    Path(socket).parent.chmod(0o711)
    ran = run_command([str(Path(HODEI).with_name("python")), "-c", program])
    assert ran.code != 0
    assert "may not be used by the user of this server" in ran.errors


def test_the_server_shows_its_settings_of_docker(tmp_path: Path) -> None:
    shown = run_command(
        [HODEI, "config", "show", "--output", "json"],
        environment={"HODEI_DOCKER_ENABLED": "1", "HODEI_WORKER_IMAGE": "tool:1"},
    )
    values = json.loads(shown.stdout)
    assert values["docker.image"] == {"value": "tool:1", "source": "HODEI_WORKER_IMAGE"}
