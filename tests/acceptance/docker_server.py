"""A server whose jobs run in containers of a real engine, and what the tests see of both."""

from collections.abc import Callable
from pathlib import Path

from acceptance.harness import HodeiServer, eventually
from docker_engine import Engine
from docker_images import BUSYBOX
from hodei.sdk import Job, JobEvent

Start = Callable[..., HodeiServer]


def start_with_docker(
    start_server: Start, engine: Engine, bundle: Path, **settings: object
) -> HodeiServer:
    """A server with both providers; local workers are made only when they are wanted."""
    plain: dict[str, object] = {
        "docker_enabled": 1,
        "docker_host": engine.host,
        "docker_agent_bundle": bundle,
        "docker_image": BUSYBOX,
        "local_warm_workers": 0,
    }
    return start_server(**(plain | settings))


def containers(server: HodeiServer, engine: Engine, *more: str) -> list[str]:
    """The containers of a server's cluster, running or not, by their ids."""
    cluster = (server.data_dir / "cluster_id").read_text().strip()
    filters = ("--filter", f"label=hodei.cluster={cluster}", *more)
    return engine.docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()


def container_of(engine: Engine, worker_id: str) -> str:
    """The id of a worker's container."""
    return engine.docker("inspect", "--format", "{{.Id}}", f"hodei-{worker_id}").strip()


def running(server: HodeiServer, job_id: str, *, within_s: float = 40) -> Job:
    """The job, once it runs."""
    with server.client() as client:

        def look() -> Job | None:
            job = client.get(job_id)
            return job if job.state == "RUNNING" else None

        return eventually(look, within_s=within_s, what=f"job {job_id} to run")


def history(server: HodeiServer, job_id: str) -> list[JobEvent]:
    """Everything that happened to a job and to the workers that were made for it."""
    with server.client() as client:
        return list(client.events(job_id, include_workers=True, follow=False))


def output(server: HodeiServer, job_id: str) -> bytes:
    """What the job's last attempt printed."""
    with server.client() as client:
        return b"".join(chunk.data for chunk in client.logs(job_id))
