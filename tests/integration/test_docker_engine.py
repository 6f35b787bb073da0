"""The engine that tests start for themselves, and its images."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import docker_images
from docker_engine import Engine, UnusableError


@pytest.fixture
def own_engine(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A second engine, beside the first, whose directory has a short path."""
    engine = Engine(directory=docker_engine.directory / "second")
    try:
        engine.start()
        yield engine
    finally:
        engine.remove()


@pytest.mark.parametrize(
    ("image", "command"),
    [
        (docker_images.STATIC, ["/busybox", "echo", "well"]),
        (docker_images.BUSYBOX, ["sh", "-c", "echo well"]),
        (docker_images.MUSL, ["sh", "-c", "libc-facts | grep -q '^/lib/ld-musl' && echo well"]),
        (
            docker_images.DEBIAN,
            ["bash", "-c", "[[ -z $(ldd /bin/ls | grep 'not found') ]]; echo well"],
        ),
    ],
)
def test_each_image_runs_what_it_was_made_for(
    docker_engine: Engine, image: str, command: list[str]
):
    assert docker_engine.docker("run", "--rm", image, *command) == "well\n"


def test_a_container_reaches_a_server_on_the_gateway(docker_engine: Engine):
    with socket.create_server((docker_engine.gateway, 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"hello from the host")

        thread = threading.Thread(target=answer)
        thread.start()
        said = docker_engine.docker(
            *("run", "--rm", docker_images.BUSYBOX, "nc", docker_engine.gateway, str(port))
        )
        thread.join()
    assert said == "hello from the host"


def test_the_gateway_keeps_its_address_whatever_comes_and_goes_on_its_bridge(docker_engine: Engine):
    def mac() -> str:
        return Path(f"/sys/class/net/{docker_engine._name}/address").read_text()

    before = mac()
    port = f"{docker_engine._name}p"
    # The lowest of the ports' addresses is what a bridge without one of its own takes.
    veth = ["address", "02:00:00:00:00:01", "type", "veth"]
    subprocess.run(["ip", "link", "add", port, *veth], check=True)
    try:
        subprocess.run(["ip", "link", "set", port, "master", docker_engine._name], check=True)
        assert mac() == before
    finally:
        subprocess.run(["ip", "link", "delete", port], check=True)


def test_nothing_is_left_of_an_engine_that_was_removed_with_containers_in_it(
    docker_engine: Engine,
):
    engine = Engine(directory=docker_engine.directory / "second")
    engine.start()
    try:
        docker_images.load(engine)
        assert engine.gateway != docker_engine.gateway
        engine.docker("run", "--detach", docker_images.BUSYBOX, "sleep", "600")
    finally:
        engine.remove()
    assert not engine.directory.exists()
    assert str(engine.directory) not in Path("/proc/mounts").read_text()
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert engine._name not in links
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{engine._name}"))


def test_a_restarted_engine_has_its_address_and_its_images_still(own_engine: Engine):
    docker_images.load(own_engine)
    gateway = own_engine.gateway
    own_engine.restart()
    assert own_engine.gateway == gateway
    assert own_engine.docker("run", "--rm", docker_images.BUSYBOX, "echo", "well") == "well\n"


def test_an_engine_that_cannot_start_says_what_it_said(docker_engine: Engine):
    engine = Engine(directory=docker_engine.directory / "second", options=("--no-such-option",))
    try:
        with pytest.raises(UnusableError, match="no-such-option"):
            engine.start()
    finally:
        engine.remove()
