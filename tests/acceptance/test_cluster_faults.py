"""The database or the network fails two servers under load: all that is said is true, nothing is lost."""

import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from acceptance.crash import Ledger
from acceptance.harness import HodeiServer, eventually
from acceptance.reading import output_of
from acceptance.servers import Servers, some_servers
from dev_db import Cluster
from hodei.kernel.errors import NotFoundError, UnavailableError
from hodei.sdk import Client
from support.holding_proxy import HoldingProxy, Way

pytestmark = pytest.mark.soak

SETTINGS = {"local_slots": 4, "local_max_workers": 2}
FAULT_S = 30.0
PATIENCE_S = 240.0


@dataclass(slots=True)
class Load:
    """Jobs that are queued one after the other at any server that takes them, and looks at them."""

    servers: Servers
    ledger: Ledger
    accepted: list[str] = field(default_factory=list[str])
    unavailable: int = 0
    """Calls that were answered so."""
    is_over: threading.Event = field(default_factory=threading.Event)
    wrong: list[str] = field(default_factory=list[str])

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the block runs, a client at each server."""
        threads = [
            threading.Thread(target=self._ask, args=(number, each))
            for number, each in enumerate(self.servers.all)
        ]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self.is_over.set()
            for each in threads:
                each.join()

    def _ask(self, number: int, server: HodeiServer) -> None:
        chance = random.Random(number)
        with Client(server.address) as client:
            count = 0
            while not self.is_over.wait(0.1):
                count += 1
                self._submit(client, f"job-{number}-{count}")
                if self.accepted:
                    self._look(client, chance.choice(self.accepted))

    def _submit(self, client: Client, job_id: str) -> None:
        try:
            client.submit(**self.ledger.request(job_id))
        except UnavailableError:
            # It may be stored all the same: the same id again would say so.
            self.unavailable += 1
        else:
            self.accepted.append(job_id)

    def _look(self, client: Client, job_id: str) -> None:
        try:
            client.get(job_id)
        except UnavailableError:
            self.unavailable += 1
        except NotFoundError:
            self.wrong.append(job_id)

    def check(self) -> None:
        """Every job that was accepted ran once and lost nothing; no answer was untrue."""
        assert self.wrong == []
        with self.servers.client() as client:
            for job_id in self.accepted:
                client.wait(job_id, timeout=PATIENCE_S)
            for job_id in self.accepted:
                self.ledger.check(client, job_id)
            # What was stored although nobody could say so has ended too.
            assert [job.id for job in client.jobs(states=["QUEUED", "ASSIGNED", "RUNNING"])] == []


def load_on(servers: Servers, tmp_path: Path) -> Load:
    folder = tmp_path / "ledger"
    folder.mkdir()
    eventually(lambda: all(len(servers.seen_by(each)) == 2 for each in servers.all), within_s=30)
    return Load(servers, Ledger(folder=folder))


def work_again(servers: Servers) -> None:
    for each in servers.all:
        done = eventually(
            lambda each=each: (ran := each.cli("run", "--", "echo", "again")).code == 0 and ran,
            within_s=60,
            every_s=1,
        )
        assert done.stdout == b"again\n"


END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tests'"
FAULTS: dict[str, tuple[str, str]] = {
    "is read-only": (
        "ALTER DATABASE tests SET default_transaction_read_only = on",
        "ALTER DATABASE tests RESET default_transaction_read_only",
    ),
    "has no connection left": (
        "ALTER DATABASE tests CONNECTION LIMIT 0",
        "ALTER DATABASE tests CONNECTION LIMIT -1",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_while_the_database(
    fault: str, tmp_path: Path, postgres: Cluster, postgres_url: str
) -> None:
    begin, end = FAULTS[fault]
    with some_servers(tmp_path, postgres_url, **SETTINGS) as servers:
        load = load_on(servers, tmp_path)
        with load.running():
            time.sleep(5)
            try:
                postgres.ask(begin)
                postgres.ask(END_SESSIONS)
                time.sleep(FAULT_S)
            finally:
                postgres.ask(end)
                postgres.ask(END_SESSIONS)
            time.sleep(10)
        print(f"{fault}: {len(load.accepted)} jobs, {load.unavailable} calls UNAVAILABLE")
        assert load.unavailable > 0
        load.check()
        work_again(servers)


def test_while_the_database_swallows_everything_of_both_servers(
    tmp_path: Path, postgres_url: str
) -> None:
    with (
        HoldingProxy(postgres_url) as proxy,
        some_servers(tmp_path, proxy.url, **SETTINGS) as servers,
    ):
        load = load_on(servers, tmp_path)
        with load.running():
            time.sleep(5)
            proxy.hold()
            try:
                time.sleep(FAULT_S)
            finally:
                proxy.let_go()
            time.sleep(15)
        print(f"held: {len(load.accepted)} jobs, {load.unavailable} calls UNAVAILABLE")
        load.check()
        work_again(servers)


def test_while_the_database_is_slow(tmp_path: Path, postgres_url: str) -> None:
    with (
        HoldingProxy(postgres_url) as proxy,
        some_servers(tmp_path, proxy.url, **SETTINGS) as servers,
    ):
        load = load_on(servers, tmp_path)
        with load.running():
            time.sleep(5)
            # All connections of both servers share it: commits take a second and longer.
            proxy.delay(0.02)
            time.sleep(FAULT_S)
            proxy.delay(0)
            time.sleep(5)
        print(f"slow: {len(load.accepted)} jobs, {load.unavailable} calls UNAVAILABLE")
        load.check()
        work_again(servers)


@pytest.fixture
def small_disk(postgres: Cluster) -> Iterator[Callable[[], None]]:
    """A database `small` on a file system of its own; gives what makes that larger."""
    disk = postgres.directory / "small-disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m,uid=postgres,mode=700", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    postgres.ask(f"CREATE TABLESPACE small_disk LOCATION '{disk}'")
    postgres.ask("CREATE DATABASE small OWNER hodei TEMPLATE hodei TABLESPACE small_disk")
    yield lambda: subprocess.run(["mount", "-o", "remount,size=512m", disk], check=True) and None
    postgres.drop_database("small")
    postgres.ask("DROP TABLESPACE small_disk")
    subprocess.run(["umount", str(disk)], check=True)


def test_while_the_disk_of_the_database_is_full(
    tmp_path: Path, postgres: Cluster, small_disk: Callable[[], None]
) -> None:
    with some_servers(tmp_path, postgres.url(database="small"), **SETTINGS) as servers:
        load = load_on(servers, tmp_path)
        with servers.client() as client:
            noise = "head -c 3000000 /dev/urandom | base64"
            large = [f"large-{number}" for number in range(12)]
            for job_id in large:
                client.submit(id=job_id, command=["sh", "-c", noise])
            with load.running():
                eventually(lambda: load.unavailable > 5, within_s=120, what="a full disk")
                time.sleep(5)
                small_disk()
                time.sleep(5)
            print(f"full disk: {len(load.accepted)} jobs, {load.unavailable} calls UNAVAILABLE")
            load.check()
            for job_id in large:
                assert client.wait(job_id, timeout=PATIENCE_S).state == "SUCCEEDED"
                assert len(output_of(client, job_id, attempt=1).stdout) == 4_052_632
        work_again(servers)


WAYS = {"both ways": Way.THERE | Way.BACK, "to the server": Way.THERE, "from the server": Way.BACK}


@pytest.mark.parametrize("way", WAYS)
def test_workers_that_are_cut_off_from_their_server_lose_nothing(
    way: str, tmp_path: Path, postgres_url: str
) -> None:
    # Where workers are told to go, which is a proxy to where the servers listen.
    settings = {**SETTINGS, "advertise_host": "127.0.0.2"}
    with (
        some_servers(tmp_path, postgres_url, **settings) as servers,
        ExitStack() as stack,
    ):
        proxies = [
            stack.enter_context(proxy_of(address))
            for each in servers.all
            for address in (each.addresses["worker"], each.addresses["enroll"])
        ]
        load = load_on(servers, tmp_path)
        with load.running():
            eventually(lambda: len(load.accepted) > 30, within_s=60)
            for each in proxies[:2]:
                each.hold(WAYS[way])
            try:
                time.sleep(FAULT_S)
            finally:
                for each in proxies[:2]:
                    each.let_go()
            time.sleep(5)
        print(f"{way}: {len(load.accepted)} jobs, {load.unavailable} calls UNAVAILABLE")
        load.check()
        # Servers and clients have seen one another all the time.
        assert load.unavailable == 0
        work_again(servers)


def proxy_of(address: str) -> HoldingProxy:
    host, _, port = address.rpartition(":")
    return HoldingProxy(f"tcp://127.0.0.1:{port}", listen=(host, int(port)))
