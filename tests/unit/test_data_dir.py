"""A data directory belongs to one server at a time, and keeps what must not change."""

import json
import os
import stat
from pathlib import Path

import pytest

from hodei.server.data_dir import DataDir, DataDirError, DataDirInUseError
from support.chance import CountingIds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a" / "b"


def test_it_is_made_private_with_its_parents(path: Path) -> None:
    directory = DataDir(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    directory.release()


def test_one_that_was_open_to_others_is_closed_to_them(path: Path) -> None:
    path.mkdir(parents=True, mode=0o755)
    DataDir(path).release()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_second_server_is_refused_with_the_first_ones_process_id(path: Path) -> None:
    first = DataDir(path)
    with pytest.raises(DataDirInUseError, match=rf"process id {os.getpid()}; stop that one"):
        DataDir(path)
    first.release()
    DataDir(path).release()


def test_a_place_where_it_cannot_be_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError, match=r"file/b cannot be used: .*--data-dir"):
        DataDir(tmp_path / "file" / "b")


def test_the_cluster_and_its_key_stay_the_same_over_starts(path: Path) -> None:
    ids = CountingIds()
    first = DataDir(path)
    cluster_id, key = first.cluster_id(ids), first.otp_key()
    first.release()
    again = DataDir(path)
    assert (again.cluster_id(ids), again.otp_key()) == (cluster_id, key)
    assert len(key) == 32
    again.release()


def test_what_is_secret_is_readable_by_nobody_else(path: Path) -> None:
    directory = DataDir(path)
    directory.otp_key()
    directory.keep_ports({"grpc": 1})
    for file in path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    directory.release()


def test_a_file_that_a_crash_left_empty_is_written_anew(path: Path) -> None:
    directory = DataDir(path)
    (path / "otp.key").write_bytes(b"")
    assert len(directory.otp_key()) == 32
    directory.release()


def test_a_free_port_is_the_one_of_the_last_start_and_a_given_one_is_itself(path: Path) -> None:
    directory = DataDir(path)
    assert directory.port("grpc", 0) == 0
    directory.keep_ports({"grpc": 4711, "worker": 4712})
    assert directory.port("grpc", 0) == 4711
    assert directory.port("grpc", 80) == 80
    assert directory.port("http", 0) == 0
    directory.release()


@pytest.mark.parametrize("content", ["", "{", json.dumps([1])])
def test_ports_that_cannot_be_read_are_forgotten(path: Path, content: str) -> None:
    directory = DataDir(path)
    (path / "ports.json").write_text(content)
    assert directory.port("grpc", 0) == 0
    directory.release()
