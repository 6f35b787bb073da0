"""Completes the index after a crash, from the segments."""

import os
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from hodei.adapters.logstore.frames import scan
from hodei.adapters.logstore.index import Index
from hodei.adapters.logstore.segment import segment_numbers, segment_path
from hodei.adapters.logstore.tails import SealedSegment

log = structlog.get_logger()

_ROWS_AT_ONCE: Final = 4096


def recover(directory: Path, index: Index, now: datetime) -> int:
    """Indexes what segments hold beyond their index, cuts off a torn end, seals every segment.

    A segment that was open counts as written `now`: later than it was, so that none is deleted
    too early. Returns the first segment number that was never used.
    """
    known = index.segments()
    numbers = segment_numbers(directory)
    for number in numbers:
        state = known.get(number)
        if state is None or not state.is_sealed:
            start = 0 if state is None else state.indexed_to
            _complete(directory, index, number, start, is_last=number == numbers[-1])
    unsealed = {*numbers, *known} - {number for number in known if known[number].is_sealed}
    index.add([], [SealedSegment(number, now) for number in sorted(unsealed)])
    return max(numbers + list(known), default=0) + 1


def _complete(directory: Path, index: Index, number: int, start: int, *, is_last: bool) -> None:
    path = segment_path(directory, number)
    rows = scan(path, number, start)
    end = start
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        index.add(batch)
        end = batch[-1].position + batch[-1].frame_bytes
    size = path.stat().st_size
    if size <= end:
        return
    if is_last:
        # Never acknowledged: a write that the crash interrupted.
        log.info("log_tail_cut", segment=number, cut_bytes=size - end)
        _truncate(path, end)
    else:
        log.error("log_segment_damaged", segment=number, position=end, lost_bytes=size - end)


def _truncate(path: Path, size: int) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)
