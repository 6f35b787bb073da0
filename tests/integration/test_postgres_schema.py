"""The PostgreSQL database is migrated, recognised and refused as it should be."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from conformance.stores_under_test import new_job, put_job
from dev_db import Cluster
from hodei.adapters.postgres import PostgresStore, migrate, schema
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId
from hodei.ports.stores import SchemaError, StoreUnavailableError


@pytest.fixture
def empty_database(postgres: Cluster) -> str:
    postgres.drop_database("empty")
    postgres.create_database("empty")
    return postgres.url(database="empty")


def ask(cluster: Cluster, url: str, statement: str) -> str:
    return cluster.ask(statement, database=url.rpartition("/")[2])


async def test_a_database_without_tables_is_refused_with_the_command_that_makes_them(
    empty_database: str,
):
    with pytest.raises(SchemaError, match="no tables yet: run hodei db migrate"):
        await PostgresStore.open(empty_database)


async def test_migrate_makes_the_tables_is_idempotent_and_keeps_what_is_there(
    empty_database: str,
):
    assert await migrate.migrate(empty_database) == migrate.Migration(
        before="", after=schema.REVISION
    )
    store = await PostgresStore.open(empty_database)
    job = await put_job(store, new_job("a"))

    # A server that runs meanwhile is not in the way.
    assert await migrate.migrate(empty_database) == migrate.Migration(
        before=schema.REVISION, after=schema.REVISION
    )

    assert await store.load_jobs([job.id]) == {JobId("a"): job}
    await store.close()


async def test_two_migrations_at_once_run_one_after_the_other(empty_database: str):
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(migrate.migrate(empty_database)) for _ in range(2)]

    assert {each.result().before for each in both} == {"", schema.REVISION}


async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty_database: str, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
):
    statements = migrate.statements("")
    monkeypatch.setattr(migrate, "statements", lambda _: f"{statements} SELECT 1 / 0;")

    with pytest.raises(Exception, match="division by zero"):
        await migrate.migrate(empty_database)

    assert (
        ask(postgres, empty_database, "SELECT count(*) FROM pg_tables WHERE schemaname='public'")
        == "0"
    )


async def test_an_older_schema_is_refused_with_the_command_that_upgrades_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "REVISION", "0098")

    with pytest.raises(SchemaError, match=r"needs 0098: run hodei db migrate"):
        await PostgresStore.open(postgres_url)


async def test_a_database_that_is_one_migration_behind_is_refused_until_it_is_migrated(
    empty_database: str, postgres: Cluster
):
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    before = scripts.get_revision(schema.REVISION).down_revision
    ask(postgres, empty_database, "SET ROLE hodei;" + migrate.statements("", until=before))

    with pytest.raises(SchemaError, match=f"schema {before} .* needs .*: run hodei db migrate"):
        await PostgresStore.open(empty_database)

    done = await migrate.migrate(empty_database)
    assert done == migrate.Migration(before=before, after=schema.REVISION)
    store = await PostgresStore.open(empty_database)
    await put_job(store, new_job("a"))
    await store.close()


async def test_a_server_goes_on_while_its_database_is_migrated_to_a_newer_schema(
    own_database: str, postgres: Cluster
):
    store = await PostgresStore.open(own_database)
    jobs = [await put_job(store, new_job("before"))]

    # What an upgrade may do while servers of the release before run: add.
    ask(
        postgres,
        own_database,
        "ALTER TABLE jobs ADD COLUMN later text; ALTER TABLE events ADD COLUMN later text;"
        " ALTER TABLE workers ADD COLUMN later text; ALTER TABLE attempts ADD COLUMN later text;"
        " UPDATE alembic_version SET version_num = '0098'",
    )

    # On the connections that it has, whose statements are prepared, and on new ones.
    jobs.append(await put_job(store, new_job("on it goes")))
    assert await store.load_jobs([each.id for each in jobs]) == {each.id: each for each in jobs}
    ask(postgres, own_database, END_SESSIONS)
    jobs.append(await put_job(store, new_job("after")))
    assert await store.load_jobs([each.id for each in jobs]) == {each.id: each for each in jobs}
    assert len(await store.read_events(after=BEFORE_THE_FIRST, limit=100)) == 6
    await store.close()


END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'hodei%'
"""


async def test_a_newer_schema_is_used_where_it_says_that_it_may_be(
    own_database: str, postgres: Cluster
):
    ask(postgres, own_database, "UPDATE alembic_version SET version_num = '0098'")

    store = await PostgresStore.open(own_database)
    await put_job(store, new_job("a"))
    await store.close()
    assert await migrate.migrate(own_database) == migrate.Migration(before="0098", after="0098")


async def test_a_newer_schema_is_refused_by_its_name_where_it_says_that_it_may_not(
    own_database: str, postgres: Cluster
):
    ask(postgres, own_database, "UPDATE alembic_version SET version_num = '0099'")
    ask(postgres, own_database, "UPDATE hodei_schema SET oldest_usable = '0098'")

    with pytest.raises(SchemaError, match=r"schema 0099.*newer version of Hodei"):
        await PostgresStore.open(own_database)


async def test_a_database_of_another_program_is_refused_and_left_alone(
    empty_database: str, postgres: Cluster
):
    ask(postgres, empty_database, "CREATE TABLE jobs (url text)")

    with pytest.raises(SchemaError, match="tables of another program"):
        await PostgresStore.open(empty_database)
    with pytest.raises(SchemaError, match="tables of another program"):
        await migrate.migrate(empty_database)

    assert (
        ask(postgres, empty_database, "SELECT count(*) FROM pg_tables WHERE schemaname='public'")
        == "1"
    )


async def test_a_user_who_may_not_make_tables_is_told_who_should(
    empty_database: str, postgres: Cluster
):
    ask(postgres, empty_database, "ALTER DATABASE empty OWNER TO postgres")

    with pytest.raises(StoreUnavailableError, match="let the owner of the tables"):
        await migrate.migrate(empty_database)


def test_the_revision_that_is_needed_is_the_newest_migration():
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    revisions = [each.revision for each in scripts.walk_revisions()]

    assert scripts.get_heads() == [schema.REVISION]
    # They are compared as texts.
    assert sorted(revisions, reverse=True) == revisions
    assert {len(each) for each in revisions} == {4}


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("hodei.adapters.postgres", {"alembic", "sqlalchemy", "mako"}),
        ("hodei.server.run", {"asyncpg", "alembic", "sqlalchemy"}),
    ],
)
def test_a_server_carries_only_what_it_uses(imported: str, unwanted: set[str]):
    code = f"import sys, {imported}\nprint(*sorted({unwanted!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
