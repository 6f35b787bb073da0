"""The store in memory: a fake for tests, held to the same conformance suite as the real ones."""

from .store import MemoryStore

__all__ = ["MemoryStore"]
