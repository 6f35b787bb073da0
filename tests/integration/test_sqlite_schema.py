"""The SQLite database is made, recognised, refused and upgraded as it should be."""

import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from hodei.adapters.sqlite import SqliteStore, migrate, schema
from hodei.adapters.sqlite.connection import FILE_NAME, connect
from hodei.ports.stores import SchemaError, StoreUnavailableError


@pytest.fixture
def two_directories(tmp_path: Path) -> tuple[Path, Path]:
    directories = tmp_path / "a", tmp_path / "b"
    for each in directories:
        each.mkdir()
    return directories


async def make(data_dir: Path) -> Path:
    store = await SqliteStore.open(data_dir)
    await store.close()
    return data_dir


def objects(data_dir: Path) -> dict[str, str]:
    """What the schema holds, without comments and however it is indented."""
    connection = connect(data_dir)
    rows = connection.execute("SELECT type || ' ' || name, sql FROM sqlite_master").fetchall()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    shards = str(connection.execute("SELECT * FROM run_shards").fetchall())
    connection.close()
    found = {name: " ".join(re.sub("--.*", "", sql or "").split()) for name, sql in rows}
    # Alembic writes its own table, in its own words.
    del found["table alembic_version"]
    return found | {"application_id": application_id, "revision": revision, "shards": shards}


def modes_in(directory: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in directory.iterdir()}


def set_revision(data_dir: Path, revision: str) -> None:
    connection = connect(data_dir)
    connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    connection.close()


async def test_a_fresh_database_is_the_one_that_the_migrations_lead_to(
    two_directories: tuple[Path, Path],
):
    migrate.upgrade(two_directories[0])
    await make(two_directories[1])

    assert objects(two_directories[0]) == objects(two_directories[1])
    assert len(objects(two_directories[0])) > 20


async def test_a_migrated_database_is_opened(tmp_path: Path):
    migrate.upgrade(tmp_path)

    assert await make(tmp_path)


async def test_the_known_revisions_are_those_of_the_migrations(tmp_path: Path):
    migrations = Path(migrate.__file__).parent / "migrations"
    scripts = ScriptDirectory(str(migrations))
    revisions = [each.revision for each in scripts.walk_revisions()]

    assert tuple(reversed(revisions)) == schema.KNOWN_REVISIONS
    assert schema.KNOWN_REVISIONS[-1] == schema.REVISION


async def test_migrate_is_idempotent_and_keeps_what_is_there(tmp_path: Path):
    assert migrate.migrate(tmp_path) == migrate.Migration(before="", after=schema.REVISION)
    before = objects(tmp_path)

    assert migrate.migrate(tmp_path) == migrate.Migration(
        before=schema.REVISION, after=schema.REVISION
    )
    assert objects(tmp_path) == before


async def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path):
    connection = connect(tmp_path)
    connection.execute("CREATE TABLE workers (in_the_way INTEGER)")

    with pytest.raises(Exception, match="table workers already exists"):
        migrate.upgrade(tmp_path)

    names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert names == [("workers",)]


async def test_a_newer_schema_is_refused_by_its_name(tmp_path: Path):
    await make(tmp_path)
    set_revision(tmp_path, "9999")

    with pytest.raises(SchemaError, match=r"schema 9999.*newer version of Hodei"):
        await SqliteStore.open(tmp_path)
    with pytest.raises(SchemaError, match=r"schema 9999.*newer version of Hodei"):
        migrate.migrate(tmp_path)


async def test_an_older_schema_is_refused_with_the_command_that_upgrades_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await make(tmp_path)
    monkeypatch.setattr(schema, "KNOWN_REVISIONS", (schema.REVISION, "0099"))
    monkeypatch.setattr(schema, "REVISION", "0099")

    with pytest.raises(SchemaError, match=r"needs 0099: run hodei db migrate"):
        await SqliteStore.open(tmp_path)


async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path):
    connection = connect(tmp_path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")

    with pytest.raises(SchemaError, match="tables of another program"):
        await SqliteStore.open(tmp_path)
    with pytest.raises(SchemaError, match="tables of another program"):
        migrate.migrate(tmp_path)

    names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert names == [("bookmarks",)]


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)

    with pytest.raises(StoreUnavailableError, match="not a database"):
        await SqliteStore.open(tmp_path)


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(StoreUnavailableError, match=r"missing/hodei.db: No such file"):
        await SqliteStore.open(tmp_path / "missing")


async def test_only_the_owner_may_read_the_files(tmp_path: Path):
    store = await SqliteStore.open(tmp_path)
    await store.last_position()
    modes = modes_in(tmp_path)
    await store.close()

    assert modes == dict.fromkeys((FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"), 0o600)


async def test_two_that_open_a_new_database_at_once_both_find_it_whole(tmp_path: Path):
    first, second = await SqliteStore.open(tmp_path), await SqliteStore.open(tmp_path)
    await first.close()
    await second.close()

    assert (
        sqlite3.connect(tmp_path / FILE_NAME).execute("PRAGMA integrity_check").fetchone()[0]
        == "ok"
    )


def test_the_server_does_not_carry_the_migration_tools():
    code = (
        "import sys, hodei.adapters.sqlite\n"
        "print(*sorted({'alembic', 'sqlalchemy', 'mako'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
