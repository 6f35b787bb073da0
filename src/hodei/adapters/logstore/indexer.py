"""Moves rows from `Tails` into the index, in a thread of its own, many in one transaction.

Appends do not wait for it: after a crash the segments say what the index has missed.
"""

import sqlite3
import threading
from typing import Final

import structlog

from hodei.adapters.logstore.index import Index
from hodei.adapters.logstore.tails import Tails

log = structlog.get_logger()

_ENOUGH_ROWS: Final = 512
_MAX_ROWS: Final = 4096
"""Of one transaction; about 30 ms."""
_RETRY_S: Final = 1.0


class Indexer:
    """Runs until `stop`.

    Args:
        tails: Where the rows wait.
        index: Where they go.
        delay_s: How long a few rows may wait for more.
    """

    def __init__(self, tails: Tails, index: Index, *, delay_s: float) -> None:
        self._tails = tails
        self._index = index
        self._delay_s = delay_s
        self._flushing = threading.Lock()
        self._some = threading.Event()
        self._enough = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hodei-log-index", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def notice(self) -> None:
        """Says that there is something to do. From any thread."""
        if not self._some.is_set():
            self._some.set()
        if self._tails.waiting >= _ENOUGH_ROWS:
            self._enough.set()

    def flush(self) -> None:
        """Moves everything that waits now. From any thread.

        Raises:
            sqlite3.Error: The index cannot be written; what it did not take waits on.
        """
        with self._flushing:
            while True:
                unindexed = self._tails.unindexed(_MAX_ROWS)
                if not unindexed.rows and not unindexed.sealed:
                    return
                self._index.add(unindexed.rows, unindexed.sealed)
                self._tails.settle(unindexed)

    def stop(self) -> None:
        """Moves what waits and ends the thread. Blocks until then."""
        self._stopping.set()
        self._enough.set()
        self._some.set()
        self._thread.join()
        # What came while the thread was at its last flush.
        self._flush_or_come_back()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._some.wait()
            self._enough.wait(self._delay_s)
            self._some.clear()
            self._enough.clear()
            self._flush_or_come_back()

    def _flush_or_come_back(self) -> None:
        try:
            self.flush()
        except sqlite3.Error as error:
            # The rows stay in `Tails`, where readers find them; when too many wait, appends flush them themselves, or fail.
            log.warning("log_index_not_written", waiting=self._tails.waiting, error=str(error))
            self._stopping.wait(_RETRY_S)
            self._some.set()
