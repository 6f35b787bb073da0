"""What may be submitted, what is refused and how, and that the server stays responsive."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from acceptance.harness import HodeiServer, on_a_busy_machine
from hodei.wire import hodei_all_in_one_pb2 as pb

MIB = 1 << 20


def definition(**fields: object) -> pb.JobDefinition:
    """A definition that is fine but for the given fields."""
    return pb.JobDefinition(**{"command": "true", **fields})  # pyright: ignore[reportArgumentType]


def details(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, dict[str, str], str]:
    """The code, message, field violations and reason of a rich error."""
    assert isinstance(error, grpc.Call)
    packed = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(packed["grpc-status-details-bin"])
    fields: dict[str, str] = {}
    reason = ""
    for detail in status.details:
        bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
        if detail.Unpack(bad):
            fields = {each.field: each.description for each in bad.field_violations}
        elif detail.Unpack(info):
            reason = info.reason
    return error.code(), error.details() or "", fields, reason


def refusal(server: HodeiServer, *definitions: pb.JobDefinition) -> dict[str, str]:
    """The field violations with which definitions are refused."""
    with server.jobs_stub() as stub:
        if len(definitions) == 1:
            call = stub.QueueJob.future(pb.QueueJobRequest(job_definition=definitions[0]))
        else:
            call = stub.QueueJobs.future(pb.QueueJobsRequest(job_definitions=definitions))
        with pytest.raises(grpc.RpcError) as raised:
            call.result()
    code, _, fields, _ = details(raised.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert all(fields.values()), "a violation must say what is allowed"
    return fields


def test_the_same_id_and_definition_twice_is_one_job(server: HodeiServer) -> None:
    request = pb.QueueJobRequest(
        job_definition=definition(
            job_id=pb.JobId(value="rules-twice"), command="echo", arguments=["1"]
        )
    )
    with server.jobs_stub() as stub:
        first = stub.QueueJob(request)
        second = stub.QueueJob(request)
    assert (first.already_existed, second.already_existed) == (False, True)
    assert first.job_id == second.job_id
    assert first.queued_at == second.queued_at
    with server.client() as client:
        ended = client.wait("rules-twice")
        assert [attempt.number for attempt in ended.attempts] == [1]
        assert len([job for job in client.jobs() if job.id == "rules-twice"]) == 1
    with server.jobs_stub() as stub:
        assert stub.QueueJob(request).already_existed, "an ended job still holds its id"


def test_the_same_id_with_another_definition_is_refused_naming_the_difference(
    server: HodeiServer,
) -> None:
    name = pb.JobId(value="rules-differs")
    with server.jobs_stub() as stub:
        stub.QueueJob(pb.QueueJobRequest(job_definition=definition(job_id=name, tags=["a"])))
        with pytest.raises(grpc.RpcError) as raised:
            stub.QueueJob(pb.QueueJobRequest(job_definition=definition(job_id=name, tags=["b"])))
    code, message, _, reason = details(raised.value)
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert "rules-differs" in message
    assert "tags" in message
    assert reason == "ALREADY_EXISTS"


def test_the_same_id_from_many_clients_at_once_is_one_job(server: HodeiServer) -> None:
    request = pb.QueueJobRequest(
        job_definition=definition(job_id=pb.JobId(value="rules-contended"))
    )
    with server.jobs_stub() as stub:
        calls = [stub.QueueJob.future(request) for _ in range(50)]
        answers = [call.result() for call in calls]
    assert [answer.already_existed for answer in answers].count(False) == 1


REFUSED: dict[str, tuple[Callable[[], pb.JobDefinition], str]] = {
    "an id with a space": (lambda: definition(job_id=pb.JobId(value="a b")), "job_id"),
    "an id that is a path": (lambda: definition(job_id=pb.JobId(value="../x")), "job_id"),
    "an id of 129 characters": (lambda: definition(job_id=pb.JobId(value="x" * 129)), "job_id"),
    "a name of 10,000 characters": (lambda: definition(name="x" * 10_000), "name"),
    "no command": (pb.JobDefinition, "command"),
    "a command and a script": (
        lambda: definition(script=pb.ScriptCommand(content="true")),
        "script",
    ),
    "a NUL byte in an argument": (lambda: definition(arguments=["a\0b"]), "arguments"),
    "an environment name with =": (lambda: definition(environment={"A=B": "x"}), "environment"),
    "a negative timeout": (
        lambda: definition(timeout=pb.TimeoutConfig(execution_timeout={"seconds": -1})),
        "timeout.execution_timeout",
    ),
    "a timeout of a year": (
        lambda: definition(timeout=pb.TimeoutConfig(execution_timeout={"seconds": 31_536_000})),
        "timeout.execution_timeout",
    ),
    "a million attempts": (
        lambda: definition(retry=pb.RetryPolicy(max_attempts=1_000_000)),
        "retry.max_attempts",
    ),
    "jitter above 1": (lambda: definition(retry=pb.RetryPolicy(jitter=1.5)), "retry.jitter"),
    "an unknown reason to retry on": (
        lambda: definition(retry=pb.RetryPolicy(retry_on=["BAD_LUCK"])),
        "retry.retry_on",
    ),
    "negative memory": (
        lambda: definition(requirements=pb.ResourceRequirements(memory_bytes=-1)),
        "requirements.memory_bytes",
    ),
    "1,000 tags": (lambda: definition(tags=[str(n) for n in range(1000)]), "tags"),
    "an unknown provider": (
        lambda: definition(scheduling=pb.SchedulingInfo(preferred_provider="mainframe")),
        "scheduling.preferred_provider",
    ),
    "an unknown scheduler": (
        lambda: definition(scheduling=pb.SchedulingInfo(scheduler_name="fair")),
        "scheduling.scheduler_name",
    ),
    "preemption": (
        lambda: definition(scheduling=pb.SchedulingInfo(preemption_allowed=True)),
        "scheduling.preemption_allowed",
    ),
    "an image": (lambda: definition(image="debian:12"), "image"),
    "secrets": (lambda: definition(secrets=pb.JobSecrets(names=["x"])), "secrets"),
    "an array": (lambda: definition(array=pb.JobArray(size=3)), "array"),
    "another namespace": (lambda: definition(namespace="team"), "namespace"),
    "an environment of 5 MB": (
        lambda: definition(environment={"BIG": "x" * 5_000_000}),
        "environment",
    ),
    "a script of 20 MB": (
        lambda: pb.JobDefinition(script=pb.ScriptCommand(content="#" * 20_000_000)),
        "script",
    ),
}


@pytest.mark.parametrize(("make", "field"), REFUSED.values(), ids=REFUSED)
def test_what_is_out_of_range_or_not_honoured_is_refused_by_name(
    server: HodeiServer, make: Callable[[], pb.JobDefinition], field: str
) -> None:
    fields = refusal(server, make())
    assert any(f"job_definition.{field}" in name for name in fields), fields


def test_every_wrong_field_is_named_at_once(server: HodeiServer) -> None:
    fields = refusal(server, definition(name="x" * 10_000, tags=["t"] * 1000, namespace="team"))
    assert len(fields) >= 3


def test_a_batch_with_one_wrong_job_queues_none_of_it(server: HodeiServer) -> None:
    good = [definition(job_id=pb.JobId(value=f"all-or-nothing-{n}")) for n in range(20)]
    fields = refusal(server, *good, definition(namespace="team"))
    assert list(fields) == ["job_definitions[20].namespace"]
    with server.client() as client:
        assert not [job for job in client.jobs() if job.id.startswith("all-or-nothing")]


def test_sizes_below_the_limits_are_taken(server: HodeiServer) -> None:
    environment = {f"V{n}": "x" * 100_000 for n in range(8)}
    script = "#" * (3 * MIB) + "\necho done\n"
    with server.client() as client:
        jobs = [
            client.submit(command=["sh", "-c", 'printf %s "$V7" | wc -c'], env=environment),
            client.submit(script=script),
            client.submit(command=["wc", "-c"], stdin=b"x" * 3 * MIB),
        ]
        assert [client.wait(job.id).state for job in jobs] == ["SUCCEEDED"] * 3


def test_100_000_jobs_in_one_batch_are_done_or_refused_with_the_limit_named(
    server: HodeiServer,
) -> None:
    request = pb.QueueJobsRequest(job_definitions=[definition()] * 100_000)
    began = time.monotonic()
    with server.jobs_stub() as stub, pytest.raises(grpc.RpcError) as raised:
        stub.QueueJobs(request)
    code, _, fields, _ = details(raised.value)
    assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert "10,000" in str(fields) or "10000" in str(fields)
    assert time.monotonic() - began < on_a_busy_machine(15)
    with server.client() as client:
        assert client.wait(client.submit(command=["true"]).id, timeout=10).state == "SUCCEEDED"


def test_the_server_answers_while_a_full_batch_is_taken_and_run(
    start_server: Callable[..., HodeiServer],
) -> None:
    own = start_server()
    requests = pb.QueueJobsRequest(job_definitions=[definition()] * 5_000)
    with own.jobs_stub() as stub, own.client() as client:
        batch = stub.QueueJobs.future(requests)
        slowest = 0.0
        while not batch.done():
            began = time.monotonic()
            client.server_info()
            slowest = max(slowest, time.monotonic() - began)
        assert len(batch.result().jobs) == 5_000
    assert slowest < on_a_busy_machine(1.0), f"an answer took {slowest:.2f} s"


def test_garbage_on_the_port_does_not_stop_the_server(server: HodeiServer) -> None:
    host, port = server.address.rsplit(":", 1)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 500, b"\0" * 10_000):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(garbage)
    assert server.cli("jobs", "list").code == 0


def test_jobs_are_listed_by_state_name_label_and_tag_page_by_page(server: HodeiServer) -> None:
    with server.client() as client:
        submitted = client.submit_many(
            [
                {
                    "command": ["true"],
                    "name": "paged",
                    "labels": {"kind": "odd" if n % 2 else "even"},
                    "tags": ["nightly"] if n < 5 else [],
                }
                for n in range(25)
            ]
        )
        ids = [job.id for job in submitted]
        for job_id in ids:
            client.wait(job_id)
        assert sorted(job.id for job in client.jobs(name="paged")) == sorted(ids)
        assert len(list(client.jobs(name="paged", labels={"kind": "odd"}))) == 12
        assert len(list(client.jobs(name="paged", tags=["nightly"]))) == 5
        assert len(list(client.jobs(name="paged", states=["FAILED"]))) == 0
    with server.jobs_stub() as stub:
        seen: list[str] = []
        token = ""
        while True:
            page = stub.ListJobs(pb.ListJobsRequest(name="paged", page_size=7, page_token=token))
            assert page.total_count == 25
            seen += [job.job_id.value for job in page.jobs]
            token = page.next_page_token
            if not token:
                break
    assert seen == list(reversed(ids))


def test_a_pending_job_says_why_it_waits(server: HodeiServer) -> None:
    ran = server.cli("run", "--detach", "--selector", "no=such-worker", "--", "true")
    assert ran.code == 0
    job_id = ran.text.strip()
    shown = server.cli("jobs", "show", job_id, "--output", "json").json
    assert shown["state"] == "QUEUED"
    assert "such-worker" in shown["pending_reason"]
    assert server.cli("jobs", "cancel", job_id).code == 0


def test_the_command_names_the_field_in_one_line(server: HodeiServer) -> None:
    ran = server.cli("run", "--name", "x" * 10_000, "--", "true")
    assert ran.code == 2
    assert len(ran.errors.strip().splitlines()) == 1
    assert "name" in ran.errors


def test_jobs_of_higher_priority_run_first(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    own = start_server(local_slots=1, local_max_workers=1)
    gate, order = tmp_path / "gate", tmp_path / "order"
    os.mkfifo(gate)
    priorities = ("low", "normal", "high", "critical")
    with own.client() as client:
        first = client.submit(command=["cat", str(gate)])
        jobs = [
            client.submit(
                command=["sh", "-c", 'echo "$1" >> "$2"', "sh", priority, str(order)],
                priority=priority,
            )
            for priority in priorities
        ]
        gate.write_bytes(b"")
        for job in (first, *jobs):
            assert client.wait(job.id).state == "SUCCEEDED"
    assert order.read_text().split() == ["critical", "high", "normal", "low"]
