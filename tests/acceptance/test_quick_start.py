"""The two calls of the quick start, as they stand, by a client that nobody here wrote."""

import json
import urllib.request
from collections.abc import Mapping

import pytest

from acceptance.harness import BIN, HodeiServer, Ran, run_command

QUEUE_JOB = {
    "job_definition": {
        "job_id": {"value": "my-first-job"},
        "name": "Hello World",
        "command": "echo",
        "arguments": ["Hello from Hodei!"],
    },
    "queued_by": "quickstart",
}


def buf_curl(
    server: HodeiServer,
    call: str,
    request: Mapping[str, object],
    *options: str,
) -> Ran:
    """Calls a method, its types known from the server's reflection alone."""
    return run_command(
        [
            *(str(BIN / "buf"), "curl", "--protocol", "grpc", "--http2-prior-knowledge"),
            *("--reflect", *options, "--data", json.dumps(request)),
            f"http://{server.address}/{call}",
        ]
    )


def test_both_quick_start_calls_work_as_they_stand(server: HodeiServer) -> None:
    queued = buf_curl(server, "hodei.JobExecutionService/QueueJob", QUEUE_JOB)
    assert queued.code == 0, queued.errors
    assert queued.json["success"] is True
    assert queued.json["jobId"] == {"value": "my-first-job"}
    with server.client() as client:
        client.wait("my-first-job")
    named = {"job_id": {"value": "my-first-job"}}
    for call in ("GetJobStatus", "GetJob"):
        shown = buf_curl(server, f"hodei.JobExecutionService/{call}", named)
        assert shown.code == 0, shown.errors
        assert shown.json["status"] == "JOB_STATUS_COMPLETED"
        assert shown.json["job"]["arguments"] == ["Hello from Hodei!"]
        assert shown.json["executions"][0]["exitCode"] == "0"


@pytest.mark.parametrize("version", ["grpc-v1", "grpc-v1alpha"])
def test_reflection_is_there_in_both_versions(server: HodeiServer, version: str) -> None:
    listed = buf_curl(
        server,
        "hodei.JobExecutionService/ListJobs",
        {"limit": 1},
        "--reflect-protocol",
        version,
    )
    assert listed.code == 0, listed.errors


def test_the_log_reads_as_lines_for_old_clients(server: HodeiServer) -> None:
    with server.client() as client:
        job = client.submit(command=["sh", "-c", "echo one; echo two >&2; printf three"])
        client.wait(job.id)
    got = buf_curl(server, "hodei.LogStreamService/GetLogs", {"job_id": job.id, "limit": 10})
    assert got.code == 0, got.errors
    lines = {(entry["line"], entry.get("isStderr", False)) for entry in got.json["entries"]}
    assert lines == {("one", False), ("two", True), ("three", False)}
    streamed = buf_curl(
        server,
        "hodei.LogStreamService/SubscribeLogs",
        {"job_id": job.id, "include_history": True},
    )
    assert streamed.code == 0, streamed.errors
    assert streamed.text.count('"line"') == 3


def test_an_unknown_job_is_not_found(server: HodeiServer) -> None:
    missing = buf_curl(
        server, "hodei.JobExecutionService/GetJob", {"job_id": {"value": "nobody-knows-me"}}
    )
    assert missing.code != 0
    assert "not_found" in missing.errors


def test_the_health_service_says_that_it_serves(server: HodeiServer) -> None:
    health = buf_curl(server, "grpc.health.v1.Health/Check", {})
    assert health.code == 0, health.errors
    assert health.json["status"] == "SERVING"


@pytest.mark.parametrize("probe", ["live", "ready", "startup"])
def test_health_over_http(server: HodeiServer, probe: str) -> None:
    with urllib.request.urlopen(f"http://{server.addresses['http']}/health/{probe}") as response:
        assert response.status == 200


def test_old_clients_follow_an_execution_by_its_id(server: HodeiServer) -> None:
    with server.client() as client:
        job = client.submit(command=["true"])
        client.wait(job.id)
    followed = buf_curl(
        server, "hodei.JobExecutionService/ExecutionEventStream", {"value": f"{job.id}/1"}
    )
    assert followed.code == 0, followed.errors
    assert "EXECUTION_STATE_COMPLETED" in followed.text
