"""A PostgreSQL for the tests of one session: started when the first asks for it, stopped at the end."""

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dev_db import Cluster, UnusableError, programs

# What a test asks for is durable as long as the processes live; no test pulls the plug.
FAST = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}

EMPTY = (
    "TRUNCATE events, jobs, attempts, job_labels, job_tags, demands, workers, providers, log_jobs, log_segments,"
    " servers, duties, cluster_identity,"
    " runs, run_history, run_inbox, run_timers, run_tasks, run_outbox, run_servers RESTART IDENTITY;"
    " UPDATE run_shards SET owner = NULL, epoch = 0, expires_at = NULL"
)
END = """
trap "" INT TERM
cat > /dev/null
kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")"
for _ in $(seq 100); do
    [ -e "$0/data/postmaster.pid" ] || break
    sleep 0.1
done
rm -rf "$0"
"""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """The cluster; its database `hodei` has tables and is what others are copied from."""
    # Alembic: not for the sessions that have no use for it.
    from hodei.adapters.postgres.migrate import migrate  # noqa: PLC0415

    # Not under pytest's own directory, which is closed to the user that PostgreSQL runs as.
    directory = Path(tempfile.mkdtemp(prefix="hodei-postgres-"))
    directory.chmod(0o711)
    # Ends what was started however this process ends, killed included: its pipe is closed then.
    end = subprocess.Popen(["sh", "-c", END, directory], stdin=subprocess.PIPE)
    assert end.stdin is not None
    try:
        cluster = Cluster(directory=directory, bin=programs(install=True))
        cluster.make(FAST)
        cluster.start()
    except UnusableError as error:
        end.stdin.close()
        end.wait()
        pytest.skip(f"PostgreSQL cannot be run here: {error}")
    try:
        with ThreadPoolExecutor(1) as thread:
            # An async fixture may be asking, whose event loop runs in this one.
            thread.submit(lambda: asyncio.run(migrate(cluster.url()))).result()
        cluster.create_database("tests", template="hodei")
        yield cluster
    finally:
        end.stdin.close()
        end.wait()


@pytest.fixture
def postgres_url(postgres: Cluster) -> str:
    """A database with tables and nothing in them, for as long as the test runs."""
    postgres.ask(EMPTY, database="tests")
    return postgres.url(database="tests")


@pytest.fixture
def own_database(postgres: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """As `postgres_url`, of a database that the test may spoil."""
    name = f"own_{abs(hash(request.node.nodeid)):x}"
    postgres.create_database(name, template="hodei")
    yield postgres.url(database=name)
    postgres.drop_database(name)
