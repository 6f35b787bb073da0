"""What the store on PostgreSQL does when the database, or the way there, fails it."""

import asyncio
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from conformance.stores_under_test import NOON, assigned, demand_id_of, new_job, put_job, spec
from conformance.test_membership_conformance import entry as server_entry
from dev_db import Cluster
from hodei.adapters.postgres import PostgresMembership, PostgresStore, connection
from hodei.adapters.postgres.committer import NoMemberError
from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.session_names import session_name
from hodei.domain.jobs.spec import Script
from hodei.kernel.errors import BrokenError
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId, ServerId
from hodei.ports.stores import Batch, Committed, Conflict, JobWrite, StoreUnavailableError
from support.cutting_proxy import Cut, cutting_proxy

MIB = 1024 * 1024
A = b"job:a"
"""In the one call that commits the job `a`."""
COMMIT = b"COMMIT\x00"
"""The end of a commit that takes several, as it is sent."""


def large_job(job_id: str) -> JobWrite:
    # Random, so that the database cannot make it small.
    return new_job(job_id, spec(command=Script(interpreter="sh", content=secrets.token_hex(MIB))))


async def commit(store: PostgresStore, write: JobWrite) -> object:
    """The outcome, an error being one."""
    try:
        return await store.commit(Batch(at=NOON, jobs=(write,)))
    except StoreUnavailableError as error:
        return error


async def stored_ids(store: PostgresStore) -> list[str]:
    """The jobs whose events are there, and a failure where their order or number is wrong."""
    events = await store.read_events(after=BEFORE_THE_FIRST, limit=100_000)
    positions = [each.position for each in events]
    assert positions == sorted(set(positions))
    seen: dict[str, int] = {}
    for each in events:
        assert each.version == seen.get(each.stream, 0) + 1
        seen[each.stream] = each.version
    return [stream.removeprefix("job:") for stream in seen]


async def end_sessions(cluster: Cluster, database: str = "tests") -> None:
    await asyncio.to_thread(
        cluster.ask,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",
    )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database waits for a stopped client for a moment instead of five seconds."""
    usual, short = (f"idle_in_transaction_session_timeout = '{each}'" for each in ("5s", "300ms"))
    assert usual in connection._SETTINGS
    monkeypatch.setattr(connection, "_SETTINGS", connection._SETTINGS.replace(usual, short))


class TestAConnectionThatIsLost:
    @pytest.mark.parametrize("cut", Cut)
    async def test_over_a_commit_is_made_good_and_the_commit_done_once(
        self, postgres_url: str, impatient: None, cut: Cut
    ):
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresStore.open(proxy.url)
            before = await put_job(store, new_job("before"))
            proxy.cut_at(A, cut)

            outcome = await commit(store, new_job("a"))

            assert proxy.cuts == 1
            assert isinstance(outcome, Committed)
            assert [each.version for each in outcome.events] == [1, 2]
            after = await store.read_events(
                after=before.version, limit=10
            )  # its positions are 1, 2
            assert tuple(after) == outcome.events
            assert len(await store.load_jobs([JobId("a")])) == 1
            await put_job(store, new_job("b"))
            assert await stored_ids(store) == ["before", "a", "b"]
            await store.close()

    @pytest.mark.parametrize("cut", Cut)
    async def test_over_a_large_commit_is_made_good_too(
        self, postgres_url: str, impatient: None, cut: Cut
    ):
        jobs = tuple(new_job(f"job-{number}") for number in range(1200))
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresStore.open(proxy.url)
            proxy.cut_at(COMMIT, cut)

            outcome = await store.commit(Batch(at=NOON, jobs=jobs))

            assert proxy.cuts == 1
            assert isinstance(outcome, Committed)
            stored = await store.read_events(after=BEFORE_THE_FIRST, limit=10_000)
            assert tuple(stored) == outcome.events
            assert await stored_ids(store) == [each.after.id for each in jobs]
            await store.close()

    async def test_twice_leaves_a_commit_in_doubt_and_says_so(self, postgres_url: str):
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresStore.open(proxy.url)
            await put_job(store, new_job("before"))
            proxy.cut_at(A, Cut.AFTER)
            proxy.cut_at(b"SELECT position FROM events", Cut.BEFORE)

            in_doubt = await commit(store, new_job("a"))
            assert isinstance(in_doubt, StoreUnavailableError)
            assert "is not known" in str(in_doubt)
            assert await commit(store, new_job("a")) == Conflict(streams=("job:a",))
            await store.close()

    async def test_before_the_commit_is_made_good_too(self, postgres_url: str):
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresStore.open(proxy.url)
            proxy.cut_at(b"hodei_commit_0050", Cut.AFTER)

            assert isinstance(await commit(store, new_job("a")), Committed)

            assert proxy.cuts == 1
            assert await stored_ids(store) == ["a"]
            await store.close()

    async def test_for_good_leaves_a_commit_in_doubt_and_says_so(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("hodei.adapters.postgres.group_commits._RECONNECT_S", 0.2)
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresStore.open(proxy.url)
            await put_job(store, new_job("before"))
            proxy.cut_at(A, Cut.AFTER)
            proxy.refuses = True

            in_doubt = await commit(store, new_job("a"))
            refused = await commit(store, new_job("b"))
            proxy.refuses = False

            assert isinstance(in_doubt, StoreUnavailableError)
            assert "is not known" in str(in_doubt)
            assert isinstance(refused, StoreUnavailableError)
            assert "is not known" not in str(refused)
            # Asked again, the expected version decides.
            assert await commit(store, new_job("a")) == Conflict(streams=("job:a",))
            assert isinstance(await commit(store, new_job("b")), Committed)
            assert await stored_ids(store) == ["before", "a", "b"]
            await store.close()

    @pytest.mark.slow
    async def test_again_and_again_under_load_loses_and_doubles_nothing(
        self, postgres: Cluster, postgres_url: str
    ):
        store = await PostgresStore.open(postgres_url)
        outcomes: dict[str, object] = {}
        stop = asyncio.Event()

        async def submit(task: int) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                write = new_job(f"{task}-{number}")
                outcomes[write.after.id] = await commit(store, write)

        async with asyncio.TaskGroup() as tasks:
            for task in range(8):
                tasks.create_task(submit(task))
            for _ in range(6):
                await end_sessions(postgres)
                enough = len(outcomes) + 50
                async with asyncio.timeout(10):
                    while len(outcomes) < enough:
                        await put_job(store, new_job(f"paced-{len(outcomes)}"))
            stop.set()

        stored = set(await stored_ids(store))
        # Each id was handed over once: a conflict would mean that a commit was done twice.
        assert not [each for each in outcomes.values() if isinstance(each, Conflict)]
        assert {id_ for id_, each in outcomes.items() if isinstance(each, Committed)} <= stored
        assert len(outcomes) > 300
        await store.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_of_the_database_loses_nothing_and_is_waited_for(
    postgres: Cluster, postgres_url: str, mode: str
):
    store = await PostgresStore.open(postgres_url)
    outcomes: dict[str, object] = {}
    stop = asyncio.Event()

    async def submit(task: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            write = new_job(f"{task}-{number}")
            outcomes[write.after.id] = await commit(store, write)

    async with asyncio.TaskGroup() as tasks:
        for task in range(4):
            tasks.create_task(submit(task))
        await asyncio.to_thread(postgres.restart, mode=mode)
        while True:
            try:
                await put_job(store, new_job("afterwards"))
                break
            except StoreUnavailableError:
                await asyncio.sleep(0.05)
        stop.set()

    stored = set(await stored_ids(store))
    assert {id_ for id_, each in outcomes.items() if isinstance(each, Committed)} <= stored
    assert not [each for each in outcomes.values() if isinstance(each, Conflict)]
    assert "afterwards" in stored
    await store.close()


async def test_whoever_is_stopped_within_a_commit_holds_up_the_others_for_moments_only(
    postgres_url: str, impatient: None
):
    stopped = await connection.connect(postgres_url)
    await stopped.execute("BEGIN; SELECT pg_advisory_xact_lock(448545449321)")
    store = await PostgresStore.open(postgres_url)

    async with asyncio.timeout(5):
        assert isinstance(await commit(store, new_job("a")), Committed)

    await store.close()
    stopped.terminate()


async def test_out_of_connections_is_said_and_gets_over(
    own_database: str, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hodei.adapters.postgres.group_commits._RECONNECT_S", 0.1)
    store = await PostgresStore.open(own_database)
    database = own_database.rpartition("/")[2]
    postgres.ask(f"ALTER DATABASE {database} CONNECTION LIMIT 0")
    await end_sessions(postgres, database)

    outcome = await commit(store, new_job("a"))
    with pytest.raises(StoreUnavailableError, match="max_connections"):
        await PostgresStore.open(own_database)
    with pytest.raises(StoreUnavailableError):
        await store.held_jobs()

    assert isinstance(outcome, StoreUnavailableError)
    assert "raise its max_connections" in str(outcome)
    postgres.ask(f"ALTER DATABASE {database} CONNECTION LIMIT -1")
    assert isinstance(await commit(store, new_job("a")), Committed)
    assert await stored_ids(store) == ["a"]
    await store.close()


async def test_a_read_only_database_takes_nothing_and_still_answers(
    own_database: str, postgres: Cluster
):
    store = await PostgresStore.open(own_database)
    job = await put_job(store, new_job("a"))
    database = own_database.rpartition("/")[2]
    postgres.ask(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    await store.close()
    store = await PostgresStore.open(own_database)

    outcome = await commit(store, new_job("b"))

    assert isinstance(outcome, StoreUnavailableError)
    assert "it is read-only" in str(outcome)
    with pytest.raises(StoreUnavailableError, match="read-only"):
        await store.claimable([demand_id_of(spec())], limit=1)
    assert await store.load_jobs([job.id]) == {job.id: job}
    postgres.ask(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    await end_sessions(postgres, database)
    assert isinstance(await commit(store, new_job("b")), Committed)
    assert await stored_ids(store) == ["a", "b"]
    await store.close()


@pytest.fixture
def small_disk(postgres: Cluster) -> Iterator[Path]:
    """A tablespace on a file system of its own, which holds a fresh database and little more."""
    disk = postgres.directory / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,uid=postgres,mode=700", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    postgres.ask(f"CREATE TABLESPACE small LOCATION '{disk}'")
    yield disk
    postgres.ask("DROP TABLESPACE small")
    subprocess.run(["umount", str(disk)], check=True)


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=96m", disk], check=True)


@pytest.mark.slow
async def test_a_full_disk_refuses_commits_and_keeps_what_it_has(
    small_disk: Path, postgres: Cluster
):
    postgres.ask("CREATE DATABASE small OWNER hodei TEMPLATE hodei TABLESPACE small")
    store = await PostgresStore.open(postgres.url(database="small"))
    accepted: list[str] = []
    refused: object = None
    for number in range(50):
        outcome = await commit(store, large_job(f"job-{number}"))
        if not isinstance(outcome, Committed):
            refused = outcome
            break
        accepted.append(f"job-{number}")

    assert accepted
    assert isinstance(refused, StoreUnavailableError)
    assert "free some space" in str(refused)
    assert await stored_ids(store) == accepted
    enlarge(small_disk)
    await put_job(store, large_job("afterwards"))
    assert await stored_ids(store) == [*accepted, "afterwards"]
    await store.close()
    postgres.drop_database("small")


async def test_a_batch_that_cannot_be_written_fails_alone(postgres_url: str):
    store = await PostgresStore.open(postgres_url)
    outcomes: dict[str, object] = {}

    async def submit(job_id: str, correlation_id: str) -> None:
        batch = Batch(at=NOON, jobs=(new_job(job_id),), correlation_id=correlation_id)
        try:
            outcomes[job_id] = await store.commit(batch)
        except BrokenError as error:
            outcomes[job_id] = error

    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            # PostgreSQL has no texts with zeros in them.
            tasks.create_task(submit(f"job-{number}", "\x00" if number == 2 else "fine"))

    bad = outcomes.pop("job-2")
    assert not isinstance(bad, Committed)
    assert all(isinstance(each, Committed) for each in outcomes.values())
    assert set(await stored_ids(store)) == set(outcomes)
    await store.close()


async def test_a_server_that_others_took_for_dead_commits_nothing_before_it_has_joined_again(
    postgres_url: str,
):
    me = [ServerId("a-1")]
    membership = PostgresMembership(postgres_url, server="a")
    await membership.join(server_entry(me[0]), lease_s=15)
    other = PostgresMembership(postgres_url, server="b")
    await other.join(server_entry(ServerId("b-1"), "b"), lease_s=15)
    store = await PostgresStore.open(postgres_url, server="a", member=lambda: me[0])
    assert isinstance(await commit(store, new_job("a")), Committed)

    assert await other.expel(me[0], lease_s=-1)

    refused = await commit(store, new_job("b"))
    assert isinstance(refused, NoMemberError)
    assert await stored_ids(store) == ["a"]
    me[0] = ServerId("a-2")
    await membership.join(server_entry(me[0]), lease_s=15)
    assert isinstance(await commit(store, new_job("b")), Committed)
    await store.close()
    await membership.close()
    await other.close()


async def test_a_server_is_ended_under_the_lock_of_commits(postgres_url: str):
    membership = PostgresMembership(postgres_url, server="a")
    other = PostgresMembership(postgres_url, server="b")
    await membership.join(server_entry(ServerId("a-1")), lease_s=15)
    await other.join(server_entry(ServerId("b-1"), "b"), lease_s=15)
    committing = await asyncpg.connect(postgres_url)
    await committing.execute(WRITES["begin"])

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        expel = tasks.create_task(other.expel(ServerId("a-1"), lease_s=-1))
        while not await committing.fetchval(WAITS_FOR_THE_LOCK):
            pass
        # Whoever is committing has asked before: it is a member until then.
        assert await committing.fetchval("SELECT ended_at FROM servers WHERE id = 'a-1'") is None
        await committing.execute("COMMIT")
        assert await expel

    await committing.close()
    await membership.close()
    await other.close()


WRITES = load("writes.sql")
WAITS_FOR_THE_LOCK = (
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
)


async def test_what_was_on_its_way_when_its_server_was_ended_is_committed_before_that_or_never(
    postgres_url: str,
):
    membership = PostgresMembership(postgres_url, server="a")
    other = PostgresMembership(postgres_url, server="b")
    store = await PostgresStore.open(postgres_url, server="a", member=lambda: ServerId("a-1"))
    await membership.join(server_entry(ServerId("a-1")), lease_s=15)
    await other.join(server_entry(ServerId("b-1"), "b"), lease_s=15)
    outcomes: list[object] = []

    async def submit(number: int) -> None:
        outcomes.append(await commit(store, new_job(f"job-{number}")))

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(submit(number))
        tasks.create_task(other.expel(ServerId("a-1"), lease_s=-1))
        for number in range(20, 40):
            tasks.create_task(submit(number))

    before = await stored_ids(store)
    assert len(before) == sum(isinstance(each, Committed) for each in outcomes)
    assert isinstance(await commit(store, new_job("late")), NoMemberError)
    assert await stored_ids(store) == before
    await store.close()
    await membership.close()
    await other.close()


def test_sessions_have_names_that_the_database_keeps_whole():
    name = session_name("sérver " * 20)

    assert name.isascii()
    assert len(name) <= 63
    assert name != session_name("sérver " * 20)


async def test_a_database_that_is_not_there_is_named_without_its_password(postgres_url: str):
    for url, said in (
        (f"{postgres_url.rpartition('/')[0]}/nowhere", "create the database first"),
        ("postgres://hodei:s3cret@127.0.0.1:1/hodei", "see whether it runs"),
        (postgres_url.replace("hodei:", "hodei:s3cret"), "see the user and the password"),
    ):
        with pytest.raises(StoreUnavailableError, match=said) as caught:
            await PostgresStore.open(url)
        assert "s3cret" not in str(caught.value)


async def test_commits_are_durable_whatever_the_database_has_as_its_default(
    own_database: str, postgres: Cluster
):
    database = own_database.rpartition("/")[2]
    postgres.ask(f"ALTER DATABASE {database} SET synchronous_commit = off")
    postgres.ask(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
    store = await PostgresStore.open(own_database)

    committing = store._committer._connection
    assert isinstance(committing, asyncpg.Connection)
    assert await committing.fetchval("SHOW synchronous_commit") == "on"
    assert await committing.fetchval("SHOW transaction_isolation") == "read committed"
    job = await put_job(store, new_job("a"))
    assert isinstance(await commit(store, assigned(job)), Committed)
    await store.close()
