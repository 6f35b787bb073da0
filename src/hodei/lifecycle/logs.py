"""Sets up structlog for a server process."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


class _BestEffort:
    """A file that loses what it cannot write.

    The log may be on a disk that is full, or go into a pipe that nobody reads any more. Whoever
    writes a line is in the middle of something that must not fail for that.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError):
            return self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


def set_up_logs(*, readable: bool, level: int = logging.INFO) -> None:
    """Sends the log to stderr: one JSON object a line, or readable lines for a terminal.

    Event words are stable and in snake_case; facts are keys.
    """
    # Without the console renderer's colours and tracebacks by rich: 5 MB that a server
    # would carry for nothing.
    renderer: structlog.typing.Processor = (
        structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
        if readable
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _BestEffort(sys.stderr))),
        cache_logger_on_first_use=True,
    )
