"""What a job is given and what the server hears of it, through a real agent."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from hodei.wire import hodei_all_in_one_pb2 as pb
from integration.agent_process import AgentProcess
from integration.agent_server import FakeServer

NO_GRACE = pb.RunOptions(grace=Duration())


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def session(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[tuple[FakeServer, AgentProcess]]:
    """One server and one agent for all: it takes a second to start one."""
    directory = tmp_path_factory.mktemp("agent")
    async with (
        FakeServer.serving(directory / "ca", heartbeat_interval_s=0.2) as fake,
        AgentProcess.running(fake.bootstrap(), directory / "agent") as process,
    ):
        await fake.until(lambda: fake.streams)
        yield fake, process


@pytest.fixture
async def server(session: tuple[FakeServer, AgentProcess]) -> AsyncIterator[FakeServer]:
    """As if it were new: no job of a test before runs, also where that test failed, nor is known."""
    fake = session[0]
    yield fake
    await fake.end_jobs()
    fake.forget()


@pytest.fixture
def agent(session: tuple[FakeServer, AgentProcess]) -> AgentProcess:
    return session[1]


def script(content: str, interpreter: str = "bash") -> pb.CommandSpec:
    return pb.CommandSpec(script=pb.ScriptCommand(interpreter=interpreter, content=content))


async def test_a_command_runs_and_its_output_and_result_arrive(
    server: FakeServer, agent: AgentProcess
) -> None:
    server.run("job-1", "sh", "-c", "echo hello; echo oops >&2")

    result = await server.result("job-1")

    assert server.log("job-1") == b"hello\n"
    assert server.log("job-1", pb.LOG_STREAM_STDERR) == b"oops\n"
    assert (result.exit_code, result.reason_code, result.token) == (0, "", 10)
    assert result.success
    assert result.usage.max_rss_bytes > 0
    assert server.started[0].pid > 0
    assert server.started[0].started_at == result.started_at
    assert result.started_at.ToNanoseconds() < result.completed_at.ToNanoseconds()


async def test_arguments_environment_and_stdin_arrive_exactly(
    server: FakeServer, agent: AgentProcess
) -> None:
    options = pb.RunOptions(
        arguments_raw=[
            b"-c",
            b'printf "<%s>" "$@"; cat',
            b"sh",
            b"a  b",
            b"",
            b"$HOME;\n",
            b"\xff",
        ],
        has_stdin=True,
        stdin=bytes(range(256)) * 10_000,
    )
    server.run("job-1", "sh", options=options)
    server.run("job-2", "env", "-0", env={"GREETING": "good day", "SEEN": "changed"})

    await server.result("job-1")
    await server.result("job-2")

    assert server.log("job-1") == b"<a  b><><$HOME;\n><\xff>" + options.stdin
    environment = dict(line.split(b"=", 1) for line in server.log("job-2").split(b"\0")[:-1])
    assert environment[b"GREETING"] == b"good day"
    assert environment[b"SEEN"] == b"changed"
    ours = {name: value for name, value in environment.items() if name.startswith(b"HODEI_")}
    assert ours == {
        b"HODEI_JOB_ID": b"job-2",
        b"HODEI_ATTEMPT": b"1",
        b"HODEI_WORKER_ID": b"worker-1",
    }


async def test_a_job_that_does_not_read_its_stdin_ends_all_the_same(
    server: FakeServer, agent: AgentProcess
) -> None:
    server.run("job-1", "true", options=pb.RunOptions(has_stdin=True, stdin=b"x" * 4_000_000))
    server.run("job-2", "cat")

    assert (await server.result("job-1")).exit_code == 0
    assert (await server.result("job-2")).exit_code == 0


async def test_a_job_runs_in_a_private_empty_workspace_that_goes_with_it(
    server: FakeServer, agent: AgentProcess
) -> None:
    text = '#!/bin/bash\nstat -c %a . "$0"; ls -A; mkdir -p a/b; touch a/b/c; chmod 0 a/b; pwd'
    server.run("job-1", command=script(text))
    server.run("job-2", "pwd", working_dir="/usr")

    assert (await server.result("job-1")).exit_code == 0
    await server.result("job-2")

    *facts, workspace = server.log("job-1").decode().splitlines()
    assert facts == ["700", "700"]
    assert Path(workspace).parent == agent.work_dir / "work" / "jobs"
    assert server.log("job-2") == b"/usr\n"
    await agent.until(lambda: not agent.leftovers())


@pytest.mark.parametrize(
    ("interpreter", "text", "exit_code"),
    [
        ("bash", "false | true\necho not reached", 1),
        ("bash", "echo $MISSING\necho not reached", 1),
        ("sh", "echo $MISSING\necho not reached", 2),
        ("/bin/bash -x", "#!/bin/bash\nfalse\necho not reached", 1),
    ],
)
async def test_scripts_are_strict(
    server: FakeServer, agent: AgentProcess, interpreter: str, text: str, exit_code: int
) -> None:
    server.run("job-1", command=script(text, interpreter))

    result = await server.result("job-1")

    assert (result.exit_code, result.reason_code) == (exit_code, "NON_ZERO_EXIT_CODE")
    assert server.log("job-1") == b""


async def test_jobs_that_cannot_start_say_why(server: FakeServer, agent: AgentProcess) -> None:
    server.run("missing", "no-such-command-anywhere")
    server.run("denied", "/etc/passwd")
    server.run("nowhere", "true", working_dir="not/there")
    server.run("interpreter", command=script("hello", "no-such-interpreter"))
    server.run("../evil", "true")
    server.run("nothing")

    codes = {job_id: (await server.result(job_id)).reason_code for job_id in (
        "missing", "denied", "nowhere", "interpreter", "../evil", "nothing"
    )}  # fmt: skip

    assert codes == {
        "missing": "COMMAND_NOT_FOUND",
        "denied": "PERMISSION_DENIED",
        "nowhere": "FILE_NOT_FOUND",
        "interpreter": "COMMAND_NOT_FOUND",
        "../evil": "PROCESS_SPAWN_FAILED",
        "nothing": "PROCESS_SPAWN_FAILED",
    }
    assert not server.started


async def test_a_job_ends_although_somebody_outside_it_holds_its_pipe(
    server: FakeServer, agent: AgentProcess, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            "socket.send_fds(s, [b'x'], [1]); s.recv(1); print('bye')"
        )
        server.run("job-1", sys.executable, "-c", program, str(tmp_path / "s"))
        loop = asyncio.get_running_loop()
        listener.settimeout(0)
        connection, _ = await loop.sock_accept(listener)
        with connection:
            connection.settimeout(5)
            _, fds, _, _ = socket.recv_fds(connection, 1, 1)
            connection.send(b"x")
            result = await server.result("job-1")
            os.close(fds[0])

    assert result.exit_code == 0
    assert server.log("job-1") == b"bye\n"


async def test_a_timeout_ends_the_job_and_its_tree(server: FakeServer, agent: AgentProcess) -> None:
    server.run("job-1", "sh", "-c", "setsid sleep 60 & echo up; wait", timeout_ms=300)

    result = await server.result("job-1")

    assert (result.reason_code, result.signal) == ("EXECUTION_TIMEOUT", signal.SIGTERM)
    assert "300ms" in result.error_message


async def test_a_cancel_lets_the_job_end_in_its_own_way(
    server: FakeServer, agent: AgentProcess
) -> None:
    server.run("job-1", command=script("trap 'echo bye; exit 3' TERM; echo up; sleep 60 & wait"))
    await server.until(lambda: server.log("job-1") == b"up\n")

    server.stream.send(
        cancel=pb.CancelJobCommand(job_id="job-1", attempt=1, reason_code="CANCELLED")
    )
    result = await server.result("job-1")

    assert server.log("job-1") == b"up\nbye\n"
    assert (result.reason_code, result.exit_code) == ("CANCELLED", 3)


async def test_a_job_that_ignores_sigterm_is_killed_after_its_grace_or_when_forced(
    server: FakeServer, agent: AgentProcess
) -> None:
    stubborn = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 60; done")
    grace = Duration(nanos=200_000_000)
    server.run("graceful", *stubborn, options=pb.RunOptions(grace=grace))
    server.run("forced", *stubborn)
    for job_id in ("graceful", "forced"):
        await server.until(lambda job_id=job_id: server.log(job_id))
        cancel = pb.CancelJobCommand(job_id=job_id, attempt=1, force=job_id == "forced")
        server.stream.send(cancel=cancel)

    for job_id in ("graceful", "forced"):
        result = await server.result(job_id)
        assert (result.reason_code, result.signal) == ("CANCELLED", signal.SIGKILL)


async def test_the_same_job_twice_runs_once(server: FakeServer, agent: AgentProcess) -> None:
    server.run("job-1", "sh", "-c", "echo once; read line < /dev/zero", options=NO_GRACE)
    await server.until(lambda: server.log("job-1"))
    server.run("job-1", "sh", "-c", "echo twice")
    server.run("job-2", "true")
    await server.result("job-2")
    server.stream.send(cancel=pb.CancelJobCommand(job_id="job-1", attempt=1))

    assert (await server.result("job-1")).reason_code == "CANCELLED"
    assert server.log("job-1") == b"once\n"
    assert len(server.started) == 2


async def test_the_first_bytes_of_a_quiet_job_do_not_wait_for_more(
    server: FakeServer, agent: AgentProcess
) -> None:
    server.run("job-1", "sh", "-c", "printf a; read line < /dev/zero", options=NO_GRACE)

    await server.until(lambda: server.log("job-1") == b"a", within_s=5)

    server.stream.send(cancel=pb.CancelJobCommand(job_id="job-1", attempt=1))
    await server.result("job-1")


async def test_heartbeats_tell_of_jobs_and_of_what_is_used(
    server: FakeServer, agent: AgentProcess
) -> None:
    server.run("job-1", "sleep", "60", options=NO_GRACE)

    # One that was on its way when the job came tells of no job.
    await server.until(lambda: any(beat.running_job_ids for beat in server.heartbeats))
    await server.until(lambda: server.heartbeats[-1].memory_bytes)

    beat = server.heartbeats[-1]
    assert list(beat.running_job_ids) == ["job-1"]
    assert beat.status == pb.WORKER_STATUS_BUSY
    assert beat.disk_bytes > 0


async def test_a_payload_that_the_agent_does_not_know_is_ignored_and_counted(
    server: FakeServer, agent: AgentProcess
) -> None:
    server.stream.send()
    server.run("job-1", "echo", "still here")
    await server.result("job-1")
    server.stream.end()

    await server.until(lambda: len(server.streams) == 2)
    await agent.until(lambda: agent.has_event("unknown_payloads_ignored"))

    assert agent.event("unknown_payloads_ignored")["count"] == 1


@pytest.mark.slow
async def test_many_short_jobs_leave_nothing_behind(
    server: FakeServer, agent: AgentProcess
) -> None:
    before = agent.open_files()
    for number in range(300):
        server.run(f"job-{number}", "echo", str(number))
    async with asyncio.timeout(15):
        for number in range(300):
            await server.result(f"job-{number}")

    assert all(server.log(f"job-{number}") == b"%d\n" % number for number in range(300))
    assert agent.open_files() < before + 10
    await agent.until(lambda: not agent.leftovers())
