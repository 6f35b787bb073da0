"""What one part of a server tells another so that it need not wait for the next look.

Hints may be lost: looking is the truth.
"""

from collections.abc import Generator
from contextlib import contextmanager

from hodei.durable.runner.tally import Count, tally
from hodei.lifecycle.wake import Wake
from hodei.ports.durable import Batch
from hodei.ports.durable_rows import OPEN, RunId


class Hints:
    """Wakes those who wait for work. From the event loop's thread only.

    Args:
        count: Is told what operators count.

    Attributes:
        runs: Something may be in the inbox of a run; `take_runs` says of which.
        timers: A timer was set.
        tasks: A task was queued.
        task_times: A task has a time to be watched, or is to be cancelled.
    """

    def __init__(self, count: Count | None = None) -> None:
        self._count = count
        self.runs = Wake()
        self.timers = Wake()
        self.tasks = Wake()
        self.task_times = Wake()
        self._ends: dict[RunId, set[Wake]] = {}
        self._runs: dict[RunId, None] = {}

    def look_at(self, run_id: RunId) -> None:
        """Says that a run may have something to do."""
        self._runs[run_id] = None
        self.runs.notify()

    def take_runs(self) -> list[RunId]:
        """The runs that were named since the last call."""
        taken = list(self._runs)
        self._runs.clear()
        return taken

    @contextmanager
    def end_of(self, run_id: RunId) -> Generator[Wake]:
        """A flag that is raised when the run ends, for as long as the block runs.

        Of that run alone: a hundred that wait would each ask the store at each of a hundred ends.
        """
        wake = Wake()
        waiting = self._ends.setdefault(run_id, set())
        waiting.add(wake)
        try:
            yield wake
        finally:
            waiting.discard(wake)
            if not waiting:
                self._ends.pop(run_id, None)

    def committed(self, batch: Batch) -> None:
        """Wakes whom a batch concerns that has just been committed, and counts what it did."""
        if self._count is not None:
            tally(batch, self._count)
        for delivery in (*batch.deliveries, *(each.delivery for each in batch.timers_fired)):
            self.look_at(delivery.run_id)
        if batch.timers:
            self.timers.notify()
        if batch.tasks_new or any(each.after is not None for each in batch.tasks):
            self.tasks.notify()
            self.task_times.notify()
        if batch.tasks_cancelled:
            self.task_times.notify()
        for row in batch.runs:
            if row.status not in OPEN:
                for wake in self._ends.get(row.run_id, ()):
                    wake.notify()
