"""What operators type: lists, filters, watching, workers by hand."""

import json
import signal
import subprocess
from collections.abc import Callable

from acceptance.harness import HODEI, HodeiServer, clean_environment


def test_jobs_are_found_by_state_name_label_tag_and_time(server: HodeiServer) -> None:
    words = ["--name", "findme", "--label", "team=blue", "--tag", "nightly"]
    server.cli("run", *words, "--id", "found", "--", "true")
    server.cli("run", "--name", "findme", "--id", "other", "--", "false")

    def ids(*filters: str) -> set[str]:
        return {job["id"] for job in server.cli("jobs", "list", *filters, "--output", "json").json}

    assert ids("--name", "findme") == {"found", "other"}
    assert ids("--name", "findme", "--state", "succeeded") == {"found"}
    assert ids("--label", "team=blue") == ids("--tag", "nightly") == {"found"}
    assert ids("--name", "findme", "--since", "1h") == {"found", "other"}
    assert ids("--name", "findme", "--since", "2999-01-01T00:00:00Z") == set()
    assert len(ids("--limit", "1")) == 1


def test_show_says_why_a_job_waits(server: HodeiServer) -> None:
    job_id = server.cli("run", "--detach", "--gpus", "8", "--", "true").text.strip()
    shown = server.cli("jobs", "show", job_id)
    assert "waits because: " in shown.text
    assert server.cli("jobs", "show", job_id, "--output", "json").json["pending_reason"]
    assert server.cli("jobs", "cancel", job_id, "--wait").text == f"{job_id} is CANCELLED\n"


def test_providers_say_how_they_are_and_explain_says_why_a_job_is_where_it_is(
    server: HodeiServer,
) -> None:
    server.cli("run", "--id", "explained", "--retries", "1", "--backoff", "1ms", "--", "false")
    [local] = server.cli("providers", "list", "--output", "json").json
    assert (local["name"], local["type"], local["state"]) == ("local", "local", "HEALTHY")
    assert local["breaker"] == {"state": "CLOSED", "open_until": None, "failures": 0}
    assert sum(local["workers"].values()) == local["active_workers"] > 0
    assert "breaker: CLOSED" in " ".join(server.cli("providers", "show", "local").text.split())
    told = server.cli("explain", "explained", "--output", "json").json
    assert told["summary"].endswith("no other followed: its retry policy allows 2 in all")
    assert [attempt["number"] for attempt in told["attempts"]] == [1, 2]
    job_id = server.cli("run", "--detach", "--gpus", "8", "--", "true").text.strip()
    assert "GPUs, not 8" in server.cli("explain", job_id).text
    refused = server.cli("providers", "show", "nothing")
    assert (refused.code, len(refused.errors.splitlines())) == (2, 1)


def test_a_failed_job_is_tried_again_when_somebody_asks(server: HodeiServer) -> None:
    server.cli("run", "--id", "again", "--", "sh", "-c", "exit 9")
    assert server.cli("jobs", "retry", "again").code == 0
    with server.client() as client:
        job = client.wait("again", timeout=20)
    assert [attempt.number for attempt in job.attempts] == [1, 2]
    server.cli("run", "--id", "fine", "--", "true")
    refused = server.cli("jobs", "retry", "fine")
    assert (refused.code, len(refused.errors.splitlines())) == (2, 1)


def test_watch_tells_what_happens_as_it_happens(server: HodeiServer) -> None:
    with server.client() as client:
        now = client.server_info().position
    watching = server.start_cli("jobs", "watch", "--after", now, "--output", "json")
    assert watching.stdout is not None
    server.cli("run", "--id", "watched", "--", "true")
    types: list[str] = []
    while "JobSucceeded" not in types:
        event = json.loads(watching.stdout.readline())
        if event["job_id"] == "watched":
            types.append(event["type"])
    assert types[:2] == ["JobCreated", "JobQueued"]
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=10)
    assert watching.returncode == 130
    assert errors == b""
    told = server.cli("jobs", "watch", "watched")
    told_types = [line.split()[1] for line in told.text.splitlines()]
    assert [each for each in told_types if each.startswith("Job")] == types


def test_a_worker_started_by_hand_enrols_runs_jobs_and_is_drained(
    start_server: Callable[..., HodeiServer], tmp_path: object
) -> None:
    server = start_server(local_max_workers=0)
    invitation = server.cli("workers", "invite", "--name", "by-hand", "--label", "zone=hand")
    document = json.loads(invitation.text)
    worker = subprocess.Popen(
        [HODEI, "worker", "--slots", "2", "--label", "kind=manual", "--work-dir", f"{tmp_path}/w"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    try:
        assert worker.stdin is not None
        worker.stdin.write(invitation.stdout)
        worker.stdin.close()
        worker.stdin = None
        ran = server.cli("run", "--selector", "zone=hand", "--", "echo", "by hand")
        assert (ran.code, ran.stdout) == (0, b"by hand\n")
        [shown] = server.cli("workers", "list", "--output", "json").json
        assert shown["id"] == document["worker_id"]
        assert (shown["name"], shown["slots"], shown["provider"]) == ("by-hand", 2, "static")
        assert shown["labels"].items() >= {"zone": "hand", "kind": "manual"}.items()
        assert server.cli("workers", "drain", shown["id"]).code == 0
        assert worker.wait(timeout=20) == 0
    finally:
        worker.kill()
        worker.communicate()
    [ended] = server.cli("workers", "list", "--all", "--output", "json").json
    assert ended["state"] in {"DRAINING", "TERMINATED"}


def test_a_worker_without_a_document_says_where_one_comes_from(server: HodeiServer) -> None:
    ran = server.cli("worker", stdin=b"not a document")
    assert ran.code == 2
    assert "hodei workers invite" in ran.errors
    assert len(ran.errors.splitlines()) == 1
