"""The agent's own log: one JSON object a line on standard error.

structlog would bring rich with it, and a sixth of a second at each start.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

_LEVELS: Final = {logging.WARNING: "warning", logging.ERROR: "error", logging.CRITICAL: "critical"}


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON; facts are its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": _LEVELS.get(record.levelno, "info"),
            "event": record.getMessage(),
        }
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class FactsLog:
    """Events as snake_case words, each with facts by name."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def info(self, event: str, **facts: object) -> None:
        """Something happened that is in order."""
        self._logger.info(event, extra={"facts": facts})

    def warning(self, event: str, **facts: object) -> None:
        """Something happened that somebody may want to look at."""
        self._logger.warning(event, extra={"facts": facts})

    def error(self, event: str, cause: BaseException, **facts: object) -> None:
        """A defect, with the traceback of its cause."""
        self._logger.error(event, exc_info=cause, extra={"facts": facts})


log: Final = FactsLog(logging.getLogger("hodei.agent"))


def set_up(stream: TextIO | None = None) -> None:
    """Sends every log of this process to `stream`, or standard error, as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
