"""A PostgreSQL for the tests of one session: started when the first asks for it, stopped at the end."""

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev_db import Cluster, UnusableError, programs

# What a test asks for is durable as long as the processes live; no test pulls the plug.
FAST = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}

EMPTY = "TRUNCATE events, jobs, attempts, job_labels, job_tags, demands, workers RESTART IDENTITY"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster; its database `hodei` has tables and is what others are copied from."""
    # Alembic: not for the sessions that have no use for it.
    from hodei.adapters.postgres.migrate import migrate  # noqa: PLC0415

    directory = tmp_path_factory.mktemp("postgres")
    # The server may run as another user, who has to get there.
    for each in (directory, directory.parent, directory.parent.parent):
        each.chmod(each.stat().st_mode | 0o011)
    try:
        cluster = Cluster(directory=directory, bin=programs(install=True))
        cluster.make(FAST)
        cluster.start()
    except UnusableError as error:
        pytest.skip(f"PostgreSQL cannot be run here: {error}")
    try:
        with ThreadPoolExecutor(1) as thread:
            # An async fixture may be asking, whose event loop runs in this one.
            thread.submit(lambda: asyncio.run(migrate(cluster.url()))).result()
        cluster.create_database("tests", template="hodei")
        yield cluster
    finally:
        cluster.stop(mode="immediate")
        shutil.rmtree(directory, ignore_errors=True)


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
