"""An agent and its server through restarts, losses and ends: nothing is lost or told twice."""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Self

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from hodei.agent.reactor.output import dropped_notice
from hodei.wire import hodei_all_in_one_pb2 as pb
from integration.agent_process import AgentProcess
from integration.agent_server import FakeServer

MIB = 2**20
COUNT_TO = 'i=0; while [ "$i" -lt {0} ]; do i=$((i+1)); echo "line $i"; done'
"""A shell loop: some 100,000 lines a second, each in a write of its own."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeServer]:
    async with FakeServer.serving(tmp_path / "ca") as fake:
        yield fake


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "agent"


def agent_of(
    server: FakeServer, directory: Path, **tuning: float
) -> AbstractAsyncContextManager[AgentProcess]:
    return AgentProcess.running(server.bootstrap(), directory, **tuning)


def seconds(value: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(value * 1000))
    return duration


async def finished(server: FakeServer, job_id: str) -> pb.JobResultMessage:
    result = await server.result(job_id)
    assert server.results_seen == len(server.results), "a result was told twice"
    return result


# --- Enrolment ----------------------------------------------------------------------------------


async def test_a_lost_answer_to_the_enrolment_is_asked_for_again_with_the_same_key(
    server: FakeServer, directory: Path
) -> None:
    server.on_register = lambda tries: grpc.StatusCode.UNAVAILABLE if tries == 1 else None
    async with agent_of(server, directory):
        await server.until(lambda: server.streams)

    first, second = server.registrations
    assert first.csr_der == second.csr_der
    assert first.worker_info.worker_id.value == "worker-1"
    assert first.worker_info.capacity.cpu_cores >= 1


async def test_a_refused_enrolment_is_final(server: FakeServer, directory: Path) -> None:
    server.on_register = lambda _: grpc.StatusCode.PERMISSION_DENIED
    async with agent_of(server, directory) as agent:
        assert await agent.exit_code() == 3

    assert "PERMISSION_DENIED" in agent.event("enrolment_refused")["message"]
    assert len(server.registrations) == 1


async def test_a_server_of_another_ca_is_told_nothing(server: FakeServer, directory: Path) -> None:
    # Its certificate in the bootstrap is worth nothing without the fingerprint.
    other = "sha256:" + hashlib.sha256(b"another").hexdigest()
    bootstrap = server.bootstrap(ca_fingerprint=other)
    async with AgentProcess.running(bootstrap, directory) as agent:
        assert await agent.exit_code() == 3

    assert other in agent.event("enrolment_refused")["message"]
    assert not server.registrations


async def test_a_server_is_known_by_what_it_shows_where_the_bootstrap_has_no_certificate(
    server: FakeServer, directory: Path
) -> None:
    async with AgentProcess.running(server.bootstrap(ca_pem=""), directory):
        await server.until(lambda: server.streams)


async def test_a_server_that_cannot_be_reached_is_tried_until_the_time_is_up(
    server: FakeServer, directory: Path
) -> None:
    await server.stop()
    async with agent_of(server, directory, agent_timeout_s=1.0) as agent:
        assert await agent.exit_code() == 4

    assert len([each for each in agent.events if each["event"] == "enrolment_unavailable"]) > 3


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.FAILED_PRECONDITION]
)
async def test_a_worker_that_the_server_has_ended_ends(
    server: FakeServer, directory: Path, code: grpc.StatusCode
) -> None:
    server.refuse_streams = code
    async with agent_of(server, directory) as agent:
        assert await agent.exit_code() == 3

    assert code.name in agent.event("refused_by_server")["detail"]


# --- A server that goes and comes -----------------------------------------------------------------


async def test_a_server_that_is_killed_twice_gets_every_byte_once(
    server: FakeServer, directory: Path
) -> None:
    async with agent_of(server, directory):
        await server.until(lambda: server.streams)
        server.run("job-1", "sh", "-c", COUNT_TO.format(200_000))
        for size in (1000, 300_000):
            await server.until(lambda size=size: len(server.log("job-1")) > size)
            await server.stop()
            # What was not acknowledged may not be on its disk.
            await server.start()
        result = await finished(server, "job-1")

    assert result.exit_code == 0
    assert server.log("job-1") == b"".join(b"line %d\n" % (i + 1) for i in range(200_000))
    assert len(server.started) == 1
    held = server.streams[-1].hello.held[0]
    assert held.started
    assert server.streams[-1].hello.session_epoch == 2


async def test_a_job_that_ends_without_a_server_is_told_of_when_there_is_one(
    server: FakeServer, directory: Path
) -> None:
    async with agent_of(server, directory) as agent:
        await server.until(lambda: server.streams)
        server.run("job-1", "sh", "-c", "echo before; read line; echo after; touch done; exit 7",
                   working_dir=str(directory.parent),
                   options=pb.RunOptions(has_stdin=True, stdin=b"x"))  # fmt: skip
        await server.until(lambda: server.started)
        await server.stop()
        await agent.until((directory.parent / "done").exists)
        await server.start()
        result = await finished(server, "job-1")

    assert (result.exit_code, result.reason_code) == (7, "NON_ZERO_EXIT_CODE")
    assert server.log("job-1") == b"before\nafter\n"


async def test_a_disowned_job_is_ended_and_nothing_more_is_heard_of_it(
    server: FakeServer, directory: Path
) -> None:
    async with agent_of(server, directory) as agent:
        await server.until(lambda: server.streams)
        server.run("job-1", "sh", "-c", "echo up; sleep 60")
        await server.until(lambda: server.log("job-1"))
        server.disowned.add(("job-1", 1))
        server.stream.end()
        await agent.until(lambda: agent.has_event("job_disowned"))
        await agent.until(lambda: not agent.leftovers())
        await server.until(lambda: len(server.streams) == 2)
        server.run("job-2", "true")
        await finished(server, "job-2")
        server.stream.end()
        await server.until(lambda: len(server.streams) == 3)

    assert not server.stream.hello.held


async def test_a_job_without_a_server_for_too_long_is_ended(
    server: FakeServer, directory: Path
) -> None:
    async with agent_of(server, directory) as agent:
        await server.until(lambda: server.streams)
        server.run("job-1", "sh", "-c", "echo up; sleep 60",
                   options=pb.RunOptions(disconnect_timeout=seconds(0.3)))  # fmt: skip
        await server.until(lambda: server.log("job-1"))
        await server.stop()
        await agent.until(lambda: not agent.leftovers())
        await server.start()
        result = await finished(server, "job-1")

    assert result.reason_code == "SERVER_UNREACHABLE"


async def test_an_agent_without_a_server_for_too_long_ends(
    server: FakeServer, directory: Path
) -> None:
    async with agent_of(server, directory, agent_timeout_s=2.0) as agent:
        await server.until(lambda: server.streams)
        await server.stop()
        assert await agent.exit_code() == 4


async def test_a_server_that_falls_silent_is_left(server: FakeServer, directory: Path) -> None:
    async with (
        Freezer.of(server.worker_port) as freezer,
        AgentProcess.running(
            server.bootstrap(worker_address=f"127.0.0.1:{freezer.port}"),
            directory,
            every_s=0.2,
            within_s=0.3,
        ) as agent,
    ):
        await server.until(lambda: server.streams)
        server.run("job-1", "true")
        await server.result("job-1")
        freezer.freeze()
        await agent.until(lambda: agent.has_event("stream_lost"))
        freezer.thaw()
        await server.until(lambda: len(server.streams) == 2)


# --- Output under pressure --------------------------------------------------------------------------


async def test_hold_keeps_a_job_waiting_while_nothing_is_acknowledged_and_loses_nothing(
    server: FakeServer, directory: Path
) -> None:
    limits = {"memory_bytes": MIB, "spool_bytes": 2 * MIB}
    async with agent_of(server, directory, **limits) as agent:
        await server.until(lambda: server.streams)
        server.acknowledges_logs = False
        server.run("job-1", "sh", "-c", f"head -c {8 * MIB} /dev/zero | tr '\\0' x; echo end")
        await agent.until(lambda: agent.spooled_bytes() > MIB)
        server.run("job-2", "echo", "not held up by the other")
        await server.until(lambda: server.log("job-2"))
        assert ("job-1", 1) not in server.results
        assert agent.spooled_bytes() <= 2 * MIB
        server.acknowledge_everything()
        result = await server.result("job-1")

    assert result.exit_code == 0
    assert server.log("job-1") == b"x" * 8 * MIB + b"end\n"


async def test_drop_oldest_lets_the_job_run_on_and_says_how_much_is_missing(
    server: FakeServer, directory: Path
) -> None:
    limits = {"memory_bytes": MIB, "spool_bytes": 2 * MIB}
    async with agent_of(server, directory, **limits) as agent:
        await server.until(lambda: server.streams)
        server.acknowledges_logs = False
        server.run("job-1", "sh", "-c", f"head -c {8 * MIB} /dev/zero | tr '\\0' x; touch done",
                   working_dir=str(directory.parent),
                   options=pb.RunOptions(log_policy=pb.LOG_POLICY_DROP_OLDEST))  # fmt: skip
        await agent.until((directory.parent / "done").exists)
        server.acknowledge_everything()
        await server.result("job-1")
        await server.until(lambda: server.heartbeats and server.heartbeats[-1].dropped_logs)

    dropped = server.heartbeats[-1].dropped_logs
    assert server.log("job-1").replace(dropped_notice(dropped), b"") == b"x" * (8 * MIB - dropped)
    assert 4 * MIB <= dropped < 6 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("stream", [pb.LOG_STREAM_STDOUT, pb.LOG_STREAM_STDERR])
async def test_100_mb_and_a_million_lines_arrive_byte_for_byte(
    server: FakeServer, directory: Path, stream: int
) -> None:
    to = " >&2" if stream == pb.LOG_STREAM_STDERR else ""
    async with agent_of(server, directory) as agent:
        await server.until(lambda: server.streams)
        server.run("big", "sh", "-c", f"head -c 100000000 /dev/zero | tr '\\0' y{to}")
        server.run("lines", "sh", "-c", f"seq 1000000{to}")
        await server.result("big")
        await server.result("lines")
        resident = agent.resident_bytes()

    assert server.log("big", stream) == b"y" * 100_000_000
    lines = b"".join(b"%d\n" % (i + 1) for i in range(1_000_000))
    assert server.log("lines", stream) == lines
    assert resident < 80 * MIB


# --- Certificates ---------------------------------------------------------------------------------


async def test_a_certificate_is_renewed_before_it_ends_and_jobs_go_on_over_the_new_stream(
    server: FakeServer, directory: Path
) -> None:
    a_second = 1 / (4 * 3600)
    async with agent_of(server, directory, renew_share=a_second) as agent:
        await server.until(lambda: server.streams)
        server.run("job-1", "sh", "-c", "echo up; while ! test -e go; do sleep 0.05; done; echo on",
                   working_dir=str(directory.parent))  # fmt: skip
        await server.until(lambda: len(server.streams) >= 2)
        (directory.parent / "go").touch()
        await server.result("job-1")
        assert not agent.has_event("stream_lost")

    first, second = server.streams[:2]
    assert first.peer_certificate != second.peer_certificate
    assert server.log("job-1") == b"up\non\n"
    assert len(server.started) == 1


# --- Ends -----------------------------------------------------------------------------------------


async def test_a_drain_finishes_what_runs_and_ends_with_0(
    server: FakeServer, directory: Path
) -> None:
    async with agent_of(server, directory) as agent:
        await server.until(lambda: server.streams)
        server.run("job-1", "sh", "-c", "echo up; sleep 0.3; echo done")
        await server.until(lambda: server.log("job-1"))
        server.stream.send(drain=pb.Drain(terminate=True))
        result = await finished(server, "job-1")
        assert await agent.exit_code() == 0

    assert result.exit_code == 0
    assert server.log("job-1") == b"up\ndone\n"
    assert not agent.leftovers()


async def test_a_drain_to_another_server_comes_back_on_a_new_stream(
    server: FakeServer, directory: Path
) -> None:
    async with agent_of(server, directory):
        await server.until(lambda: server.streams)
        server.stream.send(drain=pb.Drain(reconnect_after=seconds(0.05)))
        await server.until(lambda: len(server.streams) == 2)
        server.run("job-1", "echo", "here")
        await finished(server, "job-1")

    assert server.log("job-1") == b"here\n"


async def test_sigterm_drains_and_tells_the_server(server: FakeServer, directory: Path) -> None:
    async with agent_of(server, directory) as agent:
        await server.until(lambda: server.streams)
        server.run("job-1", "sh", "-c", "echo up; sleep 0.3; echo done")
        await server.until(lambda: server.log("job-1"))
        agent.signal(signal.SIGTERM)
        await server.until(lambda: server.statuses)
        await finished(server, "job-1")
        assert await agent.exit_code() == 0

    assert server.statuses[0].status == pb.WORKER_STATUS_DRAINING
    assert server.log("job-1") == b"up\ndone\n"


async def test_a_second_sigterm_ends_jobs_at_once_and_reports_them(
    server: FakeServer, directory: Path
) -> None:
    async with agent_of(server, directory) as agent:
        await server.until(lambda: server.streams)
        server.run("job-1", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 60; done")
        await server.until(lambda: server.log("job-1"))
        agent.signal(signal.SIGTERM)
        await server.until(lambda: server.statuses)
        agent.signal(signal.SIGTERM)
        result = await finished(server, "job-1")
        assert await agent.exit_code() == 143

    assert (result.reason_code, result.signal) == ("CANCELLED", signal.SIGKILL)


async def test_sigterm_of_an_idle_agent_ends_it_at_once_also_before_it_has_enrolled(
    server: FakeServer, directory: Path
) -> None:
    await server.stop()
    async with agent_of(server, directory) as agent:
        await agent.until(lambda: agent.has_event("enrolment_unavailable"))
        agent.signal(signal.SIGTERM)
        assert await agent.exit_code() == 0


class Freezer:
    """A way to a port of this host that can stop carrying anything, without a word."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = 0

    @classmethod
    def of(cls, to_port: int) -> "Freezer":
        return cls(to_port)

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.thaw()
        self._listener.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                data = await reader.read(65536)
            except ConnectionError:
                data = b""
            await self._flows.wait()
            if not data:
                writer.close()
                return
            writer.write(data)
