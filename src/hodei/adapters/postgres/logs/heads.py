"""Up to where the jobs are stored that this server appends to, as far as it knows."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from hodei.kernel.ids import JobId

from .group import Head

_KEPT: Final = 4096
"""Jobs: one is about 500 bytes here, and a read of a row in the database."""
_KEPT_S: Final = 300.0
"""A job that was not appended to for so long is asked for again: its output may have been let go of
meanwhile, and its id be another job's now. Far less than output is kept."""


class KnownHeads:
    """Heads that were true when they were last written or read; other servers may go on from there.

    That is seen by the statement that appends, which names the head that it goes on from.

    Args:
        monotonic: Tells the time.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._heads: OrderedDict[JobId, tuple[float, Head]] = OrderedDict()

    def get(self, job_id: JobId) -> Head | None:
        """What is known of a job."""
        known = self._heads.get(job_id)
        if known is None or self._monotonic() - known[0] > _KEPT_S:
            return None
        return known[1]

    def keep(self, heads: Mapping[JobId, Head]) -> None:
        """Takes note of what was written or read."""
        now = self._monotonic()
        for job_id, head in heads.items():
            self._heads[job_id] = (now, head)
            self._heads.move_to_end(job_id)
        while len(self._heads) > _KEPT:
            self._heads.popitem(last=False)

    def forget(self, job_ids: Iterable[JobId]) -> None:
        """Forgets what may not be true."""
        for job_id in job_ids:
            self._heads.pop(job_id, None)
