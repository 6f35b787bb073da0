"""A backup is taken under load, the server dies, and goes on from the backup as if nothing else had been."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.harness import HODEI, HodeiServer, Ran, eventually, run_command
from acceptance.reading import output_of
from dev_db import Cluster
from hodei.kernel.errors import HodeiError
from hodei.sdk import Client

StartServer = Callable[..., HodeiServer]

# Notes who it is, then talks until it is let go on.
LONG = """
echo $$ >> "$1/pids"
n=0
while [ ! -e "$1/go" ]; do
    echo "line $n"
    n=$((n + 1))
    sleep 0.05
done
echo over
"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    folder = tmp_path / "scene"
    folder.mkdir()
    return folder


def long_job(scene: Path, job_id: str) -> dict[str, object]:
    own = scene / job_id
    own.mkdir()
    return {"id": job_id, "command": ["sh", "-c", LONG, "sh", str(own)], "retries": 2}


def quick_job(job_id: str) -> dict[str, object]:
    return {"id": job_id, "command": ["seq", "1000"], "retries": 2}


def pids(scene: Path, job_id: str) -> list[int]:
    file = scene / job_id / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def has_said(client: Client, job_id: str, line: bytes) -> None:
    for chunk in client.logs(job_id):
        if line in chunk.data:
            return
    raise AssertionError(f"{job_id} ended without {line!r}")


def through_a_backup(
    server: HodeiServer, scene: Path, *, back_up: Callable[[], Ran], restore: Callable[[], None]
) -> None:
    whole = b"".join(b"%d\n" % number for number in range(1, 1001))
    stop = threading.Event()
    accepted: list[str] = []

    def load() -> None:
        with server.client() as client:
            number = 0
            while not stop.is_set():
                client.submit(**quick_job(f"load-{number}"))
                accepted.append(f"load-{number}")
                number += 1

    with server.client() as client:
        done = [client.submit(**quick_job(f"done-{number}")).id for number in range(10)]
        for each in done:
            assert client.wait(each).state == "SUCCEEDED"
        client.submit(**long_job(scene, "long"))
        has_said(client, "long", b"line 3\n")
        loading = threading.Thread(target=load)
        loading.start()
        try:
            eventually(lambda: len(accepted) > 20, within_s=20, what="some load")
            before = list(accepted)
            ran = back_up()
            assert ran.code == 0, ran.errors
        finally:
            stop.set()
            loading.join()
        # Both worker and server know more than the backup now.
        for each in accepted:
            assert client.wait(each).state == "SUCCEEDED"
        client.submit(**long_job(scene, "later"))
        has_said(client, "later", b"line 3\n")
        has_said(client, "long", b"line 60\n")
    [long_pid], [later_pid] = pids(scene, "long"), pids(scene, "later")
    server.kill()
    assert is_alive_pid(long_pid)

    restore()
    server.start()

    with server.client() as client:
        for each in done:
            assert client.get(each).state == "SUCCEEDED"
            assert output_of(client, each).stdout == whole
        for each in before:
            job = client.wait(each, timeout=60)
            assert job.state == "SUCCEEDED", job.to_dict()
            assert output_of(client, each, attempt=len(job.attempts)).stdout == whole
        with pytest.raises(HodeiError, match="later"):
            client.get("later")
        for pid in (later_pid, long_pid):
            eventually(lambda pid=pid: not is_alive_pid(pid), within_s=30, what=f"end of {pid}")
        eventually(lambda: len(pids(scene, "long")) == 2, within_s=60, what="the next attempt")
        (scene / "long" / "go").touch()
        job = client.wait("long", timeout=60)
        assert job.state == "SUCCEEDED", job.to_dict()
        assert [each.state for each in job.attempts] == ["LOST", "SUCCEEDED"]
        said = output_of(client, "long", attempt=2).stdout.splitlines()
        assert said == [b"line %d" % number for number in range(len(said) - 1)] + [b"over"]
    print(f"{len(before)} jobs before the backup, {len(accepted)} in all")


def is_alive_pid(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.timeout(180)
def test_of_a_data_directory(start_server: StartServer, tmp_path: Path, scene: Path) -> None:
    server = start_server(local_slots=4, local_max_workers=2)
    copy = tmp_path / "copy"

    def back_up() -> Ran:
        return run_command(
            [HODEI, "db", "backup", "--data-dir", str(server.data_dir), "--to", str(copy)]
        )

    def restore() -> None:
        # As the how-to says.
        server.data_dir.rename(tmp_path / "old")
        shutil.copytree(copy, server.data_dir)

    through_a_backup(server, scene, back_up=back_up, restore=restore)


@pytest.fixture
def restored_url(postgres: Cluster) -> str:
    postgres.drop_database("restored")
    postgres.create_database("restored")
    return postgres.url(database="restored")


@pytest.mark.timeout(180)
def test_of_a_postgresql_database(
    start_server: StartServer,
    postgres: Cluster,
    postgres_url: str,
    restored_url: str,
    tmp_path: Path,
    scene: Path,
) -> None:
    server = start_server(local_slots=4, local_max_workers=2, database_url=postgres_url)
    dump = tmp_path / "hodei.dump"

    def back_up() -> Ran:
        return run_command(
            [str(postgres.bin / "pg_dump"), "--format=custom", f"--file={dump}", postgres_url]
        )

    def restore() -> None:
        command = [postgres.bin / "pg_restore", "--no-owner", f"--dbname={restored_url}", dump]
        subprocess.run(command, check=True)
        server.environment["HODEI_DATABASE_URL"] = restored_url

    through_a_backup(server, scene, back_up=back_up, restore=restore)


def test_a_backup_is_whole_or_not_there(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    server.cli("run", "--", "echo", "hello")

    def back_up(source: Path, to: Path) -> Ran:
        return run_command([HODEI, "db", "backup", "--data-dir", str(source), "--to", str(to)])

    made = back_up(server.data_dir, tmp_path / "copy")
    assert made.code == 0, made.errors
    assert "is a whole copy" in made.text
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "copy.partial").exists()
    names = {each.name for each in (tmp_path / "copy").iterdir()}
    assert {"hodei.db", "logs", "pki", "cluster_id", "otp.key"} <= names
    assert "server.lock" not in names

    again = back_up(server.data_dir, tmp_path / "copy")
    assert again.code != 0
    assert "is there already" in again.errors
    nothing = back_up(tmp_path / "nothing", tmp_path / "other")
    assert nothing.code != 0
    assert "no data directory of a server" in nothing.errors
    (tmp_path / "file").touch()
    unwritable = back_up(server.data_dir, tmp_path / "file" / "copy")
    assert unwritable.code != 0
    assert "cannot be written" in unwritable.errors
    assert len(unwritable.errors.strip().splitlines()) <= 4
