"""A PostgreSQL of the benchmark's own."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hodei.adapters.postgres.migrate import migrate

# The development database's tool makes the one that is measured.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from dev_db import Cluster, UnusableError, programs

__all__ = ["Cluster", "UnusableError", "own_postgres"]


@contextmanager
def own_postgres() -> Iterator[Cluster]:
    """One with its usual settings, fsync among them, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="hodei-bench-postgres-") as directory:
        Path(directory).chmod(0o711)
        cluster = Cluster(directory=Path(directory), bin=programs())
        cluster.make()
        cluster.start()
        try:
            asyncio.run(migrate(cluster.url()))
            yield cluster
        finally:
            cluster.stop(mode="immediate")
