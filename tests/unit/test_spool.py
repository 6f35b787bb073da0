"""Queues of bytes in files."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from hodei.agent.reactor.events import JobKey, StreamKey
from hodei.agent.spool import Spool
from hodei.domain.logs import LogStream

JOB = JobKey("job", 1)
OUT = StreamKey(JOB, LogStream.STDOUT)
ERR = StreamKey(JOB, LogStream.STDERR)
OTHER = StreamKey(JobKey("other", 2), LogStream.STDOUT)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(directory: Path) -> Iterator[Spool]:
    spool = Spool(directory, segment_bytes=10)
    yield spool
    spool.close()
    assert not list(directory.iterdir())


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_bytes_come_out_as_they_went_in_across_files(spool: Spool, directory: Path) -> None:
    for number in range(10):
        spool.append(OUT, b"%d" % number * 7)
    assert len(files(directory)) > 1

    taken = spool.take(OUT, 3) + spool.take(OUT, 50) + spool.take(OUT, 17)

    assert taken == b"".join(b"%d" % number * 7 for number in range(10))


def test_a_file_goes_once_it_was_read_and_an_empty_queue_has_none(
    spool: Spool, directory: Path
) -> None:
    spool.append(OUT, b"a" * 10)
    spool.append(OUT, b"b" * 5)
    assert files(directory) == ["job.1.stdout.0", "job.1.stdout.1"]

    spool.take(OUT, 10)
    assert files(directory) == ["job.1.stdout.1"]
    spool.take(OUT, 5)
    assert files(directory) == []
    spool.append(OUT, b"c")
    assert spool.take(OUT, 1) == b"c"


def test_dropping_takes_from_the_front(spool: Spool, directory: Path) -> None:
    spool.append(OUT, b"0123456789")
    spool.append(OUT, b"abcdefghij")

    spool.drop(OUT, 12)

    assert files(directory) == ["job.1.stdout.1"]
    assert spool.take(OUT, 8) == b"cdefghij"


def test_queues_do_not_mix_and_a_job_goes_with_all_of_its_own(
    spool: Spool, directory: Path
) -> None:
    for key in (OUT, ERR, OTHER):
        spool.append(key, key.stream.name.encode() + key.job.job_id.encode())
    spool.remove(JOB)
    spool.remove(JOB)

    assert files(directory) == ["other.2.stdout.0"]
    assert spool.take(OTHER, 11) == b"STDOUTother"


def test_files_are_for_their_owner_alone_and_what_was_left_behind_is_removed(
    directory: Path,
) -> None:
    directory.mkdir()
    (directory / "job.1.stdout.0").write_bytes(b"of an agent that was killed")
    spool = Spool(directory)
    assert files(directory) == []
    spool.append(OUT, b"x")

    assert (directory / "job.1.stdout.0").stat().st_mode & 0o777 == 0o600
    spool.close()


def test_bytes_that_the_disk_does_not_take_whole_are_not_added(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append(OUT, b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            spool.append(OUT, b"too much")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    spool.append(OUT, b"after")

    assert spool.take(OUT, 11) == b"beforeafter"


def test_bytes_that_the_disk_does_not_give_back_are_left_out(spool: Spool, directory: Path) -> None:
    spool.append(OUT, b"0123456789")
    spool.append(OUT, b"abcdefghij")
    spool.append(OUT, b"next")
    os.truncate(directory / "job.1.stdout.1", 3)

    assert spool.take(OUT, 20) == b"0123456789"
    assert spool.take(OUT, 4) == b"next"
