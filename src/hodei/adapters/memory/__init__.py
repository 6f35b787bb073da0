"""The stores in memory: fakes for tests, held to the same conformance suites as the real ones."""

from .durable import MemoryDurableStore
from .membership import MemoryCluster, MemoryMembership
from .store import MemoryStore

__all__ = ["MemoryCluster", "MemoryDurableStore", "MemoryMembership", "MemoryStore"]
