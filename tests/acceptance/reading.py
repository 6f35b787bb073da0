"""Reads what jobs wrote, and holds every chunk against the one before it."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hodei.sdk import Client, LogChunk, LogStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The bytes of one attempt, stream by stream."""

    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What is compared of an output that is too large to keep."""

    size: int
    sha256: str

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> "Digest":
        """The digest of bytes that come in parts."""
        digest, size = hashlib.sha256(), 0
        for part in parts:
            digest.update(part)
            size += len(part)
        return cls(size=size, sha256=digest.hexdigest())

    @classmethod
    def of_file(cls, file: Path) -> "Digest":
        """The digest of a file."""
        with file.open("rb") as opened:
            return cls.of(iter(lambda: opened.read(1 << 20), b""))


def in_order(
    chunks: Iterable[LogChunk], *, stdout_from: int = 0, stderr_from: int = 0
) -> Iterator[LogChunk]:
    """Passes chunks on, and fails where one does not begin where its stream had ended."""
    ends = {LogStream.STDOUT: stdout_from, LogStream.STDERR: stderr_from}
    for chunk in chunks:
        assert chunk.offset == ends[chunk.stream], f"{chunk.stream.name} has a gap or an overlap"
        ends[chunk.stream] += len(chunk.data)
        yield chunk


def output_of(client: Client, job_id: str, *, attempt: int = 0) -> Output:
    """All that an attempt has written; the newest one's, where none is named."""
    parts: dict[LogStream, list[bytes]] = {stream: [] for stream in LogStream}
    chosen = attempt or client.get(job_id).attempts[-1].number
    for chunk in in_order(client.logs(job_id, attempt=chosen)):
        parts[chunk.stream].append(chunk.data)
    return Output(
        stdout=b"".join(parts[LogStream.STDOUT]), stderr=b"".join(parts[LogStream.STDERR])
    )


def digests_of(
    client: Client, job_id: str, *, attempt: int = 0, stdout_from: int = 0, stderr_from: int = 0
) -> tuple[Digest, Digest]:
    """The digests of both streams of an attempt, or of the only one, from the given offsets on."""
    hashes = {stream: hashlib.sha256() for stream in LogStream}
    sizes = dict.fromkeys(LogStream, 0)
    chunks = client.logs(
        job_id, attempt=attempt, stdout_offset=stdout_from, stderr_offset=stderr_from
    )
    for chunk in in_order(chunks, stdout_from=stdout_from, stderr_from=stderr_from):
        hashes[chunk.stream].update(chunk.data)
        sizes[chunk.stream] += len(chunk.data)
    out, err = (
        Digest(size=sizes[stream], sha256=hashes[stream].hexdigest())
        for stream in (LogStream.STDOUT, LogStream.STDERR)
    )
    return out, err
