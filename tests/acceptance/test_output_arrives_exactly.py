"""Output is stored and read byte for byte, on both streams, by early, late and slow readers."""

import os
import threading
import time
from pathlib import Path

import pytest

from acceptance.harness import HodeiServer, eventually, on_a_busy_machine
from acceptance.reading import Digest, digests_of, output_of
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc

MEGABYTE = 1_000_000
BOTH_STREAMS = 'cat "$1" & cat "$2" >&2; wait'


@pytest.fixture(scope="module")
def two_large_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("large")
    files = folder / "out", folder / "err"
    for file in files:
        with file.open("wb") as opened:
            for _ in range(100):
                opened.write(os.urandom(MEGABYTE))
    return files


def test_100_mb_of_random_bytes_arrive_on_each_stream(
    server: HodeiServer, two_large_files: tuple[Path, Path]
) -> None:
    out, err = two_large_files
    with server.client() as client:
        job = client.submit(command=["sh", "-c", BOTH_STREAMS, "sh", str(out), str(err)])
        live = digests_of(client, job.id)
        assert client.wait(job.id).state == "SUCCEEDED"
        late = digests_of(client, job.id)
        beyond = 77_777_777
        rest = digests_of(client, job.id, stdout_from=beyond, stderr_from=beyond)
    whole = Digest.of_file(out), Digest.of_file(err)
    assert whole[0].size == 100 * MEGABYTE
    assert live == whole
    assert late == whole
    assert rest == tuple(Digest.of([file.read_bytes()[beyond:]]) for file in (out, err))


def test_a_million_short_lines_arrive_on_each_stream(server: HodeiServer) -> None:
    ran = server.cli("run", "--", "sh", "-c", "seq 1000000; seq 1000001 2000000 >&2")
    assert ran.code == 0
    assert ran.stdout == b"".join(b"%d\n" % n for n in range(1, 1_000_001))
    assert ran.stderr == b"".join(b"%d\n" % n for n in range(1_000_001, 2_000_001))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(bytes(range(256)) * 7, id="every byte"),
        pytest.param(b"\r\n\r\rprogress\r100 %\r\n", id="carriage returns"),
        pytest.param(b"no newline at the end", id="no last newline"),
        pytest.param(b"\n\n\n", id="only newlines"),
        pytest.param(b"\xff\xfe\x00caf\xe9", id="not utf-8"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_awkward_bytes_are_kept(server: HodeiServer, tmp_path: Path, given: bytes) -> None:
    file = tmp_path / "given"
    file.write_bytes(given)
    ran = server.cli("run", "--", "sh", "-c", 'cat "$1"; cat "$1" >&2', "sh", str(file))
    assert (ran.stdout, ran.stderr) == (given, given)


def test_a_second_reader_from_any_offset_gets_exactly_the_rest(server: HodeiServer) -> None:
    with server.client() as client:
        job = client.submit(command=["sh", "-c", "seq 20000; seq 30000 >&2"])
        client.wait(job.id)
        whole = output_of(client, job.id)
        for offset in (0, 1, 6, 65_536, len(whole.stdout) - 1, len(whole.stdout)):
            assert digests_of(client, job.id, stdout_from=offset, stderr_from=offset) == (
                Digest.of([whole.stdout[offset:]]),
                Digest.of([whole.stderr[offset:]]),
            )


def test_the_logs_command_of_a_late_reader_prints_both_streams(server: HodeiServer) -> None:
    with server.client() as client:
        job = client.submit(command=["sh", "-c", "seq 5000; seq 7000 >&2"])
        client.wait(job.id)
    ran = server.cli("logs", job.id)
    assert ran.stdout == b"".join(b"%d\n" % n for n in range(1, 5001))
    assert ran.stderr == b"".join(b"%d\n" % n for n in range(1, 7001))


def test_a_line_can_be_read_while_its_job_still_runs(server: HodeiServer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with server.client() as client:
        job = client.submit(
            command=["sh", "-c", 'echo first; cat "$1"; echo last', "sh", str(gate)]
        )
        chunks = iter(client.logs(job.id))
        assert next(chunks).data == b"first\n"
        # What it wrote is told as soon as it is stored, which may be just before its start is.
        eventually(
            lambda: client.get(job.id).state == "RUNNING", within_s=5, what="the job to be running"
        )
        gate.write_bytes(b"through the gate\n")
        assert b"".join(chunk.data for chunk in chunks) == b"through the gate\nlast\n"
        assert client.wait(job.id).state == "SUCCEEDED"


def test_a_reader_that_stands_still_does_not_slow_the_job(
    server: HodeiServer, two_large_files: tuple[Path, Path]
) -> None:
    out, err = two_large_files
    command = ["sh", "-c", BOTH_STREAMS, "sh", str(out), str(err)]
    with server.client() as client:
        began = time.monotonic()
        client.wait(client.submit(command=command).id)
        alone_s = time.monotonic() - began

        job = client.submit(command=command)
        with server.channel() as channel:
            stub = rpc.LogStreamServiceStub(channel)
            entries = stub.SubscribeLogs(
                pb.SubscribeLogsRequest(job_id=job.id, include_history=True, raw=True)
            )
            first = next(entries)
            began = time.monotonic()
            assert client.wait(job.id).state == "SUCCEEDED"
            watched_s = time.monotonic() - began
            got = len(first.data) + sum(len(entry.data) for entry in entries)
    assert got == 200 * MEGABYTE
    assert watched_s < max(3 * alone_s, on_a_busy_machine(5.0)), (
        f"{watched_s:.1f} s, {alone_s:.1f} s without a reader"
    )


def test_twenty_readers_of_one_job_all_get_everything(server: HodeiServer) -> None:
    got: list[tuple[Digest, Digest]] = []
    with server.client() as client:
        job = client.submit(command=["sh", "-c", "seq 100000"])

        def read() -> None:
            got.append(digests_of(client, job.id))

        readers = [threading.Thread(target=read) for _ in range(20)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    whole = Digest.of(b"%d\n" % n for n in range(1, 100_001))
    assert [digest[0] for digest in got] == [whole] * 20
