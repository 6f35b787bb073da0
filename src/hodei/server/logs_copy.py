"""The output of jobs on its way from one log store to another, and the proof that all of it came."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from hodei.adapters.postgres.logs import PostgresLogStore
from hodei.adapters.postgres.logs.fill import JobOutput
from hodei.domain.logs import LogEntry
from hodei.kernel.ids import JobId
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports.logs import KeptLogStore, StoredOutput
from hodei.server.copy_proof import digest, require_same

_JOBS: Final = 500
_PAGE_BYTES: Final = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedOutput:
    """What was found to be the same on both sides."""

    jobs: int
    size: int
    """Bytes of output."""


async def all_outputs(logs: KeptLogStore) -> AsyncGenerator[JobOutput]:
    """All that is kept of all jobs' output."""
    after = ""
    while page := await logs.outputs(after=after, limit=_JOBS):
        for stored in page:
            yield JobOutput(stored=stored, pages=_entries(logs, stored.job_id))
        after = page[-1].job_id


async def compare_outputs(old: KeptLogStore, url: str) -> ComparedOutput:
    """Reads the output of each job on both sides.

    Raises:
        BrokenError: It is not the same.
        LogStoreUnavailableError: It cannot be read.
    """
    new = await PostgresLogStore.open(url, SystemClock(), server="hodei db copy")
    jobs, size, after = 0, 0, ""
    try:
        while True:
            page = await old.outputs(after=after, limit=_JOBS)
            copied_page = await new.outputs(after=after, limit=_JOBS)
            require_same("output", _by_id(page), _by_id(copied_page))
            if not page:
                break
            for stored in page:
                told, copied = await _proof(old, stored.job_id), await _proof(new, stored.job_id)
                require_same("output", {stored.job_id: told}, {stored.job_id: copied})
                size += told.size
            jobs += len(page)
            after = page[-1].job_id
    finally:
        await new.close()
    return ComparedOutput(jobs=jobs, size=size)


@dataclass(frozen=True, slots=True)
class _Proof:
    """What all entries of a job come to."""

    size: int = 0
    digest: bytes = b""


async def _proof(logs: KeptLogStore, job_id: JobId) -> _Proof:
    proof = _Proof()
    async for page in _entries(logs, job_id):
        for entry in page:
            chunk = entry.chunk
            facts = (entry.sequence, chunk.attempt, chunk.stream.value, chunk.offset)
            about = repr((facts, chunk.at.isoformat())).encode()
            size = proof.size + len(chunk.data)
            proof = _Proof(size, digest(proof.digest, about, chunk.data))
    return proof


async def _entries(logs: KeptLogStore, job_id: JobId) -> AsyncGenerator[Sequence[LogEntry]]:
    after = 0
    while page := await logs.read(job_id, after_sequence=after, max_bytes=_PAGE_BYTES):
        yield page
        after = page[-1].sequence


def _by_id(outputs: Sequence[StoredOutput]) -> dict[str, StoredOutput]:
    return {each.job_id: each for each in outputs}
