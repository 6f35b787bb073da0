"""An engine is added to servers that run: its workers find their way, and it goes again."""

import json
from pathlib import Path

import pytest

from acceptance.docker_server import Start, containers, output
from acceptance.harness import HodeiServer, Ran, eventually
from docker_engine import Engine
from docker_images import BUSYBOX

WITHIN_S = 60

pytestmark = pytest.mark.timeout(300)


def providers(server: HodeiServer, *arguments: str) -> Ran:
    return server.cli("providers", *arguments)


def test_an_engine_is_added_to_a_running_server_used_tested_and_removed(
    start_server: Start, docker_engine: Engine, agent_bundle: Path
) -> None:
    server = start_server(local_warm_workers=0)
    options = ("-o", f"host={docker_engine.host}", "-o", f"agent_bundle={agent_bundle}")
    added = providers(server, "add", "box", "--type", "docker", *options, "-o", "max_workers=2")
    assert (added.code, added.text) == (0, "box is added (HEALTHY)\n"), added
    told = json.loads(providers(server, "test", "box", "--output", "json").text)
    assert told["usable"]
    assert {"version", "architecture", "memory", "network"} <= told["facts"].keys()
    with server.client() as client:
        # By its type, by its name, and by nothing but the image.
        jobs = [
            client.submit(command=["sh", "-c", "echo in a box"], image=BUSYBOX, provider=provider)
            for provider in ("docker", "box", "")
        ]
        for job in jobs:
            done = client.wait(job.id, timeout=WITHIN_S)
            assert (done.state, done.attempts[-1].worker_id[:4]) == ("SUCCEEDED", "box-")
            assert output(server, job.id) == b"in a box\n"

        # Killed and started again, the server has it still.
        server.kill()
        server.start()
        lasting = client.submit(command=["sleep", "600"], image=BUSYBOX)
        eventually(lambda: client.get(lasting.id).state == "RUNNING", within_s=WITHIN_S)
        # Those of the jobs before may be on their way out.
        eventually(lambda: len(list(client.workers())) == 1, within_s=WITHIN_S)
        refused = providers(server, "remove", "box")
        assert refused.code == 2
        assert "has 1 workers, 1 of them with jobs" in refused.stderr.decode()
        removed = providers(server, "remove", "box", "--force")
        assert "is being removed: 1 workers of it end first" in removed.text
        assert client.get(lasting.id).state == "RUNNING"
        client.cancel(lasting.id)
    eventually(
        lambda: "box" not in providers(server, "list").text,
        within_s=WITHIN_S,
        what="the box to be gone",
    )
    assert containers(server, docker_engine) == []
