"""Who may use a data directory, and what happens when it is full."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acceptance.harness import HODEI, HodeiServer, on_a_busy_machine, run_command
from acceptance.reading import Digest, digests_of
from hodei.kernel.errors import HodeiError
from hodei.sdk import Client


def test_a_second_server_is_refused_with_the_first_ones_process_id(server: HodeiServer) -> None:
    second = run_command(server.command(), within_s=20)
    assert second.code == 2
    assert str(server.pid) in second.errors
    assert len(second.errors.strip().splitlines()) == 1, second.errors
    assert server.cli("jobs", "list").code == 0


def test_a_data_directory_is_free_again_after_a_crash(
    start_server: Callable[..., HodeiServer],
) -> None:
    own = start_server()
    own.kill()
    began = time.monotonic()
    own.start()
    assert time.monotonic() - began < on_a_busy_machine(3.0)


def test_a_server_is_ready_in_2_s(start_server: Callable[..., HodeiServer]) -> None:
    taken: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        own = start_server()
        taken.append(time.monotonic() - began)
        own.stop()
    assert min(taken) < on_a_busy_machine(2.0), f"with a new data directory: {taken}"


def test_a_newer_schema_is_refused_with_what_to_do(
    start_server: Callable[..., HodeiServer],
) -> None:
    own = start_server()
    own.stop()
    changed = 0
    for file in own.data_dir.rglob("*"):
        if not file.is_file() or file.read_bytes()[:15] != b"SQLite format 3":
            continue
        with sqlite3.connect(file) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            if "alembic_version" in tables:
                connection.execute("UPDATE alembic_version SET version_num = '9999_from_later'")
                changed += 1
        connection.close()
    assert changed == 1
    refused = run_command(own.command(), within_s=20)
    assert refused.code == 2
    assert "9999_from_later" in refused.errors
    assert "Traceback" not in refused.errors


def test_a_data_directory_is_private(server: HodeiServer) -> None:
    assert server.data_dir.stat().st_mode & 0o077 == 0


def test_a_data_directory_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused = run_command(
        [HODEI, "dev", "--data-dir", str(tmp_path / "file" / "data"), "--grpc-port", "0"],
        within_s=20,
    )
    assert refused.code == 2
    assert len(refused.errors.strip().splitlines()) == 1, refused.errors


def test_a_port_that_is_taken_is_named(server: HodeiServer, tmp_path: Path) -> None:
    port = server.address.rsplit(":", 1)[1]
    command = [HODEI, "dev", "--data-dir", str(tmp_path / "data"), "--grpc-port", port]
    refused = run_command(
        [*command, "--worker-port", "0", "--enroll-port", "0", "--http-port", "0"], within_s=20
    )
    assert refused.code == 2
    assert port in refused.errors
    assert len(refused.errors.strip().splitlines()) == 1, refused.errors


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(mount_point)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount: {mounted.stderr.decode().strip()}")
    yield mount_point
    subprocess.run(["umount", "--lazy", str(mount_point)], check=True)


MEGABYTE_JOB = ["sh", "-c", "seq -f %07g 131072"]  # 1 MiB of numbers


def submit_until_refused(client: Client, *, at_most: int) -> list[str]:
    """Submits jobs of 1 MiB of output until the server can take no more."""
    accepted: list[str] = []
    for number in range(at_most):
        try:
            accepted.append(client.submit(command=MEGABYTE_JOB, id=f"full-{number}").id)
        except HodeiError:
            break
    return accepted


def test_a_full_disk_loses_nothing_that_was_acknowledged(
    small_disk: Path, start_server: Callable[..., HodeiServer]
) -> None:
    own = start_server(data_dir=small_disk / "data")
    with own.client() as client:
        client.wait(client.submit(command=["true"]).id)
        free = os.statvfs(small_disk)
        ballast = small_disk / "ballast"
        room = 12 << 20
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - room)
        accepted = submit_until_refused(client, at_most=60)
        assert len(accepted) >= 5
        early = [job for job in client.jobs() if job.state == "SUCCEEDED"]
        ballast.unlink()
        wanted = Digest.of(b"%07d\n" % n for n in range(1, 131_073))
        for job_id in accepted[:40]:
            assert client.wait(job_id, timeout=60).state == "SUCCEEDED"
            assert digests_of(client, job_id)[0] == wanted, job_id
        for job in early:
            assert client.get(job.id).state == "SUCCEEDED"
