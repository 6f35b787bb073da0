"""What is in the log store, for whoever looks after it. A server may be running on it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hodei.adapters.logstore.failures import unreadable
from hodei.adapters.logstore.segment import segment_numbers, segment_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is there."""

    size_bytes: int = 0
    """Of all segments, and of the index."""
    oldest_at: datetime | None = None
    """When the last output was stored in the oldest segment."""


def overview(directory: Path) -> Overview:
    """Looks at the store, and changes nothing.

    Raises:
        LogStoreUnavailableError: It cannot be read.
    """
    segments = directory / "segments"
    if not segments.exists():
        return Overview()
    try:
        stats = [segment_path(segments, each).stat() for each in segment_numbers(segments)]
        size = sum(path.stat().st_size for path in directory.glob("index.db*"))
    except FileNotFoundError:
        # Let go of just now: what is left is looked at.
        return overview(directory)
    except OSError as error:
        raise unreadable(directory, error) from error
    stats = [each for each in stats if each.st_size]
    oldest = min((each.st_mtime for each in stats), default=None)
    return Overview(
        size_bytes=size + sum(each.st_size for each in stats),
        oldest_at=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
    )
