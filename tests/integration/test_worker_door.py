"""Who may speak at the workers' doors and what becomes of it: real listeners, TLS and stores."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest

from hodei.adapters.pki import FileCertificateAuthority
from hodei.kernel.ids import ClusterId, WorkerId
from hodei.lifecycle.system_clock import SystemClock
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc
from support.door import Key, Site, Stream, Worker, held, result, serving

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def running(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Site]:
    """One server for all: every test brings workers of its own, by a label of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hodei.api.grpc.handshakes._WITHIN_S", 0.1)
        async with serving(tmp_path_factory.mktemp("server")) as site:
            yield site


@pytest.fixture
async def site(running: Site) -> Site:
    """The server, in which no job of another test waits."""
    return running


async def refused(site: Site, worker_id: str, otp: str, key: Key | None = None) -> Code:
    before = (await site.counters()).get("enrolments_refused", 0)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await site.register(worker_id, otp, key or Key.make())
    assert (await site.counters())["enrolments_refused"] == before + 1
    return raised.value.code()


async def ordered(
    site: Site, worker: Worker, stream: Stream, **definition: object
) -> pb.RunJobCommand:
    """A job that only this worker may run, as it is told to."""
    await stream.hear("welcome")
    selector = pb.LabelSelector(match_labels=worker.labels)
    job_id = await site.queue(selector=selector, **definition)
    run = await stream.hear("run_job")
    assert run.job_id == job_id
    return run


# Enrolment


async def test_a_password_is_good_once_and_again_for_the_same_key_only(site: Site) -> None:
    invitation, key = await site.invite(), Key.make()
    first = await site.register(invitation.worker_id, invitation.otp, key)
    again = await site.register(invitation.worker_id, invitation.otp, key)
    assert first.chain_pem == again.chain_pem
    assert first.worker_address == site.addresses.worker
    assert await refused(site, invitation.worker_id, invitation.otp) is Code.PERMISSION_DENIED


async def test_a_password_of_another_worker_or_of_nobody_is_refused(site: Site) -> None:
    one, other = await site.invite(), await site.invite()
    assert await refused(site, other.worker_id, one.otp) is Code.UNAUTHENTICATED
    assert await refused(site, "nobody", one.otp) is Code.UNAUTHENTICATED
    assert await refused(site, one.worker_id, "guess") is Code.UNAUTHENTICATED


async def test_a_password_that_comes_late_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    invitation = await site.invite()
    later = SystemClock().now() + timedelta(seconds=301)
    monkeypatch.setattr(SystemClock, "now", lambda _: later)
    assert await refused(site, invitation.worker_id, invitation.otp) is Code.UNAUTHENTICATED


async def test_an_id_that_can_be_nobodys_and_a_request_that_is_none_are_refused(site: Site) -> None:
    invitation = await site.invite()
    assert await refused(site, "no id\n", "x") is Code.INVALID_ARGUMENT
    broken = Key(pem=b"", csr_der=b"none")
    code = await refused(site, invitation.worker_id, invitation.otp, broken)
    assert code is Code.INVALID_ARGUMENT


async def test_an_agent_of_another_release_is_told_so_at_both_doors(site: Site) -> None:
    invitation, key = await site.invite(), Key.make()
    for version, code, words in (
        ("99.0.0", Code.FAILED_PRECONDITION, "upgrade the server first"),
        ("", Code.INVALID_ARGUMENT, "worker_info.version: is ''"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await site.register(invitation.worker_id, invitation.otp, key, version=version)
        assert raised.value.code() is code
        assert words in (raised.value.details() or "")
    # Neither has used the password up.
    await site.register(invitation.worker_id, invitation.otp, key)
    worker = await site.join()
    for version, code in (("99.0.0", Code.UNAVAILABLE), ("latest", Code.INVALID_ARGUMENT)):
        async with worker.stream(version=version) as stream:
            assert (await stream.ended())[0] is code


async def test_a_flood_of_bytes_at_the_enrolment_port_is_not_read(site: Site) -> None:
    invitation = await site.invite()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await site.register(invitation.worker_id, "x" * 2**20, Key.make())
    assert raised.value.code() is Code.RESOURCE_EXHAUSTED


async def test_each_port_serves_its_own_calls_only(site: Site) -> None:
    worker = await site.join()
    async with worker.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.WorkerAgentServiceStub(channel).Register(pb.RegisterWorkerRequest())
        assert raised.value.code() is Code.UNIMPLEMENTED
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.JobExecutionServiceStub(channel).GetJob(pb.GetJobRequest())
        assert raised.value.code() is Code.UNIMPLEMENTED
    credentials = grpc.ssl_channel_credentials(site.root_pem)
    names = (("grpc.ssl_target_name_override", "hodei-server"),)
    async with grpc.aio.secure_channel(site.addresses.enroll, credentials, names) as channel:
        stream = Stream(rpc.WorkerAgentServiceStub(channel).WorkerStream())
        assert (await stream.ended())[0] is Code.UNIMPLEMENTED
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.WorkerAgentServiceStub(channel).RenewCertificate(pb.RenewCertificateRequest())
        assert raised.value.code() is Code.UNIMPLEMENTED


# Certificates


async def test_a_certificate_of_another_ca_or_none_opens_no_stream(
    site: Site, tmp_path: Path
) -> None:
    worker = await site.join()
    clock = SystemClock()
    other = FileCertificateAuthority.open(
        tmp_path, cluster_id=ClusterId("x"), server_names=(), server_addresses=(), clock=clock
    )
    issued = other.issue_worker(worker.key.csr_der, WorkerId(worker.id), clock.now())
    worker.chain_pem = issued.chain_pem
    before = (await site.counters()).get("handshakes_refused", 0)
    async with worker.opening() as stream:
        assert (await stream.ended())[0] is Code.UNAVAILABLE
    await site.until_counted("handshakes_refused", before + 1)
    credentials = grpc.ssl_channel_credentials(site.root_pem)
    names = (("grpc.ssl_target_name_override", "hodei-server"),)
    async with grpc.aio.secure_channel(site.addresses.worker, credentials, names) as channel:
        stream = Stream(rpc.WorkerAgentServiceStub(channel).WorkerStream())
        assert (await stream.ended())[0] is Code.UNAVAILABLE


def backdate(monkeypatch: pytest.MonkeyPatch, age: timedelta) -> None:
    """Certificates are issued as if it had been so long ago."""
    issue = FileCertificateAuthority.issue_worker
    monkeypatch.setattr(
        FileCertificateAuthority,
        "issue_worker",
        lambda self, csr, worker_id, now: issue(self, csr, worker_id, now - age),
    )


async def test_a_certificate_that_has_expired_opens_no_stream(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    backdate(monkeypatch, timedelta(hours=4, minutes=5))
    worker = await site.join()
    async with worker.opening() as stream:
        assert (await stream.ended())[0] is Code.UNAVAILABLE


async def test_a_stream_ends_with_its_certificate(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await site.join()
    left = timedelta(seconds=0.5)
    authority = FileCertificateAuthority.identify

    def identify(self: FileCertificateAuthority, pem: bytes) -> object:
        return replace(authority(self, pem), not_after=SystemClock().now() + left)

    monkeypatch.setattr(FileCertificateAuthority, "identify", identify)
    async with worker.stream() as stream:
        await stream.hear("welcome")
        code, why = await stream.ended()
        assert (code, "expired" in why) == (Code.ABORTED, True)


async def test_a_certificate_of_long_ago_is_refused_and_counted_and_a_renewed_one_taken(
    site: Site,
) -> None:
    worker = await site.join()
    old_key, old_chain = worker.key, worker.chain_pem
    for _ in range(2):
        key = Key.make()
        async with worker.channel() as channel:
            renewed = await rpc.WorkerAgentServiceStub(channel).RenewCertificate(
                pb.RenewCertificateRequest(csr_der=key.csr_der)
            )
        worker.key, worker.chain_pem = key, renewed.chain_pem
    async with worker.stream() as stream:
        await stream.hear("welcome")
    before = (await site.counters()).get("streams_refused", 0)
    worker.key, worker.chain_pem = old_key, old_chain
    async with worker.stream() as stream:
        assert (await stream.ended())[0] is Code.UNAUTHENTICATED
    assert (await site.counters())["streams_refused"] == before + 1
    async with worker.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.WorkerAgentServiceStub(channel).RenewCertificate(
                pb.RenewCertificateRequest(csr_der=Key.make().csr_der)
            )
    assert raised.value.code() is Code.UNAUTHENTICATED
    assert (await site.counters())["renewals_refused"] >= 1


async def test_the_server_shows_a_certificate_that_only_its_own_root_vouches_for(
    site: Site, tmp_path: Path
) -> None:
    other = FileCertificateAuthority.open(
        tmp_path,
        cluster_id=ClusterId("x"),
        server_names=(),
        server_addresses=(),
        clock=SystemClock(),
    )
    credentials = grpc.ssl_channel_credentials(other.bundle_pem.encode())
    names = (("grpc.ssl_target_name_override", "hodei-server"),)
    async with grpc.aio.secure_channel(site.addresses.enroll, credentials, names) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.WorkerAgentServiceStub(channel).Register(pb.RegisterWorkerRequest())
    assert raised.value.code() is Code.UNAVAILABLE


# Opening


@pytest.mark.parametrize("what", ["heartbeat", "nothing"])
async def test_a_stream_that_does_not_begin_with_hello_is_refused(site: Site, what: str) -> None:
    worker = await site.join()
    before = (await site.counters()).get("streams_refused", 0)
    async with worker.opening() as stream:
        if what == "heartbeat":
            await stream.say(heartbeat=pb.WorkerHeartbeat())
        else:
            await stream.finish()
        code, why = await stream.ended()
    assert (code, why) == (Code.UNAUTHENTICATED, "the stream must begin with hello")
    assert (await site.counters())["streams_refused"] == before + 1


async def test_a_stream_that_says_nothing_is_given_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.api.grpc.worker_agent._HELLO_WITHIN_S", 0.1)
    worker = await site.join()
    async with worker.opening() as stream:
        assert (await stream.ended())[0] is Code.UNAUTHENTICATED


async def test_a_worker_cannot_say_hello_for_another(site: Site) -> None:
    worker, other = await site.join(), await site.join()
    async with worker.stream(worker_id=other.id) as stream:
        assert (await stream.ended())[0] is Code.PERMISSION_DENIED


async def test_a_hello_that_makes_no_sense_is_refused_by_field(site: Site) -> None:
    worker = await site.join()
    async with worker.stream(slots=10_000) as stream:
        code, why = await stream.ended()
    assert (code, "hello.slots" in why) == (Code.INVALID_ARGUMENT, True)


async def test_a_newer_stream_supersedes_the_older(site: Site) -> None:
    worker = await site.join()
    async with worker.stream() as older:
        first = await older.hear("welcome")
        async with worker.stream() as newer:
            second = await newer.hear("welcome")
            assert (await older.ended())[0] is Code.ABORTED
            assert second.session_epoch == first.session_epoch + 1
            assert (await site.worker(worker.id)).connected


async def test_a_worker_that_has_ended_is_told_to_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await site.join(only="drained")
    monkeypatch.setattr("hodei.application.watch_workers._DRAINED_GRACE_S", 0.0)
    async with worker.stream() as stream:
        await stream.hear("welcome")
        await site.workers.DrainWorker(pb.DrainWorkerRequest(worker_id=worker.id))
        assert (await stream.ended())[0] is Code.ABORTED
    await site.until_worker(worker.id, lambda shown: shown.state == "TERMINATED")
    async with worker.stream() as stream:
        assert (await stream.ended())[0] is Code.FAILED_PRECONDITION


# What is said


async def test_a_job_goes_all_the_way(site: Site) -> None:
    worker = await site.join(only="whole-way")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream, command="echo", arguments=["hi"])
        assert (run.command.shell.cmd, list(run.command.shell.args)) == ("echo", ["hi"])
        await stream.accept(run)
        await stream.write(run, b"hi\n")
        assert (await stream.hear("log_acks")).acks[0].offset == 3
        await stream.say(result=result(run, stdout=3))
        assert (await stream.hear("result_ack")).recorded
        got = await site.until(run.job_id, "SUCCEEDED")
        assert got.detail.exit_code == 0
        logs = await site.logs.GetLogs(pb.GetLogsRequest(job_id=run.job_id))
        assert [entry.line for entry in logs.entries] == ["hi"]


async def test_a_result_waits_for_its_bytes(site: Site) -> None:
    worker = await site.join(only="bytes")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream)
        await stream.accept(run)
        await stream.say(result=result(run, stdout=6))
        await stream.write(run, b"abc")
        assert (await stream.hear("log_acks")).acks[0].offset == 3
        # Whether its start came long enough before it to be recorded is a matter of luck.
        assert await site.state(run.job_id) in {"ASSIGNED", "RUNNING"}
        await stream.write(run, b"def", offset=3)
        assert (await stream.hear("result_ack")).recorded
        assert await site.state(run.job_id) == "SUCCEEDED"


async def test_a_result_with_an_old_token_changes_nothing_and_is_counted(site: Site) -> None:
    worker = await site.join(only="old-token")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream)
        await stream.accept(run)
        before = (await site.counters()).get("results_refused", 0)
        await stream.say(result=result(run, token=run.token - 1))
        assert not (await stream.hear("result_ack")).recorded
        assert (await site.counters())["results_refused"] == before + 1
        assert await site.state(run.job_id) == "RUNNING"
        await stream.say(result=result(run))
        assert (await stream.hear("result_ack")).recorded


async def test_a_worker_cannot_speak_of_the_jobs_of_another(site: Site) -> None:
    honest, thief = await site.join(only="honest"), await site.join(only="thief")
    async with honest.stream() as mine, thief.stream() as theirs:
        run = await ordered(site, honest, mine)
        before = await site.counters()
        await theirs.hear("welcome")
        await theirs.write(run, b"lies\n")
        await theirs.accept(run)
        await theirs.say(result=result(run))
        assert (await theirs.hear("cancel")).job_id == run.job_id
        assert not (await theirs.hear("result_ack")).recorded
        after = await site.counters()
        for name in ("log_chunks_refused", "starts_refused", "results_refused"):
            assert after[name] == before.get(name, 0) + 1, name
        assert await site.state(run.job_id) == "ASSIGNED"
        await mine.say(result=result(run))
        assert (await mine.hear("result_ack")).recorded
        assert not (await site.logs.GetLogs(pb.GetLogsRequest(job_id=run.job_id))).entries


async def test_payloads_that_the_server_does_not_know_are_ignored_and_counted(site: Site) -> None:
    worker = await site.join(only="unknown")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream)
        before = (await site.counters()).get("payloads_ignored", 0)
        await stream.say(self_terminate=pb.SelfTerminateMessage())
        await stream.say(
            batch=pb.WorkerMessageBatch(
                messages=[pb.WorkerMessage(), pb.WorkerMessage(result=result(run))]
            )
        )
        assert (await stream.hear("result_ack")).recorded
        assert (await site.counters())["payloads_ignored"] == before + 2


@pytest.mark.parametrize(
    "payload",
    [
        {"log_batch": pb.LogBatch(chunks=[pb.LogChunk(job_id="x", attempt=1, stream=9)])},
        {"result": pb.JobResultMessage(job_id="x", attempt=1, reason_code="BORED")},
    ],
)
async def test_a_message_that_makes_no_sense_ends_the_stream_and_is_counted(
    site: Site, payload: dict[str, object]
) -> None:
    worker = await site.join()
    before = (await site.counters()).get("streams_broken", 0)
    async with worker.stream() as stream:
        await stream.hear("welcome")
        await stream.say(**payload)
        assert (await stream.ended())[0] is Code.INVALID_ARGUMENT
    assert (await site.counters())["streams_broken"] == before + 1


async def test_a_gap_in_a_log_ends_the_stream_and_the_next_one_says_where_to_go_on(
    site: Site,
) -> None:
    worker = await site.join(only="gap")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream)
        await stream.accept(run)
        await stream.write(run, b"abc")
        await stream.hear("log_acks")
        await stream.write(run, b"ghi", offset=6)
        assert (await stream.ended())[0] is Code.ABORTED
    async with worker.stream(held(run)) as stream:
        [verdict] = (await stream.hear("welcome")).verdicts
        stored = {each.stream: each.offset for each in verdict.stored}
        assert (verdict.keep, stored[pb.LOG_STREAM_STDOUT]) == (True, 3)
        await stream.write(run, b"defghi", offset=3)
        await stream.say(result=result(run, stdout=9))
        assert (await stream.hear("result_ack")).recorded


async def test_an_order_that_was_lost_with_its_stream_comes_again(site: Site) -> None:
    worker = await site.join(only="lost-order")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream)
    async with worker.stream() as stream:
        again = await stream.hear("run_job")
        assert (again.job_id, again.attempt, again.token) == (run.job_id, run.attempt, run.token)
        await stream.say(result=result(run))
        assert (await stream.hear("result_ack")).recorded


async def test_an_answer_that_was_lost_with_its_stream_is_learned_from_the_welcome(
    site: Site,
) -> None:
    worker = await site.join(only="lost-answer")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream)
        await stream.say(result=result(run))
        await site.until(run.job_id, "SUCCEEDED")
    async with worker.stream(held(run, result=result(run))) as stream:
        [verdict] = (await stream.hear("welcome")).verdicts
        assert not verdict.keep
    assert len((await site.get(run.job_id)).executions) == 1


async def test_a_job_that_the_agent_has_forgotten_is_lost(site: Site) -> None:
    worker = await site.join(only="forgotten")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream)
        await stream.accept(run)
        await site.until(run.job_id, "RUNNING")
    async with worker.stream() as stream:
        await stream.hear("welcome")
        got = await site.until(run.job_id, "FAILED")
        assert got.detail.reason.code == "WORKER_LOST"


async def test_a_cancellation_goes_down_the_stream_and_waits_for_one(site: Site) -> None:
    worker = await site.join(only="cancel")
    async with worker.stream() as stream:
        run = await ordered(site, worker, stream)
        await stream.accept(run)
        await site.until(run.job_id, "RUNNING")
        await site.cancel(run.job_id)
        assert (await stream.hear("cancel")).reason_code == "CANCELLED"
    async with worker.stream(held(run)) as stream:
        assert (await stream.hear("cancel")).job_id == run.job_id
        await stream.say(result=result(run, success=False, reason_code="CANCELLED"))
        assert (await stream.hear("result_ack")).recorded
    assert await site.state(run.job_id) == "CANCELLED"


async def test_a_worker_that_drains_itself_gets_nothing_more(site: Site) -> None:
    worker = await site.join(only="leaving")
    async with worker.stream() as stream:
        await stream.hear("welcome")
        await stream.say(
            status=pb.WorkerStatusNotification(status=pb.WORKER_STATUS_DRAINING, reason="SIGTERM")
        )
        assert (await stream.hear("drain")).terminate
    assert (await site.worker(worker.id)).state == "DRAINING"


async def test_a_stream_that_breaks_is_noticed_and_an_orderly_end_is_no_error(site: Site) -> None:
    worker = await site.join()
    async with worker.stream() as stream:
        await stream.hear("welcome")
        await stream.finish()
        assert (await stream.ended())[0] is Code.OK
    async with worker.stream() as stream:
        await stream.hear("welcome")
        stream.drop()
    await site.until_worker(worker.id, lambda shown: not shown.connected)
