"""A whole server on PostgreSQL, through deaths of itself and of the database."""

import threading
from collections.abc import Callable
from pathlib import Path

from acceptance.crash import Ledger, run_through_crashes
from acceptance.harness import HODEI, HodeiServer, run_command
from dev_db import Cluster
from hodei.adapters.postgres.schema import REVISION
from hodei.sdk import Client

StartServer = Callable[..., HodeiServer]


def test_jobs_survive_crashes_of_the_server(
    start_server: StartServer, postgres_url: str, tmp_path: Path
) -> None:
    server = start_server(database_url=postgres_url, local_slots=8, local_max_workers=1)

    run_through_crashes(server, tmp_path / "ledger", jobs=60, crashes=3, seed=7)


def test_jobs_survive_restarts_of_the_database_and_lost_connections(
    start_server: StartServer, postgres: Cluster, postgres_url: str, tmp_path: Path
) -> None:
    server = start_server(database_url=postgres_url, local_slots=8, local_max_workers=1)
    (tmp_path / "ledger").mkdir()
    ledger = Ledger(folder=tmp_path / "ledger")
    ids = [f"job-{number}" for number in range(60)]

    def trouble() -> None:
        for mode in ("fast", "immediate"):
            postgres.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tests'"
            )
            postgres.restart(mode=mode)

    with Client(server.address) as client:
        client.submit_many([ledger.request(each) for each in ids])
        troubled = threading.Thread(target=trouble)
        troubled.start()
        jobs = [client.wait(each) for each in ids]
        troubled.join()
        assert {each.state for each in jobs} == {"SUCCEEDED"}
        for each in ids:
            ledger.check(client, each)


def test_an_installation_moves_from_sqlite_and_goes_on(
    start_server: StartServer, postgres_url: str
) -> None:
    server = start_server()
    done = server.cli("run", "--output", "json", "--", "echo", "before")
    events = server.cli("jobs", "show", done.json["id"], "--output", "json").json
    server.stop()

    copied = run_command(
        [HODEI, "db", "copy", "--from", str(server.data_dir), "--to", postgres_url]
    )
    assert copied.code == 0, copied.errors
    assert "jobs 1," in copied.text
    assert "output of 1 jobs (7 bytes)" in copied.text
    refused = run_command(server.command(), within_s=20)
    assert refused.code == 2
    assert "were copied to the database" in refused.errors

    server.environment["HODEI_DATABASE_URL"] = postgres_url
    server.start()
    assert server.cli("jobs", "show", done.json["id"], "--output", "json").json == events
    assert server.cli("logs", done.json["id"]).stdout == b"before\n"
    assert server.cli("run", "--", "echo", "after").stdout == b"after\n"


def test_a_database_is_migrated_by_hand_and_says_what_it_is(
    postgres: Cluster, tmp_path: Path
) -> None:
    postgres.drop_database("fresh")
    postgres.create_database("fresh")
    environment = {"HODEI_DATABASE_URL": postgres.url(database="fresh"), "HODEI_NAME": "alpha"}
    server = HodeiServer(data_dir=tmp_path / "data", environment=environment)

    def db(word: str) -> dict[str, object]:
        ran = run_command([HODEI, "db", word, "--output", "json"], environment=environment)
        assert ran.code == 0, ran.errors
        return ran.json

    refused = run_command(server.command(), environment=environment, within_s=20)
    assert (refused.code, "run hodei db migrate" in refused.errors) == (2, True)
    before = db("migrate")
    assert (before["before"], before["after"]) == ("", REVISION)
    try:
        server.start()
        found = db("status")
    finally:
        server.close()
    assert (found["kind"], found["revision"], found["advice"]) == ("postgresql", REVISION, "")
    assert found["used_by"] == "alpha"
