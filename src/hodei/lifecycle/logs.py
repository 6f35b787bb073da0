"""Sets up structlog for a server process."""

import logging
import sys

import structlog


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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
