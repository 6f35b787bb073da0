"""The store on PostgreSQL.

`store` is the port's implementation: commits go to the one task of `committer`, reads to the pool of
`reader`. `hodei.wire.store_rows` and `store_group` say what is written and `columns` in which form,
`*_reads` and `job_list` what is read, `schema` and `migrate` what the database looks like. The SQL
is in the `.sql` files, by name. Why commits of all servers are one after the other is told in
`docs/adr/0003`.
"""

from .sole_server import DatabaseInUseError
from .store import PostgresStore

__all__ = ["DatabaseInUseError", "PostgresStore"]
