"""Several servers on one database.

Times are the database's own: only what it has told itself is compared.
"""

from alembic import op

revision = "0020"
down_revision = "0010"

_STATEMENTS = (
    # Servers that are members, and for a day those that were. `number` is what the advisory lock of
    # a server's session is taken on, which is free once its process is dead.
    """
    CREATE TABLE servers (
        id text COLLATE "C" PRIMARY KEY,
        number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
        name text COLLATE "C" NOT NULL,
        version text NOT NULL,
        address text NOT NULL,
        worker_address text NOT NULL,
        enroll_address text NOT NULL,
        offers text[] COLLATE "C" NOT NULL,
        streams integer NOT NULL DEFAULT 0,
        is_draining boolean NOT NULL DEFAULT false,
        started_at timestamptz NOT NULL,
        heartbeat_at timestamptz NOT NULL,
        ended_at timestamptz
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE UNIQUE INDEX servers_living ON servers (name) WHERE ended_at IS NULL
    """,
    # What only one server does at a time.
    """
    CREATE TABLE duties (
        name text COLLATE "C" PRIMARY KEY,
        owner text COLLATE "C",
        epoch bigint NOT NULL
    )
    """,
    # One row: what all servers of the installation must have in common, sealed with a key that is
    # not in the database. `key_id` tells a wrong key from a damaged row.
    """
    CREATE TABLE cluster_identity (
        id smallint PRIMARY KEY CHECK (id = 1),
        key_id text NOT NULL,
        sealed bytea NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Makes the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)
