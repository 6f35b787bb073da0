"""`hodei.LogStreamService`."""

# The decorators' Callable types have no parameter names; gRPC passes both by position.
# pyright: reportIncompatibleMethodOverride=false

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc.aio

from hodei.api.grpc.jobs import required_job_id
from hodei.api.grpc.refusals import streaming, unary
from hodei.application.tail_logs import LogWindow, TailLogs
from hodei.domain.logs import LogStream
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import JobId
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as pb_grpc
from hodei.wire.log_views import LineSplitter, raw_entry

Context = grpc.aio.ServicerContext[Any, Any]

_PAGE_BYTES = 64 * 1024
"""Read at once: split into lines, it keeps the event loop for some milliseconds."""
_MOST_ANSWER_BYTES = 8 * 2**20
_TAIL_BYTES = 256 * 1024
"""How far before the end the last lines are looked for at first."""
_MOST_TAIL_LINES = 100_000
_DEFAULT_LIMIT = 1000
_MOST_ENTRIES = 10_000


class LogStreamService(pb_grpc.LogStreamServiceServicer):
    """The output of jobs, for clients."""

    def __init__(self, tail: TailLogs) -> None:
        self._tail = tail

    @streaming
    async def SubscribeLogs(
        self, request: pb.SubscribeLogsRequest, context: Context
    ) -> AsyncGenerator[pb.JobLogEntry, None]:
        """History where asked for, then what comes."""
        job_id, window = _window(request)
        if request.tail_lines > 0:
            window = await self._last_lines(job_id, window, request.tail_lines)
        follow = request.follow if request.HasField("follow") else True
        entries = self._tail.tail(job_id, window, follow=follow)
        splitter = LineSplitter()
        async with aclosing(entries):
            async for entry in entries:
                if request.raw:
                    yield raw_entry(entry)
                    continue
                for message in splitter.split(entry):
                    yield message
        for message in splitter.flush():
            yield message

    @unary
    async def GetLogs(self, request: pb.GetLogsRequest, context: Context) -> pb.GetLogsResponse:
        """Some stored entries after a sequence, and whether there are more."""
        job_id = required_job_id(pb.JobId(value=request.job_id), field="job_id")
        limit = request.limit or _DEFAULT_LIMIT
        if not 1 <= limit <= _MOST_ENTRIES:
            raise InvalidFieldsError.of("limit", f"1 to {_MOST_ENTRIES}; 0 means {_DEFAULT_LIMIT}")
        _require_not_negative(since_sequence=request.since_sequence)
        sequence = request.since_sequence
        splitter = LineSplitter()
        found: list[pb.JobLogEntry] = []
        size = 0
        while len(found) <= limit and size < _MOST_ANSWER_BYTES:
            page = await self._tail.page(
                job_id,
                attempt=request.attempt,
                after_sequence=sequence,
                max_bytes=_PAGE_BYTES,
            )
            if not page:
                found += splitter.flush()
                break
            for entry in page:
                sequence = entry.sequence
                size += len(entry.chunk.data)
                found += [raw_entry(entry)] if request.raw else splitter.split(entry)
        has_more = len(found) > limit or size >= _MOST_ANSWER_BYTES
        return pb.GetLogsResponse(entries=found[:limit], has_more=has_more)

    async def _last_lines(self, job_id: JobId, window: LogWindow, lines: int) -> LogWindow:
        """The window that begins so many lines before the present end."""
        end = await self._tail.end(job_id)
        reach = _TAIL_BYTES
        while True:
            begin = max(window.after_sequence, end - reach)
            starts = await self._line_starts(job_id, window.attempt, begin, most=lines + 1)
            # One more than is wanted: the first of them may be the middle of a line.
            if begin == window.after_sequence or len(starts) > lines:
                break
            reach *= 8
        return replace(window, after_sequence=starts[-lines] if len(starts) >= lines else begin)

    async def _line_starts(
        self, job_id: JobId, attempt: int, sequence: int, *, most: int
    ) -> deque[int]:
        """Where the last lines begin, of those after a sequence."""
        starts: deque[int] = deque(maxlen=most)
        splitter = LineSplitter()
        while True:
            page = await self._tail.page(
                job_id,
                attempt=attempt,
                after_sequence=sequence,
                max_bytes=_PAGE_BYTES,
            )
            if not page:
                break
            for entry in page:
                sequence = entry.sequence
                starts += [line.sequence - len(line.data) for line in splitter.split(entry)]
        starts += [line.sequence - len(line.data) for line in splitter.flush()]
        return starts


def _window(request: pb.SubscribeLogsRequest) -> tuple[JobId, LogWindow]:
    job_id = required_job_id(pb.JobId(value=request.job_id), field="job_id")
    _require_not_negative(
        stdout_offset=request.stdout_offset,
        stderr_offset=request.stderr_offset,
        after_sequence=request.after_sequence,
        tail_lines=request.tail_lines,
    )
    if request.tail_lines > _MOST_TAIL_LINES:
        raise InvalidFieldsError.of("tail_lines", f"at most {_MOST_TAIL_LINES}")
    begins_somewhere = (
        request.include_history
        or request.tail_lines
        or request.after_sequence
        or request.stdout_offset
        or request.stderr_offset
    )
    return job_id, LogWindow(
        attempt=request.attempt,
        after_sequence=request.after_sequence,
        offsets={
            LogStream.STDOUT: request.stdout_offset,
            LogStream.STDERR: request.stderr_offset,
        },
        from_now=not begins_somewhere,
    )


def _require_not_negative(**numbers: int) -> None:
    for field, number in numbers.items():
        if number < 0:
            raise InvalidFieldsError.of(field, f"{number} is not allowed: 0 or more")
