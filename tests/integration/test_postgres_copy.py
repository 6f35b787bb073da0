"""A SQLite installation moves to PostgreSQL, and nothing is missing there."""

import random
import shutil
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from conformance.durable_stores_under_test import (
    FUTURE,
    R1,
    R2,
    attempt,
    delivery,
    event,
    evolved,
    run_row,
    task,
    timer,
    write,
)
from conformance.stores_under_test import (
    accepted,
    assigned,
    at,
    cancelled,
    ended,
    finished,
    new_job,
    new_record,
    new_worker,
    put_job,
    put_jobs,
    put_worker,
    spec,
)
from hodei.adapters.logstore import SegmentLogStore
from hodei.adapters.postgres import PostgresStore
from hodei.adapters.postgres.logs import PostgresLogStore
from hodei.adapters.postgres.runs import PostgresDurableStore
from hodei.adapters.sqlite import SqliteStore
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import RetryPolicy
from hodei.domain.logs import LogChunk, LogGapError, LogStream
from hodei.durable.runner.shards import shard_of
from hodei.kernel.errors import AlreadyExistsError, BrokenError, NotFoundError
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports import durable
from hodei.ports.durable import RunFilter
from hodei.ports.durable_rows import OutboxRow, RunId, RunStatus
from hodei.ports.logs import LogStoreUnavailableError
from hodei.server import database_copy
from hodei.server.data_dir import DataDir, DataDirError, DataDirInUseError
from hodei.server.database import SchemaRefusedError
from hodei.server.database_copy import Copied, copy_database


@pytest.fixture
async def installation(tmp_path: Path) -> Path:
    """A data directory in which something has happened."""
    store = await SqliteStore.open(tmp_path)
    labelled = spec(name="n", labels={"team": "blue"}, tags=("slow",))
    retried = spec(retry=RetryPolicy(max_attempts=3, initial_backoff_s=60, jitter=0))
    a, b, c, _ = await put_jobs(
        store, new_job("a", labelled), new_job("b", retried), new_job("c"), new_job("d")
    )
    a = await put_job(store, assigned(a, now=at(1)), now=at(1))
    await put_job(store, accepted(a, now=at(2)), now=at(2))
    await put_job(store, finished(await put_job(store, assigned(b)), ReasonCode.IO_ERROR))
    await put_job(store, cancelled(c))
    worker = await put_worker(store, new_worker("w-1"))
    await put_worker(store, ended(worker))
    await put_worker(store, new_worker("w-2"))
    assert await store.put_provider(record := new_record("gpu-box"))
    assert await store.put_provider(record.changed(at(5), priority=7))
    await put_runs(store)
    await store.close()
    await put_output(DataDir(tmp_path))
    return tmp_path


async def put_runs(store: SqliteStore) -> None:
    """One that has ended, and one that waits for a time and for a task and has not heard it all."""
    runs = store.durable(SystemClock())
    ended = run_row(R1, workflow_id="wf-1")
    await write(runs, new_runs=(ended,), history=(event(1),), deliveries=(delivery("start"),))
    over = evolved(ended, status=RunStatus.COMPLETED, closed_at=at(9), runnable_at=None)
    await write(runs, runs=(over,), history=(event(2, command_id=7),), outbox=(OUTBOX,))
    await write(
        runs,
        new_runs=(run_row(R2, workflow_id="wf-2", request_id="r"),),
        history=(event(1, R2),),
        timers=(timer(1, FUTURE, R2),),
        tasks_new=(task(2, R2), task(3, R2, due_at=FUTURE)),
        deliveries=(delivery("heard", R2), delivery("unheard", R2)),
    )
    [heard, _] = await runs.read_inbox(R2, limit=9)
    await write(runs, consumed=(heard.id,), tasks_cancelled=(task(3, R2).task_id,))


OUTBOX = OutboxRow(topic="ended", run_id=R1, at=at(9), data=b"over")


async def put_output(data_dir: DataDir) -> None:
    """Of three jobs: small, in two attempts, and so large that it takes many rows."""
    logs = await SegmentLogStore.open(data_dir.logs, SystemClock())
    await logs.append([output("a", b"hello\n"), output("a", b"oops", stream=LogStream.STDERR)])
    await logs.append([output("b", b"first", attempt=1), output("b", b"second", attempt=2)])
    noise = random.Random(1).randbytes(3 * 2**20)
    for offset in range(0, len(noise), 2**16):
        await logs.append([output("c", noise[offset : offset + 2**16], offset)])
    await logs.close()
    data_dir.release()


def output(
    job_id: str,
    data: bytes,
    offset: int = 0,
    *,
    attempt: int = 1,
    stream: LogStream = LogStream.STDOUT,
) -> LogChunk:
    return LogChunk(
        job_id=JobId(job_id), attempt=attempt, stream=stream, offset=offset, data=data, at=at(3)
    )


async def copied(source: Path, url: str) -> Copied:
    return await copy_database(source, url, report=lambda _: None)


async def test_everything_is_there_and_goes_on(
    installation: Path, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(installation, other, dirs_exist_ok=True)

    done = await copied(installation, postgres_url)

    old, new = await SqliteStore.open(other), await PostgresStore.open(postgres_url)
    assert (done.events, done.streams, done.jobs, done.workers) == (17, 6, 4, 2)
    events = await old.read_events(after=BEFORE_THE_FIRST, limit=100)
    assert await new.read_events(after=BEFORE_THE_FIRST, limit=100) == events
    for ask in (
        lambda store: store.held_jobs(),
        lambda store: store.queued_demands(),
        lambda store: store.due_jobs(at(1000), limit=9),
        lambda store: store.living_workers(),
        lambda store: store.load_jobs([JobId(each) for each in "abcd"]),
    ):
        assert await ask(new) == await ask(old)
    # The next position follows the last one that was copied.
    await put_job(new, new_job("e"))
    assert await new.last_position() == events[-1].position + 2
    await old.close()
    await new.close()


async def test_runs_of_workflows_are_there_and_go_on(
    installation: Path, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(installation, other, dirs_exist_ok=True)

    assert (await copied(installation, postgres_url)).runs == 2

    embedded = await SqliteStore.open(other)
    old, new = embedded.durable(SystemClock()), await PostgresDurableStore.open(postgres_url)
    shard = shard_of("default", "wf-2", await new.shard_count())
    run = await old.load_run(R2)
    assert run is not None
    assert shard != run.shard_id
    assert await new.newest_run("default", "wf-2") == replace(run, shard_id=shard)
    assert await new.runs_due([shard], limit=9) == [R2]
    assert await new.next_timer([shard]) == FUTURE
    there = [replace(each, shard_id=shard) for each in await old.tasks_of(R2)]
    assert await new.tasks_of(R2) == there
    assert [each.cancel_requested for each in there] == [False, True]
    for ask in (
        lambda store: store.read_history(R1, after_seq=0),
        lambda store: store.read_history(R2, after_seq=0),
        lambda store: store.read_inbox(R2, limit=9),
        lambda store: store.read_outbox(after=0, limit=9),
    ):
        assert await ask(new) == await ask(old)
    # What was heard stays known, and what comes has a number of its own.
    again = await attempt(new, deliveries=(delivery("heard", R2), delivery("new", R2)))
    assert again == durable.Committed(repeated=("heard",))
    assert [each.delivery.key for each in await new.read_inbox(R2, limit=9)] == ["unheard", "new"]
    await write(new, new_runs=(run_row(RunId("r-3"), workflow_id="wf-3"),), outbox=(OUTBOX,))
    assert [row.run_id for row in (await new.list_runs(RunFilter(), limit=9)).runs] == [
        "r-3",
        R2,
        R1,
    ]
    await embedded.close()
    await new.close()


async def test_a_database_with_runs_is_left_alone(installation: Path, postgres_url: str):
    runs = await PostgresDurableStore.open(postgres_url)
    await write(runs, new_runs=(run_row(R1),))

    with pytest.raises(AlreadyExistsError, match="has runs of workflows already"):
        await copied(installation, postgres_url)

    assert len((await runs.list_runs(RunFilter(), limit=9)).runs) == 1
    await runs.close()


async def test_the_old_database_is_not_gone_on_with_by_mistake(
    installation: Path, postgres_url: str
):
    await copied(installation, postgres_url)

    data_dir = DataDir(installation)
    with pytest.raises(DataDirError, match=r"copied to the database at 127.0.0.1.*--database-url"):
        data_dir.require_not_moved()
    data_dir.release()


async def test_output_is_there_with_its_places_and_goes_on(
    installation: Path, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(installation, other, dirs_exist_ok=True)

    done = await copied(installation, postgres_url)

    assert (done.outputs, done.output_bytes) == (3, 10 + 11 + 3 * 2**20)
    old = await SegmentLogStore.open(other / "logs", SystemClock())
    new = await PostgresLogStore.open(postgres_url, SystemClock())
    for job_id, after in (("a", 0), ("a", 7), ("b", 3), ("c", 0), ("c", 2**20)):
        for number in (0, 1, 2):
            read = {"after_sequence": after, "max_bytes": 2**30, "attempt": number}
            assert await new.read(JobId(job_id), **read) == await old.read(JobId(job_id), **read)
    assert [each.end for each in await new.append([output("b", b"xsecond!", attempt=2)])] == [8]
    with pytest.raises(LogGapError):
        await new.append([output("c", b"x", 3 * 2**20 + 1)])
    await old.close()
    await new.close()


async def test_output_whose_beginning_is_gone_keeps_its_places(tmp_path: Path, postgres_url: str):
    store = await SqliteStore.open(tmp_path)
    await put_job(store, new_job("a"))
    await store.close()
    clock = SystemClock()
    logs = await SegmentLogStore.open(tmp_path / "logs", clock)
    await logs.append([output("a", b"old"), output("gone", b"all of it")])
    assert await logs.delete_before(clock.now() + timedelta(hours=1)) == 1
    await logs.append([output("a", b"new", 3)])
    await logs.close()

    done = await copied(tmp_path, postgres_url)

    assert (done.outputs, done.output_bytes) == (2, 3)
    new = await PostgresLogStore.open(postgres_url, clock)
    (entry,) = await new.read(JobId("a"), after_sequence=0, max_bytes=99)
    assert (entry.sequence, entry.chunk.offset, entry.chunk.data) == (6, 3, b"new")
    assert (await new.ends(JobId("gone"), 1))[LogStream.STDOUT] == 9
    await new.close()


async def test_many_pages_are_copied_and_compared(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database_copy, "_PAGE", 7)
    monkeypatch.setattr("hodei.server.runs_copy._ROWS", 2)
    store = await SqliteStore.open(tmp_path)
    await put_jobs(store, *(new_job(f"job-{number}") for number in range(30)))
    for number in range(9):
        await put_worker(store, new_worker(f"w-{number}"))
    await put_runs(store)
    await store.close()

    done = await copied(tmp_path, postgres_url)

    assert (done.events, done.streams, done.jobs, done.workers) == (69, 39, 30, 9)
    assert done.runs == 2


async def test_a_database_with_jobs_is_left_alone(installation: Path, postgres_url: str):
    store = await PostgresStore.open(postgres_url)
    job = await put_job(store, new_job("here"))

    with pytest.raises(AlreadyExistsError, match="has jobs already"):
        await copied(installation, postgres_url)

    assert await store.load_jobs([JobId("here"), JobId("a")]) == {"here": job}
    await store.close()


async def test_an_interrupted_copy_leaves_nothing_behind_and_may_be_repeated(
    installation: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    async def fail(_: object) -> None:
        raise RuntimeError("the power is off")

    with monkeypatch.context() as broken:
        broken.setattr("hodei.adapters.postgres.fill.rebuild_within", fail)
        with pytest.raises(RuntimeError, match="the power is off"):
            await copied(installation, postgres_url)

    assert (await copied(installation, postgres_url)).events == 17


SPOILS = {
    "an event is missing": "DELETE FROM events WHERE stream = 'job:a' AND version = 4",
    "an event says something else": "UPDATE events SET causation_id = 'x' WHERE stream = 'job:d'",
    "a job is missing": "DELETE FROM jobs WHERE id = 'd'",
    "a job is another": "DELETE FROM attempts WHERE number = 1",
    "output is missing": "DELETE FROM log_segments WHERE job_id = 'a'",
    "output ends elsewhere": "UPDATE log_jobs SET ends = '{}' WHERE job_id = 'a'",
    "output of a job is too much": (
        "INSERT INTO log_jobs SELECT 'z', previous, sequence, ends, loose FROM log_jobs LIMIT 1"
    ),
    "output is another": (
        "UPDATE log_segments SET data = set_byte(data, octet_length(data) - 1, 65)"
        " WHERE job_id = 'a'"
    ),
    "a provider is another": "UPDATE providers SET version = 3, data = replace(data, ':7,', ':8,')",
    "a run is another": "UPDATE runs SET is_parked = true WHERE is_open",
    "an event of a run is missing": "DELETE FROM run_history WHERE seq = 2",
    "what a run has heard is missing": "DELETE FROM run_inbox WHERE NOT is_unread",
    "a timer is too much": "INSERT INTO run_timers SELECT run_id, 9, shard_id, 1 FROM run_timers",
    "a task is in another shard": "UPDATE run_tasks SET shard_id = shard_id + 1",
    "a worker is missing": "DELETE FROM workers WHERE id = 'w-1'",
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_a_copy_that_is_not_the_same_is_noticed(
    installation: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, spoil: str
):
    filled = database_copy.fill

    async def fill_and_spoil(url: str, *what: object) -> None:
        await filled(url, *what)
        connection = await asyncpg.connect(url)
        await connection.execute(spoil)
        await connection.close()

    monkeypatch.setattr(database_copy, "fill", fill_and_spoil)
    with pytest.raises(
        (BrokenError, LogStoreUnavailableError), match=r"the copy has other|damaged"
    ):
        await copied(installation, postgres_url)

    data_dir = DataDir(installation)
    data_dir.require_not_moved()
    data_dir.release()


async def test_a_directory_that_is_in_use_or_has_no_database_is_refused(
    installation: Path, postgres_url: str
):
    with pytest.raises(NotFoundError, match="no database"):
        await copied(installation / "none", postgres_url)
    assert not (installation / "none").exists()
    running = DataDir(installation)
    with pytest.raises(DataDirInUseError, match="in use by a server"):
        await copied(installation, postgres_url)
    running.release()


async def test_a_source_of_another_schema_is_refused(installation: Path, postgres_url: str):
    connection = sqlite3.connect(installation / "hodei.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(SchemaRefusedError, match="schema 9999"):
        await copied(installation, postgres_url)
