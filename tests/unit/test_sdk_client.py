"""The clients of the SDK, against a server that does what the test says."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing
from itertools import islice

import grpc
import pytest

from hodei.kernel.errors import (
    AlreadyExistsError,
    InvalidFieldsError,
    LimitExceededError,
    NotFoundError,
    UnavailableError,
)
from hodei.sdk import AsyncClient, Client, JobState, LogStream
from support.fake_server import FakeServer


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer().running() as server:
        yield server


@pytest.fixture
def client(fake: FakeServer) -> Iterator[Client]:
    with Client(fake.address) as client:
        yield client


def test_a_submitted_job_is_returned_as_it_was_accepted(fake: FakeServer, client: Client) -> None:
    job = client.submit(command=["echo", "hi"], name="greeting", labels={"a": "b"}, tags=["t"])
    assert (job.state, job.name, job.labels, job.tags) == ("QUEUED", "greeting", {"a": "b"}, ("t",))
    assert fake.jobs[job.id].definition.arguments == ["hi"]
    assert fake.calls == {"QueueJob": 1}


def test_of_an_id_that_is_there_already_the_job_as_it_is_now_is_returned(
    fake: FakeServer, client: Client
) -> None:
    client.submit(id="a", command=["true"])
    fake.end("a", "SUCCEEDED", exit_code=0)
    assert client.submit(id="a", command=["true"]).state is JobState.SUCCEEDED
    many = client.submit_many([{"id": "a", "command": ["true"]}, {"id": "b", "command": ["true"]}])
    assert [job.state for job in many] == ["SUCCEEDED", "QUEUED"]


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED], ids=["gone", "stopping"]
)
def test_a_submission_that_is_sent_twice_makes_one_job(
    fake: FakeServer, status: grpc.StatusCode
) -> None:
    fake.gone_for["QueueJob"] = 1
    fake.gone_as = status
    with Client([fake.address, fake.address]) as client:
        job = client.submit(command=["true"])
    assert fake.calls["QueueJob"] == 2
    assert list(fake.jobs) == [job.id]


def test_what_a_server_refuses_is_the_error_that_it_means(fake: FakeServer, client: Client) -> None:
    fake.add_job("a", name="first")
    with pytest.raises(NotFoundError, match="no job 'zz'"):
        client.get("zz")
    with pytest.raises(AlreadyExistsError, match="another definition"):
        client.submit(id="a", command=["true"], name="second")
    fake.refuses["QueueJob"] = InvalidFieldsError.of("job_definition.name", "too long")
    with pytest.raises(InvalidFieldsError) as caught:
        client.submit(command=["true"])
    assert caught.value.violations[0].field == "job_definition.name"
    fake.refuses["QueueJob"] = LimitExceededError("at most 7")
    with pytest.raises(LimitExceededError, match="at most 7"):
        client.submit(command=["true"])


def test_a_server_that_is_not_there_is_told_in_one_line_with_what_to_do() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(UnavailableError) as caught:
        client.get("a")
    text = str(caught.value)
    assert "127.0.0.1:1 (connection refused)" in text
    assert "hodei dev" in text
    assert "\n" not in text


def test_an_answer_that_takes_too_long_is_not_told_as_no_server(fake: FakeServer) -> None:
    fake.add_job("a")
    fake.gone_as = grpc.StatusCode.DEADLINE_EXCEEDED
    fake.gone_for["GetJob"] = 1
    with Client(fake.address) as client, pytest.raises(UnavailableError) as caught:
        client.get("a")
    assert f"no answer in time from the Hodei server at {fake.address}" in str(caught.value)
    assert "still goes on" in str(caught.value)
    assert "hodei dev" not in str(caught.value)


def test_cleaning_up_may_take_longer_than_other_calls(fake: FakeServer) -> None:
    with Client(fake.address, call_timeout=20.0) as client:
        assert client.clean_up_workers() == []
        assert list(client.workers()) == []
    assert fake.seconds_left["CleanUpWorkers"] > 500
    assert fake.seconds_left["ListWorkers"] < 30


def test_streams_without_any_server_fail_at_once_too() -> None:
    with Client("127.0.0.1:1") as client:
        with pytest.raises(UnavailableError):
            next(client.logs("a"))
        with pytest.raises(UnavailableError):
            next(client.events())


def test_the_next_address_is_tried_when_one_is_gone(fake: FakeServer) -> None:
    fake.add_job("a")
    with Client(f"127.0.0.1:1,{fake.address}") as client:
        assert client.get("a").id == "a"
        assert next(client.events("a")).position == "1"


def test_a_call_that_may_not_be_repeated_is_sent_once(fake: FakeServer) -> None:
    fake.add_job("a", state="FAILED")
    fake.gone_for["RetryJob"] = 1
    with Client([fake.address, fake.address]) as client, pytest.raises(UnavailableError):
        client.retry("a")
    assert fake.calls["RetryJob"] == 1


def test_a_call_that_may_not_be_repeated_finds_a_server_that_is_there_first(
    fake: FakeServer,
) -> None:
    fake.add_job("a", state="FAILED")
    with Client(["127.0.0.1:1", fake.address]) as client:
        assert client.retry("a").state is JobState.QUEUED
    assert fake.calls["RetryJob"] == 1


def test_a_wait_follows_events_and_returns_the_ended_job(fake: FakeServer, client: Client) -> None:
    fake.add_job("a")
    threading.Timer(0.05, fake.end, ["a", "FAILED"], {"code": "WORKER_LOST"}).start()
    job = client.wait("a", timeout="5s")
    assert job.state is JobState.FAILED
    assert job.reason is not None
    assert (job.reason.code, job.reason.advice) == ("WORKER_LOST", "Do better.")
    assert fake.calls == {"GetJob": 2, "StreamJobEvents": 1}


def test_a_wait_goes_on_over_broken_streams_and_sees_no_event_twice(
    fake: FakeServer, client: Client
) -> None:
    fake.add_job("a")
    for state in ("ASSIGNED", "RUNNING"):
        fake.move("a", state)
    fake.cut_after["StreamJobEvents"] = [1, 0, 2]
    seen: list[str] = []
    for event in client.events("a"):
        seen.append(event.position)
        if event.position == "3":
            fake.end("a", "SUCCEEDED", exit_code=0)
    assert seen == ["1", "2", "3", "4"]


def test_a_wait_outlasts_a_server_that_is_away_for_a_moment(
    fake: FakeServer, client: Client
) -> None:
    fake.add_job("a")
    client.get("a")
    fake.gone_for["GetJob"] = 2
    fake.end("a", "SUCCEEDED", exit_code=0)
    assert client.wait("a").state is JobState.SUCCEEDED
    fake.gone_for["GetJob"] = 1
    with pytest.raises(UnavailableError):
        client.get("a")


def test_a_wait_that_takes_too_long_says_so(fake: FakeServer, client: Client) -> None:
    fake.add_job("a")
    with pytest.raises(TimeoutError, match=r"job a had not ended after 0\.05"):
        client.wait("a", timeout=0.05)
    with pytest.raises(InvalidFieldsError, match="timeout"):
        client.wait("a", timeout="soon")


def test_output_goes_on_over_broken_streams_without_a_byte_lost_or_doubled(
    fake: FakeServer, client: Client
) -> None:
    fake.add_job("a", state="RUNNING")
    for number in range(20):
        fake.write("a", bytes([number]) * 3, stderr=number % 3 == 0)
    fake.end("a", "SUCCEEDED", exit_code=0)
    fake.cut_after["SubscribeLogs"] = [3, 0, 5, 1]
    chunks = list(client.logs("a"))
    assert [chunk.data[0] for chunk in chunks] == list(range(20))
    assert chunks[0].stream is LogStream.STDERR
    assert [chunk.offset for chunk in chunks if chunk.stream is LogStream.STDOUT][:3] == [0, 3, 6]
    assert fake.calls["SubscribeLogs"] == 5


def test_a_stream_gives_up_once_no_server_was_there_for_long_enough(fake: FakeServer) -> None:
    fake.add_job("a", state="RUNNING")
    fake.write("a", b"x")
    fake.gone_for["SubscribeLogs"] = 1000
    with Client(fake.address, reconnect_within=0.3) as client:
        client.get("a")
        with pytest.raises(UnavailableError):
            list(client.logs("a"))
    assert 2 <= fake.calls["SubscribeLogs"] <= 10


def test_offsets_stay_with_the_attempt_that_was_the_newest_at_first(
    fake: FakeServer, client: Client
) -> None:
    fake.add_job("a", state="RUNNING")
    fake.write("a", b"one")
    fake.write("a", b"two")
    fake.end("a", "SUCCEEDED", exit_code=0)
    fake.cut_after["SubscribeLogs"] = [1]
    list(client.logs("a", stdout_offset=1))
    first, second = [each for each in fake.requests if hasattr(each, "stdout_offset")]
    assert (first.attempt, second.attempt) == (0, 1)
    assert second.after_sequence == 3


def test_jobs_are_listed_over_pages_up_to_the_limit(fake: FakeServer, client: Client) -> None:
    for number in range(1200):
        fake.add_job(f"job-{number}")
    assert sum(1 for _ in client.jobs()) == 1200
    assert fake.calls["ListJobs"] == 3
    assert [job.id for job in client.jobs(limit=2)] == ["job-0", "job-1"]
    assert list(client.jobs(limit=0)) == []


def test_a_list_that_is_left_early_does_not_fetch_the_rest(
    fake: FakeServer, client: Client
) -> None:
    for number in range(1200):
        fake.add_job(f"job-{number}")
    assert len(list(islice(client.jobs(), 3))) == 3
    assert fake.calls["ListJobs"] == 1


def test_an_invitation_keeps_its_password_out_of_its_text(client: Client) -> None:
    invitation = client.invite_worker(name="w", labels={"k": "v"})
    assert "one-time-password" not in repr(invitation)
    document = invitation.to_dict()
    assert document["otp"] == "one-time-password"
    assert (document["cluster_id"], document["labels"]) == ("c1", {"k": "v"})


def test_a_plain_client_may_be_shared_between_threads(fake: FakeServer, client: Client) -> None:
    found: list[str] = []
    for name in "abcd":
        fake.add_job(name)
    threads = [
        threading.Thread(target=lambda name=name: found.append(client.get(name).id))
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list("abcd")


def test_a_closed_client_says_that_it_is_closed(fake: FakeServer) -> None:
    client = Client(fake.address)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.get("a")


async def test_streams_of_one_async_client_run_side_by_side(fake: FakeServer) -> None:
    for name in "ab":
        fake.add_job(name, state="RUNNING")
    async with AsyncClient(fake.address) as client:
        async with aclosing(client.events("a")) as of_a, aclosing(client.events("b")) as of_b:
            assert (await anext(of_a)).job_id == "a"
            assert (await anext(of_b)).job_id == "b"
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(client.wait(name)) for name in "ab"]
            fake.end("a", "SUCCEEDED", exit_code=0)
            fake.end("b", "FAILED", code="NON_ZERO_EXIT_CODE", exit_code=7)
        assert [each.result().exit_code for each in waits] == [0, 7]


def test_a_job_as_json_has_the_names_and_forms_of_the_reference(
    fake: FakeServer, client: Client
) -> None:
    fake.add_job("a", name="n")
    fake.end("a", "FAILED", code="SIGNAL_RECEIVED", signal=9)
    reason = {
        "code": "SIGNAL_RECEIVED",
        "message": "because of SIGNAL_RECEIVED",
        "advice": "Do better.",
    }
    assert client.get("a").to_dict() == {
        "id": "a",
        "name": "n",
        "state": "FAILED",
        "exit_code": None,
        "reason": reason,
        "pending_reason": None,
        "created_at": "2026-11-25T08:00:00.000000Z",
        "finished_at": "2026-11-25T08:00:02.000000Z",
        "attempts": [
            {
                "number": 1,
                "state": "FAILED",
                "worker_id": "w1",
                "exit_code": None,
                "signal": 9,
                "reason": reason,
                "started_at": "2026-11-25T08:00:01.000000Z",
                "finished_at": "2026-11-25T08:00:02.000000Z",
            }
        ],
    }
