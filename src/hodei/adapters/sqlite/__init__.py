"""The store on SQLite, for one server.

`store` is the port's implementation: commits go to the one thread of `writer`, reads to the pool of
`reader`. `hodei.wire.store_rows` and `store_group` say what is written, `*_reads` and `job_list` what
is read, `schema` and `migrate` what the database looks like. The SQL is in the `.sql` files, by name.

`run_store` is the saga engine's store in the same database; `hodei.wire.run_group` says what it
writes.
"""

from .run_store import SqliteDurableStore
from .store import SqliteStore

__all__ = ["SqliteDurableStore", "SqliteStore"]
