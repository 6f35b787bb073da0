"""The store on PostgreSQL.

`store` is the port's implementation: commits go to the one task of `committer`, reads to the pool of
`reader`. How such a task makes groups and comes back to a lost connection is in `group_commits`. `hodei.wire.store_rows` and `store_group` say what is written and `columns` in which form,
`*_reads` and `job_list` what is read, `schema` and `migrate` what the database looks like. The SQL
is in the `.sql` files, by name. `membership` and `signals` are for the servers that share the database.
Why commits of all servers are one after the other is told in
`docs/adr/0003`.
"""

from .membership import PostgresMembership
from .signals import PostgresSignals
from .store import PostgresStore

__all__ = ["PostgresMembership", "PostgresSignals", "PostgresStore"]
