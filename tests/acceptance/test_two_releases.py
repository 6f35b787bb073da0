"""The release before and this one on one PostgreSQL, as they are during an upgrade.

The release before is real code out of the history (support/releases.py): its server, its agents, its
command and its SDK.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from acceptance.crash import Ledger
from acceptance.harness import (
    HODEI,
    HodeiServer,
    assert_all_gone,
    clean_environment,
    eventually,
    run_command,
)
from acceptance.reading import output_of
from acceptance.servers import Servers, duties_of
from dev_db import Cluster
from hodei.adapters.postgres.schema import REVISION
from hodei.kernel.version import VERSION
from support.releases import BEFORE, Checkout

SETTINGS = {"HODEI_LOCAL_SLOTS": "4", "HODEI_LOCAL_MAX_WORKERS": "1"}

CATALOGUE = (
    """
    SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
    """,
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    """
    SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
    """,
    """
    SELECT pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace ORDER BY proname
    """,
    "SELECT version_num, oldest_usable FROM alembic_version, hodei_schema",
)
"""What two databases of one schema have in common, but for the order of columns."""

CLIENT = """
import json, sys
from hodei.kernel.version import VERSION
from hodei.sdk import Client

with Client(sys.argv[1]) as client:
    client.submit(id="of-an-old-client", command=["sh", "-c", "echo out; echo err >&2"])
    job = client.wait("of-an-old-client")
    client.submit(id="cancelled-by-it", command=["sleep", "60"])
    client.cancel("cancelled-by-it")
    print(json.dumps({
        "version": VERSION,
        "state": job.state,
        "output": sorted(chunk.data.decode() for chunk in client.logs(job.id)),
        "events": [event.state for event in client.events(job.id, follow=False)],
        "cancelled": client.wait("cancelled-by-it").state,
        "listed": sorted(each.id for each in client.jobs() if each.id.endswith(("client", "by-it"))),
        "worker": job.attempts[-1].worker_id in {each.id for each in client.workers()},
    }))
"""


@pytest.fixture(scope="module")
def old_tables(postgres: Cluster, release_before: Checkout) -> str:
    """A database that the release before has made; others are copied from it."""
    name = "of_the_release_before"
    postgres.create_database(name)
    environment = {"HODEI_DATABASE_URL": postgres.url(database=name), **release_before.environment}
    made = run_command([HODEI, "db", "migrate", "--output", "json"], environment=environment)
    assert (made.code, made.json["after"]) == (0, BEFORE.schema), made.errors
    return name


@pytest.fixture
def database(postgres: Cluster, old_tables: str) -> Iterator[str]:
    """The name of a database that the release before has made."""
    postgres.create_database("upgraded", template=old_tables)
    yield "upgraded"
    postgres.drop_database("upgraded")


def migrate(url: str) -> None:
    """As the operator does with the new release."""
    environment = {"HODEI_DATABASE_URL": url}
    done = run_command([HODEI, "db", "migrate", "--output", "json"], environment=environment)
    assert done.code == 0, done.errors
    assert (done.json["before"], done.json["after"]) == (BEFORE.schema, REVISION)


def test_a_database_of_the_release_before_becomes_what_a_new_one_is(
    postgres: Cluster, database: str
) -> None:
    migrate(postgres.url(database=database))
    for question in CATALOGUE:
        upgraded, new = (postgres.ask(question, database=each) for each in (database, "hodei"))
        assert upgraded == new


@dataclass(slots=True, kw_only=True)
class Upgrade:
    """An old server `a` whose agent runs jobs that end when they are told to."""

    servers: Servers
    ledger: Ledger
    go: Path
    held: tuple[str, ...] = ("held-0", "held-1")

    @property
    def a(self) -> HodeiServer:
        """The server of the release before."""
        return self.servers.all[0]

    @property
    def b(self) -> HodeiServer:
        """The one of this release."""
        return self.servers.all[1]

    def hold_jobs_at_a(self) -> None:
        """Returns once they run, at the agent of the only server that there is."""
        script = (
            f"echo run >> {self.ledger.folder}/$0; echo before;"
            f" while [ ! -e {self.go} ]; do sleep 0.05; done; echo after"
        )
        with self.a.client() as client:
            client.submit_many(
                [{"id": each, "command": ["sh", "-c", script, each]} for each in self.held]
            )
        eventually(
            lambda: all(map(self.ledger.runs, self.held)), within_s=30, what="the held jobs to run"
        )

    def add_b(self) -> None:
        """Upgrades the database and starts a server of this release beside the old one."""
        migrate(self.servers.url)
        self.servers.add()
        self.servers.until_all_know_one_another()

    def give(self, server: HodeiServer, name: str, count: int = 8) -> list[str]:
        """Gives jobs to one of the servers, whose agents are any server's."""
        ids = [f"{name}-{number}" for number in range(count)]
        with server.client() as client:
            client.submit_many([self.ledger.request(each) for each in ids])
        return ids

    def check(self, ids: list[str]) -> None:
        """Each job ran once, and both servers show its one end and all that it wrote."""
        for server in self.servers.all:
            with server.client() as client:
                for each in ids:
                    client.wait(each, timeout=60)
                    self.ledger.check(client, each)

    def until_the_old_agent_is_at_b(self) -> psutil.Process:
        """Returns once it is told to drain there, with the jobs that it still runs."""

        def moved() -> int | None:
            with self.b.client() as client:
                for each in client.workers():
                    has_moved = each.connected and each.state == "DRAINING"
                    if has_moved and set(self.held) <= set(each.job_ids):
                        assert each.agent_version == BEFORE.version
                        return each.pid
            return None

        pid = eventually(moved, within_s=30, what="the old agent to be drained")
        return psutil.Process(pid)

    def end_held_jobs(self) -> None:
        """They end at `b`: once, in their first attempt, with all their output."""
        self.go.touch()
        with self.b.client() as client:
            for each in self.held:
                job = client.wait(each, timeout=60)
                assert (job.state, len(job.attempts)) == ("SUCCEEDED", 1), job.to_dict()
                assert self.ledger.runs(each) == 1
                assert output_of(client, each).stdout == b"before\nafter\n"
                ends = [e for e in client.events(each, follow=False) if e.state == "SUCCEEDED"]
                assert len(ends) == 1


@pytest.fixture
def upgrade(
    tmp_path: Path, postgres: Cluster, database: str, release_before: Checkout
) -> Iterator[Upgrade]:
    """An installation of the release before, with jobs that its agent runs."""
    servers = Servers(folder=tmp_path, url=postgres.url(database=database), settings=SETTINGS)
    (tmp_path / "ledger").mkdir()
    made = Upgrade(servers=servers, ledger=Ledger(folder=tmp_path / "ledger"), go=tmp_path / "go")
    try:
        servers.add(environment=release_before.environment)
        made.hold_jobs_at_a()
        yield made
    finally:
        servers.close()


def test_an_upgrade_under_load_loses_nothing_and_old_agents_finish_their_jobs_at_the_new_server(
    upgrade: Upgrade,
) -> None:
    a = upgrade.a
    ids = upgrade.give(a, "before")
    refused = run_command(
        HodeiServer(data_dir=upgrade.servers.folder / "early").command(),
        environment={"HODEI_DATABASE_URL": upgrade.servers.url, "HODEI_NAME": "early"},
        within_s=30,
    )
    assert (refused.code, "run hodei db migrate" in refused.errors) == (2, True), refused
    ids += upgrade.give(a, "meanwhile")
    upgrade.add_b()
    b = upgrade.b
    seen = upgrade.servers.seen_by(b)
    assert (seen["a"]["version"], seen["b"]["version"]) == (BEFORE.version, VERSION)
    ids += upgrade.give(a, "at-a") + upgrade.give(b, "at-b")
    upgrade.check(ids)
    assert a.stop() == 0
    agent = upgrade.until_the_old_agent_is_at_b()
    upgrade.end_held_jobs()
    assert_all_gone([agent], within_s=20)


def start_again(old: HodeiServer) -> None:
    """As a supervisor does: that release may meet the removal of its own worker, and ends."""
    try:
        old.start(within_s=40)
    except AssertionError:
        if "remove_rests" not in old.log:
            raise
        old.start(within_s=40)


def test_an_old_server_that_is_killed_is_taken_over_by_the_new_one_and_may_start_again(
    upgrade: Upgrade,
) -> None:
    upgrade.add_b()
    a = upgrade.a
    a.kill()
    upgrade.until_the_old_agent_is_at_b()
    upgrade.end_held_jobs()
    start_again(a)
    eventually(lambda: "host:a" in duties_of(upgrade.servers, a), within_s=20, what="a's own")
    upgrade.check(upgrade.give(a, "again"))


def test_a_client_of_the_release_before_is_served(
    server: HodeiServer, release_before: Checkout
) -> None:
    old = release_before.environment
    ran = subprocess.run(
        [sys.executable, "-c", CLIENT, server.address],
        env=clean_environment(old),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    with server.client() as client:
        states = [each.state for each in client.events("of-an-old-client", follow=False)]
    assert json.loads(ran.stdout) == {
        "version": BEFORE.version,
        "state": "SUCCEEDED",
        "output": ["err\n", "out\n"],
        "events": states,
        "cancelled": "CANCELLED",
        "listed": ["cancelled-by-it", "of-an-old-client"],
        "worker": True,
    }
    done = server.cli("run", "--", "sh", "-c", "echo of an old command; exit 3", environment=old)
    assert (done.code, done.stdout) == (3, b"of an old command\n")
