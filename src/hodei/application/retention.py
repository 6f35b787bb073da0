"""Lets go of jobs, workers, output and runs that are over for long, a little at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from hodei.application.counters import Counters
from hodei.domain.jobs.states import TERMINAL, JobState
from hodei.kernel.clock import Clock
from hodei.kernel.errors import UnavailableError
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId, Position
from hodei.ports.durable import RunKeeping
from hodei.ports.logs import LogKeeping
from hodei.ports.stores import HistoryStore, JobFilter, JobStore, Removed

log = structlog.get_logger()

_EVERY_S: Final = 600.0
_AT_ONCE: Final = 100
"""Jobs and workers that go in one transaction: commits wait for about 10 ms."""
_LOOKED_AT: Final = 500
"""Jobs and workers of one page."""
_SHARE: Final = 4
"""After a transaction, so many times as long is left to others as it took."""
_LEAST_PAUSE_S: Final = 0.02
_UNFINISHED: Final = tuple(sorted(set(JobState) - TERMINAL))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """For how long what is kept."""

    jobs_s: float
    """After their end, with their events; also workers."""
    logs_s: float
    """After it was stored; that of jobs that have not ended stays, whatever its age."""
    logs_bytes: int
    """All output together, as it is stored; 0 for no limit."""
    runs_s: float
    """After the end of a workflow's run, with its history."""


class Retention:
    """A loop that looks every ten minutes, and at the start.

    Args:
        history: Where jobs, workers and events go from.
        jobs: Tells which have not ended.
        logs: Where output goes from.
        runs: Where runs of workflows go from.
        counters: Count what went.
        clock: The time.
        rules: How long what is kept.
        is_on_duty: Whether it is this server that does it, where there are several. Asked again
            before each step; two that did it at once would do no harm.
    """

    def __init__(  # noqa: PLR0913 - what it joins, by name
        self,
        *,
        history: HistoryStore,
        jobs: JobStore,
        logs: LogKeeping,
        runs: RunKeeping,
        counters: Counters,
        clock: Clock,
        rules: RetentionRules,
        is_on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        self._history = history
        self._jobs = jobs
        self._logs = logs
        self._runs = runs
        self._counters = counters
        self._clock = clock
        self._rules = rules
        self._is_on_duty = is_on_duty

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Lets go of all that is over for long enough now."""
        for step in (self._let_output_go, self._let_history_go, self._let_runs_go):
            try:
                if self._is_on_duty():
                    await step(self._clock.now())
            except UnavailableError as error:
                log.warning("retention_delayed", message=str(error))

    async def _let_output_go(self, now: datetime) -> None:
        limit = now - timedelta(seconds=self._rules.logs_s)
        if self._rules.logs_bytes:
            too_much = await self._logs.limit_for(self._rules.logs_bytes)
            if too_much is not None and too_much > limit:
                log.info("output_above_its_size", limit_bytes=self._rules.logs_bytes)
                limit = too_much
        keep = await self._unfinished(created_before=limit)
        if segments := await self._logs.delete_before(limit, keep=keep):
            self._counters.add("log_segments_let_go", segments)
            log.info("old_output_let_go", segments=segments, stored_before=limit.isoformat())

    async def _unfinished(self, *, created_before: datetime) -> list[JobId]:
        """Jobs that have not ended and may have output as old as that."""
        job_filter = JobFilter(states=_UNFINISHED, created_before=created_before)
        found: list[JobId] = []
        cursor = ""
        while True:
            page = await self._jobs.list_jobs(job_filter, limit=_LOOKED_AT, cursor=cursor)
            found += [job.id for job in page.jobs if job.attempts]
            cursor = page.next_cursor
            if not cursor:
                return found

    async def _let_history_go(self, now: datetime) -> None:
        limit = now - timedelta(seconds=self._rules.jobs_s)
        removed = Removed()
        after: Position | None = BEFORE_THE_FIRST
        try:
            while after is not None and self._is_on_duty():
                page = await self._history.ended_before(limit, after=after, at_most=_LOOKED_AT)
                for start in range(0, len(page.streams), _AT_ONCE):
                    removed += await self._remove(page.streams[start : start + _AT_ONCE], limit)
                after = page.next
        finally:
            if removed != Removed():
                log.info(
                    "old_jobs_let_go",
                    jobs=removed.jobs,
                    workers=removed.workers,
                    events=removed.events,
                    ended_before=limit.isoformat(),
                )

    async def _remove(self, streams: tuple[str, ...], limit: datetime) -> Removed:
        # The output first: after a crash in between, the jobs are still there to find it by. One
        # that is begun again just now has then lost what it said before its end of long ago.
        job_ids = [JobId(s.removeprefix("job:")) for s in streams if s.startswith("job:")]
        await self._logs.forget(job_ids)
        began = self._clock.monotonic()
        removed = await self._history.remove(streams, ended_before=limit)
        self._counters.add("jobs_let_go", removed.jobs)
        self._counters.add("workers_let_go", removed.workers)
        self._counters.add("events_let_go", removed.events)
        await self._leave_to_others(since=began)
        return removed

    async def _let_runs_go(self, now: datetime) -> None:
        limit = now - timedelta(seconds=self._rules.runs_s)
        removed, after = 0, 0
        while after is not None and self._is_on_duty():
            began = self._clock.monotonic()
            gone = await self._runs.let_runs_go(closed_before=limit, after=after, at_most=_AT_ONCE)
            self._counters.add("runs_let_go", gone.runs)
            removed, after = removed + gone.runs, gone.next
            await self._leave_to_others(since=began)
        if removed:
            log.info("old_runs_let_go", runs=removed, ended_before=limit.isoformat())

    async def _leave_to_others(self, *, since: float) -> None:
        took = self._clock.monotonic() - since
        await asyncio.sleep(max(_LEAST_PAUSE_S, _SHARE * took))
