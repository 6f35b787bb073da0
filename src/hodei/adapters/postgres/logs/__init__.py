"""The output of jobs in PostgreSQL, which every server can read and append to.

`store` is the port's implementation. `appender` is the one task that writes: `group` decides what of
many appends is new, and a row of `log_jobs` for each job sees to it that two servers never store the
same bytes, nor leave any out. `rows` says how chunks lie in a row, `reading` gets them back,
`compaction` joins small rows into large ones. The SQL is in `../logs.sql`.
"""

from .store import PostgresLogStore

__all__ = ["PostgresLogStore"]
