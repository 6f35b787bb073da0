"""The one thread on which the spool meets the disk, so that the event loop never does."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from hodei.agent.json_log import log
from hodei.agent.reactor.effects import DropSpool, ReadSpool, WriteSpool
from hodei.agent.reactor.events import Event, JobKey, Spooled, SpoolFailed, Unspooled
from hodei.agent.spool import Spool


class SpoolThread:
    """Performs the reactor's spool effects in their order, and reports them done."""

    def __init__(self, spool: Spool, emit: Callable[[Event], None]) -> None:
        self._spool = spool
        self._emit = emit
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._in_use: set[JobKey] = set()

    def write(self, effect: WriteSpool) -> None:
        """Appends; reports `Spooled` or `SpoolFailed`."""
        self._in_use.add(effect.key.job)
        self._submit(
            partial(self._spool.append, effect.key, effect.data), partial(self._written, effect)
        )

    def read(self, effect: ReadSpool) -> None:
        """Takes from the front; reports `Unspooled`."""
        self._submit(
            partial(self._spool.take, effect.key, effect.size), partial(self._taken, effect)
        )

    def drop(self, effect: DropSpool) -> None:
        """Throws away from the front."""
        self._submit(partial(self._spool.drop, effect.key, effect.size), _done)

    def forget(self, job: JobKey) -> None:
        """Throws away all of an attempt."""
        if job in self._in_use:
            self._in_use.discard(job)
            self._submit(partial(self._spool.remove, job), _done)

    def close(self) -> None:
        """Throws away everything, behind what is under way."""
        self._executor.submit(self._spool.close)
        self._executor.shutdown(wait=False)

    def _submit(
        self, work: Callable[[], object], then: Callable[["asyncio.Future[object]"], None]
    ) -> None:
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(then)

    def _written(self, effect: WriteSpool, future: "asyncio.Future[object]") -> None:
        error = future.exception()
        if error is None:
            size = len(effect.data)
            self._emit(Spooled(key=effect.key, size=size, wall_ns=effect.wall_ns))
        elif isinstance(error, OSError):
            log.warning("spool_write_failed", message=str(error))
            self._emit(SpoolFailed(key=effect.key, data=effect.data, wall_ns=effect.wall_ns))
        else:
            raise error

    def _taken(self, effect: ReadSpool, future: "asyncio.Future[object]") -> None:
        data = future.result()
        assert isinstance(data, bytes)
        if len(data) < effect.size:
            log.warning("spool_read_failed", lost_bytes=effect.size - len(data))
        self._emit(Unspooled(key=effect.key, data=data))


def _done(future: "asyncio.Future[object]") -> None:
    future.result()
