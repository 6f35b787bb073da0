"""The image `hodei-worker`, out of a base that the engine has."""

import asyncio
import json
from pathlib import Path

import docker_images
import worker_image
from agent_bundle.build import Bundle
from docker_engine import Engine
from hodei.wire import hodei_all_in_one_pb2 as pb
from integration.agent_server import FakeServer

TAG = "hodei-test/worker:1"


async def test_a_container_of_the_worker_image_enrols_and_runs_a_job(
    docker_engine: Engine, agent_bundle: Path, tmp_path: Path
):
    version = (agent_bundle / "VERSION").read_text().strip()
    bundle = Bundle(directory=agent_bundle, version=version)
    engine = {"DOCKER_HOST": docker_engine.host}
    await asyncio.to_thread(worker_image.make, bundle, docker_images.DEBIAN, TAG, engine)
    label = f'{{{{index .Config.Labels "{worker_image.VERSION_LABEL}"}}}}'
    assert docker_engine.docker("inspect", "--format", label, TAG).strip() == version
    async with FakeServer.serving(tmp_path / "ca", host=docker_engine.gateway) as server:
        told = json.dumps(server.bootstrap(slots=1)).encode()
        process = await asyncio.create_subprocess_exec(
            *("docker", "--host", docker_engine.host, "run", "--rm", "--interactive", TAG),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        process.stdin.write(told)
        process.stdin.close()
        await server.until(lambda: server.streams)
        server.run("job", "bash", "-c", "echo $BASH_VERSION; env")
        assert (await server.result("job")).success
        assert server.log("job").startswith(b"5.")
        assert b"HODEI_ENV" not in server.log("job")
        server.stream.send(drain=pb.Drain(terminate=True))
        assert await process.wait() == 0
