"""A job's output as clients read it: as bytes, or line by line."""

from dataclasses import replace
from typing import Final

from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import to_timestamp

MAX_LINE_BYTES: Final = 64 * 1024
"""A line that goes on past this is told in pieces."""


def raw_entry(entry: LogEntry) -> pb.JobLogEntry:
    """A chunk as it is stored, for clients that want the bytes; `line` stays empty."""
    chunk = entry.chunk
    return pb.JobLogEntry(
        job_id=chunk.job_id,
        is_stderr=chunk.stream is LogStream.STDERR,
        timestamp=to_timestamp(chunk.at),
        sequence=entry.sequence,
        data=chunk.data,
        offset=chunk.offset,
        attempt=chunk.attempt,
    )


class LineSplitter:
    """Turns stored entries into one message a line. One for each reader.

    `data` of the messages is exactly what is stored, its line ends included; `line` is its text
    without the line's end, with U+FFFD for what is not UTF-8. A line that is stored in several
    chunks is told once, unless another stream's output lies between or it is longer than
    `MAX_LINE_BYTES`. `sequence` never runs ahead of what was told, so that a reader can go on after
    any message.
    """

    def __init__(self) -> None:
        self._rest: LogEntry | None = None
        """The last line so far: its end has not been seen."""

    def split(self, entry: LogEntry) -> list[pb.JobLogEntry]:
        """The lines that are complete with the entry; the rest waits for its end, or for `flush`."""
        told: list[pb.JobLogEntry] = []
        if self._rest is not None:
            if _continues(self._rest, entry):
                entry = _joined(self._rest, entry)
            else:
                told.append(_line(self._rest))
            self._rest = None
        told += self._lines(entry)
        return told

    def flush(self) -> list[pb.JobLogEntry]:
        """The line that still waits for its end, where there is one.

        For when nothing more will come, or the reader wants it now.
        """
        rest, self._rest = self._rest, None
        return [] if rest is None else [_line(rest)]

    def _lines(self, entry: LogEntry) -> list[pb.JobLogEntry]:
        chunk = entry.chunk
        *complete, last = chunk.data.split(b"\n")
        at = to_timestamp(chunk.at)
        is_stderr = chunk.stream is LogStream.STDERR
        offset = chunk.offset
        to_sequence = entry.sequence - chunk.end
        told: list[pb.JobLogEntry] = []
        for text in complete:
            data = text + b"\n"
            end = offset + len(data)
            told.append(
                pb.JobLogEntry(
                    job_id=chunk.job_id,
                    line=_decoded(text.removesuffix(b"\r")),
                    is_stderr=is_stderr,
                    timestamp=at,
                    sequence=to_sequence + end,
                    data=data,
                    offset=offset,
                    attempt=chunk.attempt,
                )
            )
            offset = end
        if last:
            self._rest = replace(entry, chunk=replace(chunk, data=last, offset=offset))
        return told + self.flush() if len(last) >= MAX_LINE_BYTES else told


def _continues(rest: LogEntry, entry: LogEntry) -> bool:
    """Whether the entry goes on where the rest of the entry before it ends."""
    before, after = rest.chunk, entry.chunk
    return (
        before.stream is after.stream
        and before.attempt == after.attempt
        and before.end == after.offset
    )


def _joined(rest: LogEntry, entry: LogEntry) -> LogEntry:
    chunk: LogChunk = replace(
        entry.chunk, offset=rest.chunk.offset, data=rest.chunk.data + entry.chunk.data
    )
    return replace(entry, chunk=chunk)


def _line(entry: LogEntry) -> pb.JobLogEntry:
    message = raw_entry(entry)
    message.line = _decoded(entry.chunk.data)
    return message


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")
