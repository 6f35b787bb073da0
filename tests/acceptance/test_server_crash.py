"""The server dies; what it accepted goes on, and ends once."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.crash import Ledger, run_through_crashes
from acceptance.harness import HodeiServer, assert_all_gone, eventually
from acceptance.reading import digests_of, output_of


@pytest.mark.timeout(120)
def test_a_killed_server_loses_no_job_and_no_byte(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    own = start_server(local_slots=4, local_max_workers=2)
    run_through_crashes(own, tmp_path / "ledger", jobs=100, crashes=3, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_500_jobs_survive_ten_crashes_in_a_row(
    start_server: Callable[..., HodeiServer], tmp_path: Path, seed: int
) -> None:
    own = start_server(local_slots=4, local_max_workers=2)
    run_through_crashes(own, tmp_path / "ledger", jobs=500, crashes=10, seed=100 + seed)


def test_a_job_that_runs_while_its_server_is_dead_writes_on_and_is_told_afterwards(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    own = start_server()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = 'echo before; cat "$1" > /dev/null; seq 100000; echo done > "$2"'
    with own.client() as client:
        job = client.submit(command=["sh", "-c", script, "sh", str(gate), str(tmp_path / "done")])
        assert next(iter(client.logs(job.id))).data == b"before\n"
    own.kill()
    gate.write_bytes(b"go on\n")
    # The agent's spool holds what nobody can take yet.
    own.start()
    with own.client() as client:
        ended = client.wait(job.id, timeout=30)
        output = output_of(client, job.id)
    assert (ended.state, len(ended.attempts)) == ("SUCCEEDED", 1)
    assert output.stdout == b"before\n" + b"".join(b"%d\n" % n for n in range(1, 100_001))


def test_a_client_that_waits_and_one_that_reads_outlive_the_server(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    own = start_server()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with own.client() as client:
        job = client.submit(command=["sh", "-c", 'seq 1000; cat "$1"; seq 1000', "sh", str(gate)])
        chunks = iter(client.logs(job.id))
        parts = [next(chunks).data]
        own.kill()
        own.start()
        gate.write_bytes(b"--\n")
        parts += [chunk.data for chunk in chunks]
        assert client.wait(job.id).state == "SUCCEEDED"
    thousand = b"".join(b"%d\n" % n for n in range(1, 1001))
    assert b"".join(parts) == thousand + b"--\n" + thousand


def test_sigterm_lets_running_jobs_end_and_leaves_nothing_behind(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    own = start_server()
    folder = tmp_path / "ledger"
    folder.mkdir()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    ledger = Ledger(folder=folder)
    script = 'echo begun; cat "$1"; echo ended; echo ended > "$2"'
    with own.client() as client:
        job = client.submit(command=["sh", "-c", script, "sh", str(gate), str(tmp_path / "ended")])
        assert next(iter(client.logs(job.id))).data == b"begun\n"
        waiting = client.submit_many([ledger.request(f"later-{n}") for n in range(3)])
        own.terminate()
        gate.write_bytes(b"")
    assert own.process is not None
    assert own.process.wait(30) == 0
    assert (tmp_path / "ended").exists()
    eventually(lambda: not own.processes(), within_s=5, what="the end of the server's processes")
    own.process = None
    own.start()
    with own.client() as client:
        assert client.get(job.id).state == "SUCCEEDED"
        assert output_of(client, job.id).stdout == b"begun\nended\n"
        for each in waiting:
            assert client.wait(each.id, timeout=30).state == "SUCCEEDED"
            assert ledger.runs(each.id) == 1


def test_a_clean_stop_without_jobs_is_quick_and_leaves_nothing_behind(
    start_server: Callable[..., HodeiServer],
) -> None:
    own = start_server()
    with own.client() as client:
        client.wait(client.submit(command=["true"]).id)
    processes = own.processes()
    assert len(processes) > 1, "the server and at least one agent"
    assert own.stop(within_s=10) == 0
    assert_all_gone(processes, within_s=1)
    assert "Traceback" not in own.log


def test_sigint_stops_it_as_sigterm_does(start_server: Callable[..., HodeiServer]) -> None:
    own = start_server()
    os.kill(own.pid, signal.SIGINT)
    assert own.process is not None
    assert own.process.wait(10) == 0
    own.process = None
    assert own.processes() == []


def test_a_restarted_server_keeps_its_ports_and_its_jobs(
    start_server: Callable[..., HodeiServer],
) -> None:
    own = start_server()
    before = dict(own.addresses)
    with own.client() as client:
        job = client.submit(command=["echo", "kept"])
        client.wait(job.id)
    own.stop()
    own.start()
    for port in ("grpc", "worker", "enroll", "http"):
        assert own.addresses[port] == before[port]
    with own.client() as client:
        assert client.get(job.id).state == "SUCCEEDED"
        assert digests_of(client, job.id)[0].size == len("kept\n")


@pytest.mark.timeout(60)
def test_a_server_that_dies_while_it_starts_starts_the_next_time(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    own = start_server()
    folder = tmp_path / "ledger"
    folder.mkdir()
    ledger = Ledger(folder=folder)
    ids = [f"restless-{n}" for n in range(20)]
    with own.client() as client:
        client.submit_many([ledger.request(job_id) for job_id in ids])
    for _ in range(3):
        own.kill()
        own.start()
    with own.client() as client:
        for job_id in ids:
            client.wait(job_id, timeout=30)
            ledger.check(client, job_id)
