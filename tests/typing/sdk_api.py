"""What the types of `hodei.sdk` say; checked by pyright, never run."""

from collections.abc import AsyncGenerator, Iterator
from datetime import datetime
from typing import assert_type

from hodei.sdk import (
    AsyncClient,
    Attempt,
    Client,
    Explanation,
    Invitation,
    Job,
    JobEvent,
    JobRequest,
    JobState,
    LogChunk,
    Priority,
    Provider,
    ProviderSettings,
    ProviderTest,
    Reason,
    Server,
    ServerInfo,
    Worker,
)


def plain(client: Client, since: datetime) -> None:
    assert_type(client.submit(command=["echo", b"\xff"], timeout="2m", env={"A": "b"}), Job)
    assert_type(client.submit(script="true", priority=Priority.HIGH, retries=2), Job)
    assert_type(client.submit_many([{"command": ["true"]}, JobRequest(script="true")]), list[Job])
    assert_type(client.get("id"), Job)
    assert_type(client.wait("id", timeout=1.5), Job)
    assert_type(client.cancel("id", reason="because"), Job)
    assert_type(client.retry("id"), Job)
    assert_type(client.logs("id", follow=False, stdout_offset=3), Iterator[LogChunk])
    assert_type(client.events(), Iterator[JobEvent])
    assert_type(client.jobs(states=[JobState.FAILED, "QUEUED"], created_after=since), Iterator[Job])
    assert_type(client.workers(include_ended=True), Iterator[Worker])
    assert_type(client.drain_worker("id"), Worker)
    assert_type(client.invite_worker(name="w"), Invitation)
    assert_type(client.server_info(), ServerInfo)
    assert_type(client.servers(), list[Server])
    assert_type(client.providers(), list[Provider])
    assert_type(client.get_provider("docker"), Provider)
    assert_type(client.add_provider("box", type="docker", options={"image": "a"}), Provider)
    assert_type(client.update_provider("box", settings=ProviderSettings(priority=1)), Provider)
    assert_type(client.enable_provider("box"), Provider)
    assert_type(client.disable_provider("box"), Provider)
    assert_type(client.remove_provider("box", force=True), int)
    assert_type(client.test_provider("box"), ProviderTest)
    assert_type(client.explain("id"), Explanation)
    with client as same:
        assert_type(same, Client)


async def asynchronous(client: AsyncClient) -> None:
    assert_type(await client.submit(command=["true"]), Job)
    assert_type(await client.wait("id"), Job)
    assert_type(client.logs("id"), AsyncGenerator[LogChunk, None])
    async for job in client.jobs(limit=3):
        assert_type(job, Job)
    async with client as same:
        assert_type(same, AsyncClient)


def resources(job: Job) -> None:
    assert_type(job.state, JobState)
    assert_type(job.exit_code, int | None)
    assert_type(job.reason, Reason | None)
    assert_type(job.attempts, tuple[Attempt, ...])


def refused(client: Client) -> None:
    client.submit(comand=["true"])  # pyright: ignore[reportCallIssue]
    client.submit(command=["true"], retries="2")  # pyright: ignore[reportArgumentType]
    client.wait(7)  # pyright: ignore[reportArgumentType]
    client.jobs(state="QUEUED")  # pyright: ignore[reportCallIssue]
    client.submit_many([{"comand": ["true"]}])  # pyright: ignore[reportArgumentType]
