"""Every call of a client over real gRPC, against a real server with a worker in the test's hands."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.version import VERSION
from hodei.server.config import LocalProviderConfig
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc
from hodei.wire import provider_management_pb2 as providers_pb
from support.door import WITHIN_S, Site, Stream, Worker, result, serving

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Site]:
    async with serving(tmp_path_factory.mktemp("server")) as site:
        yield site


LIST_PROVIDERS = providers_pb.ListProvidersRequest
NOWHERE = pb.LabelSelector(match_labels={"nobody": "has-this"})
"""Of jobs that are to wait."""


def of(job_id: str) -> pb.GetJobRequest:
    return pb.GetJobRequest(job_id=pb.JobId(value=job_id))


def explain(job_id: str) -> pb.ExplainJobRequest:
    return pb.ExplainJobRequest(job_id=pb.JobId(value=job_id))


async def waiting(site: Site, **definition: object) -> str:
    return await site.queue(**({"selector": NOWHERE} | definition))


class Ran:
    """A job that a worker of its own has run to its end, with this output in chunks."""

    def __init__(self, site: Site, label: str) -> None:
        self._site = site
        self._label = label

    async def __call__(self, *chunks: bytes, **outcome: object) -> str:
        worker = await self._site.join(only=self._label)
        async with worker.stream() as stream:
            run = await started(self._site, worker, stream)
            written = 0
            for data in chunks:
                await stream.write(run, data, offset=written)
                written += len(data)
            await stream.say(result=result(run, stdout=written, **outcome))
            assert (await stream.hear("result_ack")).recorded
        return run.job_id


async def started(
    site: Site, worker: Worker, stream: Stream, **definition: object
) -> pb.RunJobCommand:
    """A job that only this worker may run, which runs."""
    selector = pb.LabelSelector(match_labels=worker.labels)
    await site.queue(selector=selector, **definition)
    run = await stream.hear("run_job")
    await stream.accept(run)
    await site.until(run.job_id, "RUNNING")
    return run


@pytest.fixture
def ran(site: Site, request: pytest.FixtureRequest) -> Ran:
    return Ran(site, request.node.name[:60].replace("[", ".").replace("]", ""))


async def fails(call: object, code: Code) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # pyright: ignore[reportGeneralTypeIssues]
    assert raised.value.code() is code, raised.value.details()
    return raised.value


def violations(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that the details of an error name."""
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(bad)
    return [each.field for each in bad.field_violations]


# Queueing


async def test_the_quick_start_works_as_it_stands(site: Site) -> None:
    queued = await site.jobs.QueueJob(
        pb.QueueJobRequest(
            job_definition=pb.JobDefinition(
                job_id=pb.JobId(value="my-first-job"),
                name="Hello World",
                command="echo",
                arguments=["Hello from Hodei!"],
            ),
            queued_by="quickstart",
        )
    )
    assert (queued.success, queued.job_id.value) == (True, "my-first-job")
    got = await site.jobs.GetJobStatus(of("my-first-job"))
    assert (got.job.name, got.status) == ("Hello World", pb.JOB_STATUS_QUEUED)
    assert got == await site.jobs.GetJob(of("my-first-job"))
    assert got.detail.queued_by == "quickstart"


async def test_a_definition_comes_back_as_it_was_given(site: Site) -> None:
    given = pb.JobDefinition(
        job_id=pb.JobId(value="given-back"),
        name="all of it",
        description="for people",
        command="prog",
        arguments=["", "a b", "$HOME"],
        environment={"A": "b"},
        working_dir="/tmp",
        stdin=b"\0\xff",
        tags=["x", "y"],
        labels={"team": "a"},
        timeout=pb.TimeoutConfig(execution_timeout=Duration(seconds=7)),
        retry=pb.RetryPolicy(max_attempts=3),
        requirements=pb.ResourceRequirements(cpu_cores=1.5, memory_bytes=1024),
        selector=NOWHERE,
        priority_set=True,
        scheduling=pb.SchedulingInfo(priority=pb.PRIORITY_HIGH),
    )
    await site.jobs.QueueJob(pb.QueueJobRequest(job_definition=given))
    got = (await site.jobs.GetJob(of("given-back"))).job
    for field, value in given.ListFields():
        if field.name not in {"timeout", "retry"}:
            assert getattr(got, field.name) == value, field.name
    assert got.timeout.execution_timeout == given.timeout.execution_timeout
    assert got.retry.max_attempts == 3


async def test_the_same_id_is_the_same_job_and_another_definition_is_refused(site: Site) -> None:
    job_id = await waiting(site, job_id=pb.JobId(value="once"))
    again = await site.jobs.QueueJob(
        pb.QueueJobRequest(
            job_definition=pb.JobDefinition(
                job_id=pb.JobId(value=job_id), command="true", selector=NOWHERE
            )
        )
    )
    assert (again.already_existed, again.job_id.value) == (True, job_id)
    error = await fails(
        waiting(site, job_id=pb.JobId(value="once"), command="false"), Code.ALREADY_EXISTS
    )
    assert "command" in (error.details() or "")


async def test_what_is_not_allowed_is_refused_by_field_all_at_once(site: Site) -> None:
    error = await fails(
        waiting(
            site,
            job_id=pb.JobId(value="../etc"),
            command="",
            timeout=pb.TimeoutConfig(execution_timeout=Duration(seconds=-1)),
        ),
        Code.INVALID_ARGUMENT,
    )
    assert violations(error) == [
        "job_definition.job_id.value",
        "job_definition.command",
        "job_definition.timeout.execution_timeout",
    ]


async def test_a_batch_is_queued_all_or_none_and_answered_in_its_order(site: Site) -> None:
    def definition(name: str, **changes: object) -> pb.JobDefinition:
        plain = {"job_id": pb.JobId(value=name), "command": "true", "selector": NOWHERE}
        return pb.JobDefinition(**(plain | changes))

    batch = [definition("batch-1"), definition("batch-2"), definition("batch-1")]
    answer = await site.jobs.QueueJobs(pb.QueueJobsRequest(job_definitions=batch))
    assert [(each.job_id.value, each.already_existed) for each in answer.jobs] == [
        ("batch-1", False),
        ("batch-2", False),
        ("batch-1", True),
    ]
    broken = [definition("batch-3"), definition("batch-4", command="")]
    error = await fails(
        site.jobs.QueueJobs(pb.QueueJobsRequest(job_definitions=broken)), Code.INVALID_ARGUMENT
    )
    assert violations(error) == ["job_definitions[1].command"]
    await fails(site.jobs.GetJob(of("batch-3")), Code.NOT_FOUND)


async def test_more_than_a_batch_may_have_is_refused_with_the_limit(site: Site) -> None:
    many = [pb.JobDefinition(command="true")] * 100_000
    error = await fails(
        site.jobs.QueueJobs(pb.QueueJobsRequest(job_definitions=many)), Code.INVALID_ARGUMENT
    )
    assert "at most 10000" in (error.details() or "")


# Reading


async def test_a_job_that_is_not_there_is_not_found_and_an_id_that_cannot_be_is_refused(
    site: Site,
) -> None:
    error = await fails(site.jobs.GetJob(of("nothing")), Code.NOT_FOUND)
    assert "hodei jobs list" in (error.details() or "")
    for request in (of(""), of("../x"), pb.GetJobRequest()):
        error = await fails(site.jobs.GetJob(request), Code.INVALID_ARGUMENT)
        assert violations(error) == ["job_id.value"]


async def test_a_finished_job_shows_its_attempt_with_its_times(site: Site, ran: Ran) -> None:
    job_id = await ran(b"hi\n", success=False, exit_code=3, reason_code="NON_ZERO_EXIT_CODE")
    got = await site.jobs.GetJob(of(job_id))
    assert (got.status, got.detail.state, got.detail.exit_code) == (
        pb.JOB_STATUS_FAILED,
        "FAILED",
        3,
    )
    assert got.detail.reason.advice
    [attempt] = got.executions
    assert (attempt.attempt, attempt.exit_code, attempt.exit_status) == (1, "3", 3)
    phases = attempt.phases
    times = [
        each.ToDatetime()
        for each in (phases.queued_at, phases.assigned_at, phases.started_at, phases.finished_at)
    ]
    assert times == sorted(times)


async def listed(site: Site, **request: object) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    token = ""
    while True:
        page = await site.jobs.ListJobs(pb.ListJobsRequest(**request, page_token=token))
        ids += [job.job_id.value for job in page.jobs]
        token = page.next_page_token
        if not token:
            assert page.total_count >= len(ids)
            return ids


async def test_lists_are_filtered_by_everything_that_can_be_asked(site: Site) -> None:
    for index in range(3):
        await waiting(
            site,
            job_id=pb.JobId(value=f"listed-{index}"),
            name=f"List Me {index % 2}",
            labels={"suite": "list", "n": str(index)},
            tags=["listed", f"t{index}"],
        )
    await site.cancel("listed-1")
    suite = {"suite": "list"}
    assert await listed(site, labels=suite) == ["listed-2", "listed-1", "listed-0"]
    assert await listed(site, labels={"suite": "list", "n": "0"}) == ["listed-0"]
    assert await listed(site, tags=["listed", "t2"]) == ["listed-2"]
    assert await listed(site, name="List Me 1") == ["listed-1"]
    assert await listed(site, search_term="list me") == ["listed-2", "listed-1", "listed-0"]
    assert await listed(site, search_term="LISTED-2") == ["listed-2"]
    assert await listed(site, labels=suite, status=pb.JOB_STATUS_CANCELLED) == ["listed-1"]
    assert await listed(
        site, labels=suite, statuses=[pb.JOB_STATUS_QUEUED, pb.JOB_STATUS_RUNNING]
    ) == ["listed-2", "listed-0"]
    created = [(await site.get(f"listed-{index}")).detail.created_at for index in range(3)]
    assert await listed(site, labels=suite, created_after=created[1]) == ["listed-2", "listed-1"]
    assert await listed(site, labels=suite, created_before=created[1]) == ["listed-0"]
    assert await listed(site, labels={"suite": "none"}) == []


async def test_pages_neither_repeat_nor_leave_out_while_jobs_come(site: Site) -> None:
    labels = {"suite": "pages"}
    for index in range(7):
        await waiting(site, job_id=pb.JobId(value=f"page-{index}"), labels=labels)
    first = await site.jobs.ListJobs(pb.ListJobsRequest(labels=labels, page_size=3))
    assert (first.total_count, len(first.jobs)) == (7, 3)
    await waiting(site, labels=labels)
    rest = await site.jobs.ListJobs(
        pb.ListJobsRequest(labels=labels, page_size=10, page_token=first.next_page_token)
    )
    shown = [job.job_id.value for job in (*first.jobs, *rest.jobs)]
    assert shown == [f"page-{index}" for index in reversed(range(7))]
    assert not rest.next_page_token
    by_offset = await site.jobs.ListJobs(pb.ListJobsRequest(labels=labels, limit=2, offset=1))
    assert [job.job_id.value for job in by_offset.jobs] == ["page-6", "page-5"]


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        ({"page_size": 1001}, ["page_size"]),
        ({"limit": -1}, ["limit"]),
        ({"limit": 1, "page_size": 1}, ["limit"]),
        ({"offset": -1}, ["offset"]),
        ({"offset": 1, "page_token": "x"}, ["offset"]),
        ({"page_token": "x"}, ["page_token"]),
        ({"status": 99}, ["status"]),
        ({"statuses": [1, 99]}, ["statuses[1]"]),
        ({"created_after": Timestamp(seconds=10**12)}, ["created_after"]),
    ],
)
async def test_a_list_that_cannot_be_is_refused_by_field(
    site: Site, request_: dict[str, object], fields: list[str]
) -> None:
    error = await fails(site.jobs.ListJobs(pb.ListJobsRequest(**request_)), Code.INVALID_ARGUMENT)
    assert violations(error) == fields


# Changing


async def test_a_waiting_job_is_cancelled_at_once_and_twice_is_once(site: Site) -> None:
    job_id = await waiting(site)
    request = pb.CancelJobRequest(
        job_id=pb.JobId(value=job_id), reason="no need", cancelled_by="me"
    )
    for _ in range(2):
        answer = await site.jobs.CancelJob(request)
        assert (answer.success, answer.message) == (True, "cancelled")
    got = await site.get(job_id)
    assert got.detail.reason.message == "cancelled by me: no need"


async def test_a_job_that_has_ended_otherwise_cannot_be_cancelled(site: Site, ran: Ran) -> None:
    job_id = await ran()
    request = pb.CancelJobRequest(job_id=pb.JobId(value=job_id))
    error = await fails(site.jobs.CancelJob(request), Code.FAILED_PRECONDITION)
    assert "SUCCEEDED" in (error.details() or "")
    await fails(
        site.jobs.CancelJob(pb.CancelJobRequest(job_id=pb.JobId(value="nothing"))), Code.NOT_FOUND
    )


async def test_a_job_that_has_failed_is_run_again_by_hand_under_its_id(
    site: Site, ran: Ran
) -> None:
    job_id = await ran(success=False, exit_code=1, reason_code="NON_ZERO_EXIT_CODE")
    request = pb.RetryJobRequest(job_id=pb.JobId(value=job_id), requested_by="me")
    answer = await site.jobs.RetryJob(request)
    assert (answer.job_id.value, answer.attempt) == (job_id, 2)
    assert await site.state(job_id) == "QUEUED"
    await fails(site.jobs.RetryJob(request), Code.FAILED_PRECONDITION)


async def test_free_text_of_requests_has_its_limits(site: Site) -> None:
    job_id = await waiting(site)
    for call, field in (
        (
            site.jobs.CancelJob(pb.CancelJobRequest(job_id=of(job_id).job_id, reason="x" * 9999)),
            "reason",
        ),
        (
            site.jobs.RetryJob(pb.RetryJobRequest(job_id=of(job_id).job_id, requested_by="a\nb")),
            "requested_by",
        ),
    ):
        assert violations(await fails(call, Code.INVALID_ARGUMENT)) == [field]


# Following


async def events(site: Site, **request: object) -> list[pb.JobEvent]:
    async with asyncio.timeout(WITHIN_S):
        stream = site.jobs.StreamJobEvents(pb.StreamJobEventsRequest(**request))
        return [event async for event in stream]


async def test_a_jobs_events_tell_its_whole_life_and_can_be_resumed_anywhere(
    site: Site, ran: Ran
) -> None:
    job_id = await ran()
    whole = await events(site, job_id=pb.JobId(value=job_id), follow=True)
    assert [event.type for event in whole] == [
        "JobCreated",
        "JobQueued",
        "JobAssigned",
        "JobAccepted",
        "JobSucceeded",
    ]
    assert [event.state for event in whole][-1] == "SUCCEEDED"
    for index, event in enumerate(whole):
        rest = await events(
            site, job_id=pb.JobId(value=job_id), after_position=event.position, follow=True
        )
        assert rest == whole[index + 1 :]


async def test_events_that_are_there_at_once_come_in_one_message_where_the_client_reads_such(
    site: Site, ran: Ran
) -> None:
    job_id = pb.JobId(value=await ran())
    one_by_one = await events(site, job_id=job_id)
    assert not any(event.more for event in one_by_one)
    [first] = await events(site, job_id=job_id, packed=True)
    assert not any(event.more for event in first.more)
    packed = [first, *first.more]
    assert [event.position for event in packed] == [event.position for event in one_by_one]
    assert [event.type for event in packed] == [event.type for event in one_by_one]


async def test_following_from_the_position_of_a_job_misses_nothing(site: Site) -> None:
    job_id = await waiting(site)
    position = (await site.get(job_id)).detail.position
    following = asyncio.timeout(WITHIN_S)
    async with following:
        stream = site.jobs.StreamJobEvents(
            pb.StreamJobEventsRequest(
                job_id=pb.JobId(value=job_id), after_position=position, follow=True
            )
        )
        await site.cancel(job_id)
        seen = [event.type async for event in stream]
    assert seen == ["JobCancelRequested", "JobCancelled"]


async def test_all_events_are_followed_without_naming_a_job(site: Site) -> None:
    position = (await site.server.GetServerInfo(pb.GetServerInfoRequest())).position
    stream = site.jobs.StreamJobEvents(
        pb.StreamJobEventsRequest(after_position=position, follow=True)
    )
    job_id = await waiting(site)
    async with asyncio.timeout(WITHIN_S):
        first = await stream.read()
    stream.cancel()
    assert (first.job_id, first.type) == (job_id, "JobCreated")
    history = await events(site)
    assert job_id in {event.job_id for event in history}
    assert [int(event.position) for event in history] == sorted(
        int(event.position) for event in history
    )


async def test_streams_that_cannot_be_are_refused(site: Site) -> None:
    async def read(request: pb.StreamJobEventsRequest) -> None:
        async for _ in site.jobs.StreamJobEvents(request):
            pass

    request = pb.StreamJobEventsRequest(job_id=pb.JobId(value="nothing"), follow=True)
    await fails(read(request), Code.NOT_FOUND)
    request = pb.StreamJobEventsRequest(after_position="elsewhere")
    assert violations(await fails(read(request), Code.INVALID_ARGUMENT)) == ["after_position"]


async def test_the_originals_event_stream_tells_of_attempts_and_resumes(
    site: Site, ran: Ran
) -> None:
    job_id = await ran()

    async def executions(value: str, after: str = "") -> list[pb.JobExecution]:
        async with asyncio.timeout(WITHIN_S):
            stream = site.jobs.ExecutionEventStream(
                pb.ExecutionId(value=value, after_position=after)
            )
            return [execution async for execution in stream]

    whole = await executions(job_id)
    assert [each.state for each in whole] == [
        pb.EXECUTION_STATE_STARTING,
        pb.EXECUTION_STATE_RUNNING,
        pb.EXECUTION_STATE_COMPLETED,
    ]
    assert await executions(f"{job_id}/1") == whole
    assert await executions(f"{job_id}/2") == []
    assert await executions(job_id, whole[0].position) == whole[1:]


# Logs


async def read_log(site: Site, job_id: str, **request: object) -> list[pb.JobLogEntry]:
    async with asyncio.timeout(WITHIN_S):
        plain = {"job_id": job_id, "include_history": True}
        stream = site.logs.SubscribeLogs(pb.SubscribeLogsRequest(**(plain | request)))
        return [entry async for entry in stream]


async def test_output_is_read_as_lines_or_as_exact_bytes_from_any_offset(
    site: Site, ran: Ran
) -> None:
    whole = b"one\r\ntwo\n\n\xffthree"
    job_id = await ran(whole[:6], whole[6:])
    lines = await read_log(site, job_id)
    assert [entry.line for entry in lines] == ["one", "two", "", "\ufffdthree"]
    assert b"".join(entry.data for entry in lines) == whole
    for offset in range(len(whole) + 1):
        raw = await read_log(site, job_id, raw=True, stdout_offset=offset)
        assert b"".join(entry.data for entry in raw) == whole[offset:], offset
    after = await read_log(site, job_id, after_sequence=lines[1].sequence)
    assert [entry.line for entry in after] == ["", "\ufffdthree"]


@pytest.mark.parametrize("lines", [1, 2, 4, 99])
async def test_the_last_lines_are_read_however_far_back_they_begin(
    site: Site, ran: Ran, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.api.grpc.logs._TAIL_BYTES", 4)
    job_id = await ran(b"a long first line\nsecond\n", b"third\nlast")
    shown = await read_log(site, job_id, tail_lines=lines, include_history=False)
    whole = ["a long first line", "second", "third", "last"]
    assert [entry.line for entry in shown] == whole[-lines:]


async def test_a_log_is_followed_live_and_ends_with_its_job(site: Site) -> None:
    worker = await site.join(only="live-log")
    async with worker.stream() as stream:
        run = await started(site, worker, stream)
        await stream.write(run, b"old\n")
        await stream.hear("log_acks")
        request = pb.SubscribeLogsRequest(job_id=run.job_id, include_history=True)
        whole = site.logs.SubscribeLogs(request)
        async with asyncio.timeout(WITHIN_S):
            assert (await whole.read()).line == "old"
            await stream.write(run, b"new\n", offset=4)
            assert (await whole.read()).line == "new"
            history = await read_log(site, run.job_id, follow=False)
            assert [entry.line for entry in history] == ["old", "new"]
            await stream.say(result=result(run, stdout=8))
            assert await whole.read() is grpc.aio.EOF


async def test_a_reader_that_wants_no_history_gets_what_comes(site: Site) -> None:
    worker = await site.join(only="no-history")
    async with worker.stream() as stream:
        run = await started(site, worker, stream)
        await stream.write(run, b"old\n")
        await stream.hear("log_acks")
        live = site.logs.SubscribeLogs(pb.SubscribeLogsRequest(job_id=run.job_id))
        first = asyncio.ensure_future(live.read())  # noqa: TID251 - read while the test goes on
        offset = 4
        # No answer tells when the call has begun: what it gets is something of what comes after.
        while not first.done():
            await stream.write(run, b"new\n", offset=offset)
            await stream.hear("log_acks")
            offset += 4
        assert (await first).line == "new"
        live.cancel()


async def test_pages_of_a_log_say_whether_there_is_more(site: Site, ran: Ran) -> None:
    job_id = await ran(b"1\n2\n3\n4\n5\n")
    seen: list[str] = []
    sequence, more = 0, [True]
    while more[-1]:
        page = await site.logs.GetLogs(
            pb.GetLogsRequest(job_id=job_id, limit=2, since_sequence=sequence)
        )
        seen += [entry.line for entry in page.entries]
        sequence = page.entries[-1].sequence
        more.append(page.has_more)
    assert (seen, more[1:]) == (["1", "2", "3", "4", "5"], [True, True, False])
    raw = await site.logs.GetLogs(pb.GetLogsRequest(job_id=job_id, raw=True))
    assert b"".join(entry.data for entry in raw.entries) == b"1\n2\n3\n4\n5\n"


async def test_a_page_of_a_log_is_never_too_large_to_be_sent(
    site: Site, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.api.grpc.logs._MOST_ANSWER_BYTES", 100_000)
    line = b"x" * 50_000 + b"\n"
    job_id = await ran(*[line] * 10)
    seen = sequence = 0
    while True:
        page = await site.logs.GetLogs(pb.GetLogsRequest(job_id=job_id, since_sequence=sequence))
        seen += len(page.entries)
        assert len(page.entries) <= 4
        if not page.has_more:
            break
        sequence = page.entries[-1].sequence
    assert seen == 10


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"tail_lines": -1}, "tail_lines"),
        ({"tail_lines": 100_001}, "tail_lines"),
        ({"stdout_offset": -1}, "stdout_offset"),
        ({"stderr_offset": -1}, "stderr_offset"),
        ({"after_sequence": -1}, "after_sequence"),
        ({"attempt": 3}, "attempt"),
        ({"job_id": ""}, "job_id"),
    ],
)
async def test_a_log_that_cannot_be_read_so_is_refused_by_field(
    site: Site, request_: dict[str, object], field: str
) -> None:
    job_id = await waiting(site)
    error = await fails(read_log(site, **({"job_id": job_id} | request_)), Code.INVALID_ARGUMENT)
    assert violations(error) == [field]


async def test_pages_that_cannot_be_are_refused(site: Site) -> None:
    job_id = await waiting(site)
    for request, field in (
        (pb.GetLogsRequest(job_id=job_id, limit=-1), "limit"),
        (pb.GetLogsRequest(job_id=job_id, limit=10_001), "limit"),
        (pb.GetLogsRequest(job_id=job_id, since_sequence=-1), "since_sequence"),
    ):
        assert violations(await fails(site.logs.GetLogs(request), Code.INVALID_ARGUMENT)) == [field]
    await fails(site.logs.GetLogs(pb.GetLogsRequest(job_id="nothing")), Code.NOT_FOUND)


# Workers and the server


async def test_workers_are_listed_shown_and_drained(site: Site) -> None:
    worker = await site.join(only="shown")
    async with worker.stream(slots=3) as stream:
        run = await started(site, worker, stream)
        await stream.say(heartbeat=pb.WorkerHeartbeat(cpu_percent=50.0, memory_bytes=7))
        shown = await site.worker(worker.id)
        assert (shown.state, shown.slots, shown.slots_used) == ("BUSY", 3, 1)
        assert (list(shown.job_ids), shown.connected) == ([run.job_id], True)
        assert (shown.provider, shown.labels["only"]) == ("static", "shown")
        drained = await site.workers.DrainWorker(
            pb.DrainWorkerRequest(worker_id=worker.id, requested_by="me")
        )
        assert drained.worker.state == "DRAINING"
        await stream.hear("drain")
        await stream.say(result=result(run))
        await stream.hear("result_ack")
    ids: list[str] = []
    token = ""
    while True:
        page = await site.workers.ListWorkers(
            pb.ListWorkersRequest(include_ended=True, page_size=1, page_token=token)
        )
        ids += [each.id for each in page.workers]
        token = page.next_page_token
        if not token:
            break
    assert worker.id in ids
    assert len(set(ids)) == len(ids)


async def test_workers_that_are_not_there_or_cannot_be_are_refused(site: Site) -> None:
    await fails(site.workers.GetWorker(pb.GetWorkerRequest(worker_id="nobody")), Code.NOT_FOUND)
    await fails(site.workers.DrainWorker(pb.DrainWorkerRequest(worker_id="nobody")), Code.NOT_FOUND)
    error = await fails(
        site.workers.ListWorkers(pb.ListWorkersRequest(page_size=1001)), Code.INVALID_ARGUMENT
    )
    assert violations(error) == ["page_size"]
    error = await fails(
        site.workers.InviteWorker(pb.InviteWorkerRequest(name="a\n", labels={"": "x"})),
        Code.INVALID_ARGUMENT,
    )
    assert len(violations(error)) == 2


# Providers, and why a job is where it is


async def test_providers_are_listed_by_every_filter_and_shown_by_name(tmp_path: Path) -> None:
    async with serving(tmp_path, local=LocalProviderConfig(max_workers=0, warm_workers=0)) as site:
        [config] = (await site.providers.ListProviders(LIST_PROVIDERS())).providers
        assert (config.id, config.name) == ("local", "local")
        assert config.provider_type == providers_pb.PROVIDER_TYPE_LOCAL
        assert config.status == providers_pb.PROVIDER_STATUS_ACTIVE
        assert config.breaker.state == providers_pb.CIRCUIT_STATE_CLOSED
        assert (config.max_workers, config.active_workers, config.is_kept_here) == (0, 0, True)
        for request, count in (
            (LIST_PROVIDERS(provider_type=providers_pb.PROVIDER_TYPE_LOCAL), 1),
            (LIST_PROVIDERS(provider_type=providers_pb.PROVIDER_TYPE_DOCKER), 0),
            (LIST_PROVIDERS(status=providers_pb.PROVIDER_STATUS_ACTIVE), 1),
            (LIST_PROVIDERS(status=providers_pb.PROVIDER_STATUS_UNHEALTHY), 0),
            (LIST_PROVIDERS(only_with_capacity=True), 0),
        ):
            answer = await site.providers.ListProviders(request)
            assert len(answer.providers) == count, request
        named = providers_pb.GetProviderRequest(provider_id="LOCAL")
        assert (await site.providers.GetProvider(named)).provider == config
        unknown = providers_pb.GetProviderRequest(provider_id="nothing")
        error = await fails(site.providers.GetProvider(unknown), Code.NOT_FOUND)
        assert "hodei providers list" in (error.details() or "")


async def test_a_job_is_explained_while_it_waits_and_after_its_end(site: Site, ran: Ran) -> None:
    worker = await site.join(only="explained")
    async with worker.stream():
        await site.until_worker(worker.id, lambda shown: shown.connected)
        waits = await waiting(site)
        told = await site.jobs.ExplainJob(explain(waits))
        assert (told.job_id.value, told.state) == (waits, "QUEUED")
        assert told.summary == (await site.get(waits)).detail.pending_reason
        [candidate] = [each for each in told.candidates if each.name == worker.id]
        assert candidate.kind == pb.CANDIDATE_KIND_WORKER
        assert list(candidate.misfits) == ["its label nobody is 'not set', not 'has-this'"]
        assert (candidate.provider, candidate.now) == ("static", "")
    told = await site.jobs.ExplainJob(explain(await ran()))
    assert "succeeded: no other was needed" in told.summary
    assert ([each.attempt for each in told.attempts], list(told.candidates)) == ([1], [])


async def test_a_job_that_is_not_there_cannot_be_explained(site: Site) -> None:
    await fails(site.jobs.ExplainJob(explain("nobody")), Code.NOT_FOUND)
    error = await fails(site.jobs.ExplainJob(explain("")), Code.INVALID_ARGUMENT)
    assert violations(error) == ["job_id.value"]


async def test_an_invitation_has_all_that_an_agent_needs(site: Site) -> None:
    told = await site.workers.InviteWorker(pb.InviteWorkerRequest(name="mine", labels={"a": "b"}))
    assert told.enroll_address == site.addresses.enroll
    assert told.worker_address == site.addresses.worker
    assert told.ca_fingerprint.startswith("sha256:")
    assert len(told.otp) >= 43
    left = told.expires_at.ToDatetime() - (await _created(site, told.worker_id))
    assert timedelta(seconds=299) < left <= timedelta(seconds=300)


async def _created(site: Site, worker_id: str) -> object:
    return (await site.worker(worker_id)).created_at.ToDatetime()


async def test_the_server_says_what_it_is_and_what_it_has_counted(site: Site) -> None:
    info = await site.server.GetServerInfo(pb.GetServerInfoRequest())
    assert (info.version, list(info.providers)) == (VERSION, [])
    assert info.cluster_id
    assert int(info.position) >= 0


async def test_the_health_service_says_serving_for_each_service(site: Site) -> None:
    health = health_pb2_grpc.HealthStub(site.channel)
    for service in ("", "hodei.JobExecutionService", "hodei.LogStreamService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    request = health_pb2.HealthCheckRequest(service="hodei.Nothing")
    await fails(health.Check(request), Code.NOT_FOUND)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_tells_of_services_and_their_messages(site: Site, version: str) -> None:
    call = site.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = {each.name for each in (await call.read()).list_services_response.service}
    assert listed >= {
        "hodei.JobExecutionService",
        "hodei.LogStreamService",
        "hodei.WorkerService",
        "hodei.ServerService",
        "hodei.WorkflowService",
        "hodei.providers.ProviderManagementService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    symbol = "hodei.JobExecutionService"
    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
    files: Sequence[bytes] = (await call.read()).file_descriptor_response.file_descriptor_proto
    assert any(b"JobDefinition" in each for each in files)
    call.cancel()


# Starts and stops


async def test_a_restarted_server_has_every_job_and_byte_and_the_same_ports(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as site:
        worker = await site.join(only="survivor")
        async with worker.stream() as stream:
            run = await started(site, worker, stream)
            await stream.write(run, b"before\n")
            await stream.hear("log_acks")
        waits = await waiting(site)
        first = site.addresses
    async with serving(tmp_path) as site:
        assert site.addresses == first
        assert await site.state(waits) == "QUEUED"
        assert await site.state(run.job_id) == "RUNNING"
        worker.site = site
        held = pb.HeldJob(job_id=run.job_id, attempt=1, token=run.token, started=True)
        async with worker.stream(held) as stream:
            [verdict] = (await stream.hear("welcome")).verdicts
            assert (verdict.keep, verdict.stored[0].offset) == (True, 7)
            await stream.write(run, b"after\n", offset=7)
            await stream.say(result=result(run, stdout=13))
            assert (await stream.hear("result_ack")).recorded
        lines = await read_log(site, run.job_id)
        assert [entry.line for entry in lines] == ["before", "after"]


async def test_a_server_that_stops_says_so_first_and_ends_open_calls(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        # A connection that is not closed before the server is.
        channel = grpc.aio.insecure_channel(site.addresses.grpc)
        watching = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service="")
        )
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        following = rpc.JobExecutionServiceStub(channel).StreamJobEvents(
            pb.StreamJobEventsRequest(follow=True)
        )
        await waiting(site)
        await following.read()
    async with asyncio.timeout(WITHIN_S):
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await fails(_drained(following), Code.UNAVAILABLE)
    await channel.close()


async def _drained(stream: grpc.aio.UnaryStreamCall[Any, Any]) -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


async def test_a_server_that_would_let_strangers_in_or_cannot_be_is_refused_by_setting(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidFieldsError) as raised:
        async with serving(tmp_path, listen_host="0.0.0.0", lease_s=1.0):
            pass
    assert [each.field for each in raised.value.violations] == ["lease", "listen_host"]
