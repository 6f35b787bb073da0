"""Stores that are away when a test says so."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from hodei.adapters.logstore import MemoryLogStore
from hodei.adapters.memory import MemoryStore
from hodei.domain.jobs.job import Job
from hodei.domain.logs import LogChunk, LogEntry
from hodei.kernel.clock import Clock
from hodei.kernel.ids import JobId
from hodei.ports.logs import LogStoreUnavailableError, StreamEnd
from hodei.ports.stores import Batch, Committed, Conflict, StoreUnavailableError


async def _nothing(_: object) -> None:
    pass


async def _nothing_either() -> None:
    pass


class FlakyStore(MemoryStore):
    """A store in memory whose next commits fail, or wait at a gate, as often as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        """Commits that fail from now on."""
        self.unknown = 0
        """Commits whose answer is lost from now on, although they are written."""
        self.blind_for = 0
        """Reads that fail after each of those."""
        self.read_failures = 0
        """Reads that fail from now on."""
        self.failed = 0
        self.commits = 0
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.before_commit: Callable[[Batch], Awaitable[None]] = _nothing
        """Runs before each commit, so that a test can let something overtake it."""
        self.before_answer: Callable[[Batch], Awaitable[None]] = _nothing
        """Runs after each commit, before its caller hears of it."""
        self._committing: set[asyncio.Task[object] | None] = set()
        self.after_claim: Callable[[list[Job]], Awaitable[None]] = _nothing
        """Runs between a claim and what is made of it."""
        self.reservations = 0
        """Claims from now on that find everything reserved by somebody else."""

    async def claimable(self, demand_ids: Sequence[str], *, limit: int) -> list[Job]:
        if self.reservations:
            self.reservations -= 1
            return []
        claimed = await super().claimable(demand_ids, limit=limit)
        await self.after_claim(claimed)
        return claimed

    async def commit(self, batch: Batch) -> Committed | Conflict:
        await self.before_commit(batch)
        if self.failures:
            self.failures -= 1
            self.failed += 1
            await asyncio.sleep(0)
            raise StoreUnavailableError("the disk is full")
        await self.gate.wait()
        task = asyncio.current_task()
        self._committing.add(task)
        try:
            outcome = await super().commit(batch)
        finally:
            self._committing.discard(task)
        await self.before_answer(batch)
        self.commits += 1
        if self.unknown:
            self.unknown -= 1
            self.read_failures += self.blind_for
            raise StoreUnavailableError("the connection broke; whether it was stored is not known")
        return outcome

    async def _turn(self) -> None:
        await super()._turn()
        self.reads += 1
        if self.read_failures and asyncio.current_task() not in self._committing:
            self.read_failures -= 1
            self.failed += 1
            raise StoreUnavailableError("the disk does not answer")


class FlakyLogStore(MemoryLogStore):
    """As above, for output."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.failures = 0
        """Appends that fail from now on."""
        self.gate = asyncio.Event()
        """Appends wait for it."""
        self.gate.set()
        self.after_read: Callable[[], Awaitable[None]] = _nothing_either
        """Runs between a read and what is made of it."""

    async def read(
        self, job_id: JobId, *, after_sequence: int, max_bytes: int, attempt: int = 0
    ) -> list[LogEntry]:
        found = await super().read(
            job_id, after_sequence=after_sequence, max_bytes=max_bytes, attempt=attempt
        )
        await self.after_read()
        return found

    async def append(self, chunks: Sequence[LogChunk]) -> list[StreamEnd]:
        if self.failures:
            self.failures -= 1
            await asyncio.sleep(0)
            raise LogStoreUnavailableError("the disk is full")
        await self.gate.wait()
        return await super().append(chunks)
