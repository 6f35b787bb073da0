"""The saga engine's store in PostgreSQL, which several servers share.

`store` is the port's implementation. `committer` is the one task that writes: it takes for granted
that nothing stands against the batches that have come together, and has a function of the database
write them if that is so (`writing`; docs/adr/0012). `reading` asks, `leases` says who owns which
shard. `hodei.wire.run_group` says what is written. The SQL is in `../runs.sql`.
"""

from .store import PostgresDurableStore

__all__ = ["PostgresDurableStore"]
