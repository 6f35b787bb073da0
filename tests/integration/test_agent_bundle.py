"""The agent bundle in images that have nothing for it, or worse: through a real engine."""

import ast
import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import docker_images
from docker_engine import Engine
from hodei.kernel.version import VERSION
from hodei.wire import hodei_all_in_one_pb2 as pb
from integration.agent_server import FakeServer
from integration.container_agent import ContainerAgent

STDERR = pb.LOG_STREAM_STDERR

LOADED = r"""
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) { write(2, "loaded\n", 7); }
"""

HOSTILE = {
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "PYTHONSTARTUP": "/nowhere",
    "LC_ALL": "xx_XX.ISO-8859-1",
    "LANG": "xx_XX",
    "http_proxy": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "grpc_proxy": "http://127.0.0.1:1",
    "SSL_CERT_FILE": "/nowhere",
    "OPENSSL_CONF": "/etc/hostile.cnf",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "GRPC_DNS_RESOLVER": "none",
    "LD_LIBRARY_PATH": "/lib",
    "TMPDIR": "/nowhere",
    "TZ": "/nowhere",
    "ODD": "two\nlines = here",
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(
    docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[FakeServer]:
    directory = tmp_path_factory.mktemp("server")
    async with FakeServer.serving(directory / "ca", host=docker_engine.gateway) as fake:
        yield fake


@pytest.fixture(autouse=True)
def _forgetful(server: FakeServer) -> None:
    server.forget()


async def run(server: FakeServer, *argv: str, job_id: str = "job") -> bytes:
    server.run(job_id, *argv)
    result = await server.result(job_id)
    assert result.success, (result.reason_code, result.message, server.log(job_id, STDERR))
    return server.log(job_id)


def environment_options(environment: dict[str, str]) -> list[str]:
    return [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]


@pytest.mark.parametrize(
    ("image", "shell"),
    [
        (docker_images.STATIC, ["/busybox", "sh"]),
        (docker_images.BUSYBOX, ["sh"]),
        (docker_images.MUSL, ["sh"]),
        (docker_images.DEBIAN, ["bash"]),
    ],
)
async def test_in_any_image_a_job_runs_and_sees_what_docker_would_give_it(
    docker_engine: Engine, agent_bundle: Path, server: FakeServer, image: str, shell: list[str]
):
    options = ["--hostname", "here", *environment_options({"SEEN": "by jobs"})]
    env = "/busybox env" if image == docker_images.STATIC else "env"
    plain = docker_engine.docker("run", "--rm", *options, image, *shell, "-c", env)
    async with ContainerAgent.running(
        docker_engine, agent_bundle, image, server, options=options
    ) as agent:
        seen = (await run(server, *shell, "-c", env)).decode()
        from_the_image = {file for file in agent.mapped_files() if not file.startswith("/hodei/")}
    own = ("HODEI_JOB_ID=", "HODEI_ATTEMPT=", "HODEI_WORKER_ID=", "PWD=", "SHLVL=", "_=")
    assert {line for line in seen.splitlines() if not line.startswith(own)} == {
        line for line in plain.splitlines() if not line.startswith(own)
    }
    assert from_the_image == set()
    assert server.stream.hello.agent_version.startswith(f"{VERSION}+")


async def test_a_job_of_another_libc_gets_its_loader_and_its_preloaded_library(
    docker_engine: Engine, agent_bundle: Path, server: FakeServer
):
    options = environment_options({"LD_PRELOAD": "/lib/preload.so"})
    async with ContainerAgent.running(
        docker_engine, agent_bundle, docker_images.MUSL, server, options=options
    ) as agent:
        facts = (await run(server, "libc-facts", docker_engine.gateway)).decode().split("\n")
        assert facts[:2] == ["threads", "address"]
        assert {"/bin/libc-facts", "/lib/preload.so"} < {*facts}
        assert server.log("job", STDERR) == b"preloaded\n"
        assert "preloaded" not in agent.said()


async def test_what_an_image_sets_changes_its_jobs_and_not_the_agent(
    docker_engine: Engine, agent_bundle: Path, server: FakeServer, tmp_path: Path
):
    """Each of these would have glibc or OpenSSL load a library of the image."""
    (tmp_path / "loaded.c").write_text(LOADED)
    library = tmp_path / "libnss_loaded.so.2"
    command = ["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "loaded.c"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    library.chmod(0o755)
    inside = "/usr/lib/libnss_loaded.so.2"
    provider = (
        "openssl_conf = a\n[a]\nproviders = b\n[b]\nloaded = c\n[c]\n"
        f"module = {inside}\nactivate = 1\n"
    )
    files = {
        "/etc/ld.so.preload": inside,
        "/etc/nsswitch.conf": "hosts: loaded files dns\npasswd: loaded files\ngroup: loaded files\n",
        "/etc/hostile.cnf": provider,
        "/usr/lib/ssl/openssl.cnf": provider,
    }
    options = [*environment_options(HOSTILE), "--volume", f"{library}:{inside}:ro"]
    for number, (path, content) in enumerate(files.items()):
        (tmp_path / str(number)).write_text(content)
        (tmp_path / str(number)).chmod(0o644)
        options += ["--volume", f"{tmp_path / str(number)}:{path}:ro"]
    # A name, so that it is looked up.
    name = "server.test"
    options += ["--add-host", f"{name}:{docker_engine.gateway}"]
    async with ContainerAgent.running(
        docker_engine, agent_bundle, docker_images.DEBIAN, server, options=options, host=name
    ) as agent:
        seen = (await run(server, "env", "--null")).decode().split("\0")
        assert {f"{name}={value}" for name, value in HOSTILE.items()} <= {*seen}
        assert server.log("job", STDERR) == b"loaded\n"
        assert "loaded" not in agent.said()
        assert all(file.startswith("/hodei/") for file in agent.mapped_files())


async def test_it_needs_no_rights_no_writable_root_and_no_more_than_64_mb(
    docker_engine: Engine, agent_bundle: Path, server: FakeServer
):
    options = [
        *("--user", "1234:4321", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--memory", "64m", "--pids-limit", "64"),
    ]
    async with ContainerAgent.running(
        docker_engine, agent_bundle, docker_images.STATIC, server, options=options
    ):
        assert await run(server, "/busybox", "id", "-u") == b"1234\n"
        words = "cat /proc/1/comm; touch /x || touch here && ls; cat /proc/self/status"
        output = (await run(server, "/busybox", "sh", "-c", words, job_id="more")).decode()
        keeper, file, *status = output.splitlines()
        assert (keeper, file) == ("hodei-keeper", "here")
        assert "CapEff:\t0000000000000000" in status


async def test_a_script_runs_in_a_container_whose_root_is_read_only(
    docker_engine: Engine, agent_bundle: Path, server: FakeServer
):
    async with ContainerAgent.running(
        docker_engine, agent_bundle, docker_images.BUSYBOX, server, options=["--read-only"]
    ):
        server.run(
            "script",
            command=pb.CommandSpec(
                script=pb.ScriptCommand(interpreter="sh", content="echo one\nfalse\necho two\n")
            ),
        )
        result = await server.result("script")
        assert (result.exit_code, server.log("script")) == (1, b"one\n")


async def test_as_the_first_process_it_leaves_no_zombie_and_drains_when_it_is_stopped(
    docker_engine: Engine, agent_bundle: Path, server: FakeServer
):
    async with ContainerAgent.running(
        docker_engine, agent_bundle, docker_images.BUSYBOX, server
    ) as agent:
        await run(server, "sh", "-c", "for i in 1 2 3; do (sh -c 'true &' &); done")
        states = await run(server, "sh", "-c", "cat /proc/[0-9]*/status", job_id="states")
        assert b"State:\tR" in states
        assert b"State:\tZ" not in states
        await asyncio.to_thread(docker_engine.docker, "kill", "--signal", "TERM", agent.name)
        assert await agent.exit_code() == 0


async def test_where_it_is_not_told_the_root_it_looks_at_what_the_server_shows(
    docker_engine: Engine, agent_bundle: Path, server: FakeServer
):
    """Which needs modules that are loaded only when somebody uses them."""
    async with ContainerAgent.running(
        docker_engine, agent_bundle, docker_images.BUSYBOX, server, ca_pem=""
    ):
        assert await run(server, "echo", "here") == b"here\n"


async def test_a_signal_that_comes_before_it_is_ready_waits_for_it(
    docker_engine: Engine, agent_bundle: Path, server: FakeServer
):
    """The kernel drops what the first process of a container neither handles nor blocks."""
    async with ContainerAgent.started(docker_engine, agent_bundle, docker_images.BUSYBOX) as agent:
        await agent.until_started()
        await asyncio.to_thread(docker_engine.docker, "kill", "--signal", "TERM", agent.name)
        await agent.tell(server)
        # Drained, or ended by the signal where the agent had not come to handle it yet.
        assert await agent.exit_code() in {0, 143}


def run_bare(engine: Engine, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = ["docker", "--host", engine.host, "run", "--rm", "--read-only", *arguments]
    return subprocess.run(command, capture_output=True, check=False)


def test_it_makes_a_key_in_a_process_of_its_own_wherever_it_is_mounted(
    docker_engine: Engine, agent_bundle: Path
):
    mount = ["--volume", f"{agent_bundle}:/else/where:ro", docker_images.STATIC]
    done = run_bare(docker_engine, *mount, "/else/where/hodei-agent", "key")
    key_pem, _, request_der = done.stdout.partition(b"\0")
    key = serialization.load_pem_private_key(key_pem, password=None)
    assert x509.load_der_x509_csr(request_der).public_key() == key.public_key()


COUNTING = """
import marshal, sys
made = []
sys.addaudithook(lambda event, about: made.append(about[0]) if event == "compile" else None)
boot = marshal.loads(open(sys.argv.pop(1), "rb").read()[16:])
sys.argv[1:] = ["--help"]
try:
    exec(boot)
except SystemExit:
    preload()
print([source for source in made if source is not None])
"""


def test_it_compiles_nothing_at_its_start(agent_bundle: Path):
    """Python itself says so; the launcher is left out, since it runs the agent and nothing else."""
    (python,) = (agent_bundle / "bin").iterdir()
    loader = [agent_bundle / "lib" / "ld.so", "--library-path", agent_bundle / "lib", python]
    command = [*loader, "-I", "-S", "-c", COUNTING, agent_bundle / "boot.pyc"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    usage, _, counted = done.stdout.rstrip().rpartition("\n")
    assert usage.startswith("usage: hodei-agent")
    # The first is the program of this test itself. Names of types in quotes are compiled by `typing`.
    assert [each for each in ast.literal_eval(counted)[1:] if b" " in each] == []


def test_without_a_place_to_write_it_says_what_to_give(docker_engine: Engine, agent_bundle: Path):
    mount = ["--volume", f"{agent_bundle}:/hodei:ro", docker_images.STATIC]
    done = run_bare(docker_engine, *mount, "/hodei/hodei-agent")
    assert done.returncode == 2
    assert b"--work-dir" in done.stderr
    assert len(done.stderr.splitlines()) == 1
