"""The jobs' output: appended to segment files by one thread, found again by an index.

`store` is the port's implementation. `frames` says how a chunk lies in a file, `group` decides
what of many appends is new, `writer` makes it durable, `tails` holds what is not in the index
yet, `index` and `indexer` keep the index, `recovery` completes it after a crash, `reading` gets
the bytes back. `memory` is the verified fake.
"""

from hodei.adapters.logstore.memory import MemoryLogStore
from hodei.adapters.logstore.store import SegmentLogStore

__all__ = ["MemoryLogStore", "SegmentLogStore"]
