"""One worker's stream while it is up: stores what the worker sends and answers it.

Two tasks own its state. The first stores output and acknowledges it; a result whose bytes are all
stored goes on to the second, which commits starts and results, many at once, and answers them. A
failure of the disk holds both up and loses nothing: what was not answered, the worker sends again.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from hodei.application.counters import Counters
from hodei.application.fleet import Fleet, Member
from hodei.application.journal import ConflictError, Journal
from hodei.application.links import (
    Cancel,
    FromWorker,
    Heartbeat,
    HeldAttempt,
    Leaving,
    Link,
    LogsStored,
    Output,
    Result,
    ResultTaken,
    Started,
)
from hodei.application.log_hub import LogHub
from hodei.application.result_round import ResultRound
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.logs import LogChunk, LogGapError, LogStream
from hodei.domain.workers import decide
from hodei.kernel.clock import Clock, IdSource
from hodei.kernel.ids import JobId, WorkerId
from hodei.lifecycle.finish import finish_despite_cancel
from hodei.lifecycle.race import until_first
from hodei.lifecycle.wake import Wake
from hodei.ports.logs import LogStore, LogStoreUnavailableError
from hodei.ports.stores import StoreUnavailableError

log = structlog.get_logger()

_MOST_PENDING_BYTES = 16 * 2**20
"""Output taken off the stream and not yet stored; beyond it the stream is not read."""
_MOST_PENDING_RECORDS = 4096
"""Starts and results that are not yet committed: many times what a worker's slots can bring."""
_RETRY_AFTER_S = 0.5
"""Wait before a store that was not available is tried again."""
_LAST_WORDS_WITHIN_S = 1.0
"""What a stream brought before its end is stored by then, or its worker must say it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What every session shares."""

    journal: Journal
    fleet: Fleet
    logs: LogStore
    hub: LogHub
    counters: Counters
    clock: Clock
    ids: IdSource
    linger_s: float = 0.01
    """What a start waits for its result, and a slot that is free for the result's commit, at most:
    the commit that they share costs the database and the server as much as each of three would."""


@dataclass(slots=True)
class _Ends:
    """Up to where each stream of an attempt is stored."""

    of: dict[LogStream, int] = field(default_factory=dict[LogStream, int])


class WorkerSession:
    """A stream of one worker. `api` feeds it with `receive` and runs it with `run`."""

    def __init__(self, parts: SessionParts, member: Member, link: Link, epoch: int) -> None:
        self._parts = parts
        self._member = member
        self._link = link
        self.epoch = epoch
        self._chunks: list[LogChunk] = []
        self._pending_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._unstored_results: list[Result] = []
        self._started: list[Started] = []
        self._results: list[Result] = []
        self._ends: dict[tuple[JobId, int], _Ends] = {}
        self._first_output = JobId("")
        self._has_output = asyncio.Event()
        self._log_wake = Wake()
        self._record_wake = Wake()
        self.leaving: str | None = None

    @property
    def worker_id(self) -> WorkerId:
        """Whose stream it is."""
        return self._member.worker.id

    @property
    def link(self) -> Link:
        """The server's end of the stream."""
        return self._link

    def resume(self, held: HeldAttempt, stored: dict[LogStream, int]) -> None:
        """Goes on with an attempt that the worker held before, stored up to these ends."""
        self._ends[held.job_id, held.attempt] = _Ends(dict(stored))
        if held.started:
            self._take_start(Started(job_id=held.job_id, attempt=held.attempt, token=held.token))

    async def receive(self, message: FromWorker) -> None:
        """Takes a message; waits while too much is not stored yet."""
        self._member.last_seen = self._parts.clock.monotonic()
        match message:
            case Heartbeat():
                self._member.usage = message.usage
            case Started():
                await self._has_room.wait()
                self._take_start(message)
            case Output():
                await self._has_room.wait()
                self._take_output(message.chunks)
            case Result():
                await self._has_room.wait()
                self._take_result(message)
            case Leaving():
                self.leaving = message.message

    async def run(self) -> None:
        """Stores and answers until it is cancelled, or the stream must be given up.

        Then stores what came before: its worker may be gone, and would never say it again. A start
        that still waited for company would be taken for none.
        """
        with self._member.recording:
            try:
                await until_first(self._store_output(), self._record(), self._note_first_output())
            finally:
                await finish_despite_cancel(self._store_last_words(), within_s=None)

    def _take_start(self, message: Started) -> None:
        self._started.append(message)
        self._look_at_room()
        self._record_wake.notify_within(self._parts.linger_s)

    def _take_result(self, message: Result) -> None:
        self._unstored_results.append(message)
        # Its output may take long to be stored.
        loop = asyncio.get_running_loop()
        loop.call_later(self._parts.linger_s, self._free_slot, message)
        self._look_at_room()
        self._log_wake.notify()

    def _free_slot(self, message: Result) -> None:
        if not self._is_stale(message):
            self._parts.fleet.job_ended(self._member, message.job_id)

    def _look_at_room(self) -> None:
        records = len(self._started) + len(self._unstored_results) + len(self._results)
        if self._pending_bytes > _MOST_PENDING_BYTES or records > _MOST_PENDING_RECORDS:
            self._has_room.clear()
        else:
            self._has_room.set()

    def _take_output(self, chunks: Sequence[LogChunk]) -> None:
        for chunk in chunks:
            job = self._parts.journal.held.get(chunk.job_id)
            current = job.current if job is not None else None
            if (
                current is None
                or current.number != chunk.attempt
                or current.worker_id != self.worker_id
            ):
                self._parts.counters.add("log_chunks_refused")
                continue
            self._chunks.append(chunk)
            self._pending_bytes += len(chunk.data)
        self._look_at_room()
        self._log_wake.notify()

    async def _store_output(self) -> None:
        while True:
            await self._log_wake.wait()
            try:
                await self._store_chunks()
            except LogGapError as error:
                self._parts.counters.add("log_gaps")
                log.warning("log_gap", worker_id=self.worker_id, message=str(error))
                self._link.close("a part of a log is missing: send again from what is stored")
                return
            except LogStoreUnavailableError as error:
                log.warning("log_store_unavailable", message=str(error))
                await asyncio.sleep(_RETRY_AFTER_S)
                self._log_wake.notify()

    async def _store_chunks(self) -> None:
        """Stores and acknowledges the output that is there, and passes on the results behind it.

        It stays there until it is stored: what is stored twice by that is stored once.

        Raises:
            LogGapError: A part before it is missing.
            LogStoreUnavailableError: Try again.
        """
        if chunks := tuple(self._chunks):
            await self._append(chunks)
            del self._chunks[: len(chunks)]
            self._pending_bytes -= sum(len(chunk.data) for chunk in chunks)
        self._pass_on_results()
        self._look_at_room()

    async def _append(self, chunks: Sequence[LogChunk]) -> None:
        ends = await self._parts.logs.append(chunks)
        for end in ends:
            self._ends.setdefault((end.job_id, end.attempt), _Ends()).of[end.stream] = end.end
            self._link.send(
                LogsStored(job_id=end.job_id, attempt=end.attempt, stream=end.stream, end=end.end)
            )
        self._parts.hub.notify({end.job_id for end in ends})
        if ends and not self._has_output.is_set():
            self._first_output = ends[0].job_id
            self._has_output.set()

    async def _note_first_output(self) -> None:
        """Writes down when the first output of a worker came that was made for a job's kind."""
        if self._member.worker.kind is not None and not self._member.worker.has_spoken:
            await self._has_output.wait()
            await self._speak(self._first_output)
        # The session ends with the first of its tasks.
        await asyncio.Event().wait()

    async def _speak(self, job_id: JobId) -> None:
        while True:
            try:
                await self._parts.journal.change_worker(
                    self.worker_id, lambda worker: decide.speak(worker, job_id=job_id)
                )
            except StoreUnavailableError:
                await asyncio.sleep(_RETRY_AFTER_S)
            else:
                return

    def _pass_on_results(self) -> None:
        waiting: list[Result] = []
        complete: list[Result] = []
        for result in self._unstored_results:
            known = self._ends.get((result.job_id, result.outcome.attempt), _Ends()).of
            is_stored = (
                known.get(LogStream.STDOUT, 0) >= result.outcome.stdout_bytes
                and known.get(LogStream.STDERR, 0) >= result.outcome.stderr_bytes
            )
            (complete if is_stored or self._is_stale(result) else waiting).append(result)
        self._unstored_results = waiting
        if complete:
            self._results += complete
            self._record_wake.notify()

    def _is_stale(self, result: Result) -> bool:
        """Whether it will be refused anyway, so that its bytes need not be waited for."""
        job = self._parts.journal.held.get(result.job_id)
        return job is None or job.current is None or job.current.token != result.outcome.token

    async def _record(self) -> None:
        while True:
            await self._record_wake.wait()
            try:
                await self._record_round(self._starts_to_record())
            except StoreUnavailableError as error:
                log.warning("results_delayed", message=str(error))
                await asyncio.sleep(_RETRY_AFTER_S)
                self._record_wake.notify()

    def _starts_to_record(self) -> list[Started]:
        """All but those of short jobs whose results came with them and wait for their output.

        Both commit together then, and the result not behind a commit of its own start.
        """
        with_result = {(each.job_id, each.outcome.attempt) for each in self._unstored_results}
        return [each for each in self._started if (each.job_id, each.attempt) not in with_result]

    async def _record_round(self, started: Sequence[Started]) -> None:
        """Commits these starts and the results that are there. They stay there until it is done.

        Raises:
            StoreUnavailableError: Try again.
        """
        results = tuple(self._results)
        # Nothing where a start waits for its result, which waits for its output.
        while started or results:
            try:
                await self._commit(started, results)
                break
            except ConflictError:
                continue
        del self._results[: len(results)]
        done = {id(each) for each in started}
        self._started = [each for each in self._started if id(each) not in done]
        self._look_at_room()

    async def _store_last_words(self) -> None:
        """Once, and not again where a store is away; nobody else touches any of it any more."""
        try:
            async with asyncio.timeout(_LAST_WORDS_WITHIN_S):
                with suppress(LogGapError, LogStoreUnavailableError):
                    await self._store_chunks()
                # Whatever is not stored of the output, they have started.
                await self._record_round(self._started)
        except (StoreUnavailableError, TimeoutError) as error:
            log.warning("last_words_not_stored", worker_id=self.worker_id, message=str(error))

    async def _commit(self, started: Sequence[Started], results: Sequence[Result]) -> None:
        """Records what it can and answers all of it.

        Nothing is said or counted before the commit: what fails is tried again as a whole.
        """
        round_ = ResultRound(self._parts.journal, self._parts.ids, self.worker_id)
        refused_starts = [each for each in started if not await round_.accept(each)]
        taken = [(each, await round_.finish(each)) for each in results]
        for message in results:
            # Whatever job gets the slot is assigned in the same group of commits.
            self._free_slot(message)
        await round_.commit()
        for message in refused_starts:
            self._refuse_start(message)
        for message, refusal in taken:
            self._answer(message, refusal)
        self._parts.hub.notify({message.job_id for message in results})

    def _answer(self, message: Result, refusal: str) -> None:
        attempt = message.outcome.attempt
        self._ends.pop((message.job_id, attempt), None)
        if refusal:
            self._parts.counters.add("results_refused")
            log.warning(
                "stale_result_refused",
                worker_id=self.worker_id,
                job_id=message.job_id,
                message=refusal,
            )
        self._link.send(ResultTaken(job_id=message.job_id, attempt=attempt, recorded=not refusal))

    def _refuse_start(self, message: Started) -> None:
        """What it has started is no longer its own: it must end it."""
        self._parts.counters.add("starts_refused")
        log.warning("stale_start_refused", worker_id=self.worker_id, job_id=message.job_id)
        self._link.send(
            Cancel(
                job_id=message.job_id,
                attempt=message.attempt,
                reason_code=ReasonCode.CANCELLED,
                force=True,
            )
        )
