"""Whatever is killed, and however often: every job ends, and none ever runs twice at once."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from acceptance.harness import HodeiServer
from acceptance.reading import Digest, digests_of
from hodei.sdk import Client

# The lock is the kernel's: it is held for as long as any process of the attempt lives.
LOCKING = """
exec 9> "$1/$2.lock"
flock -n 9 || echo "$2" >> "$1/overlaps"
echo run >> "$1/$2.runs"
( sleep 1.2 ) & wait
seq 1000
echo end >> "$1/$2.ends"
"""


def locking_job(folder: Path, job_id: str) -> dict[str, object]:
    """A job that notes when it runs while an earlier attempt of it still does."""
    command = ["bash", "-c", LOCKING, "bash", str(folder), job_id]
    return {"id": job_id, "command": command, "retries": 50, "backoff": 0, "grace": 0.2}


def kill_one(server: HodeiServer, chance: random.Random) -> None:
    """Kills some process of some worker, or the server."""
    if chance.random() < 0.2:
        server.kill()
        server.start()
        return
    with server.client() as client:
        pids = [worker.pid for worker in client.workers() if worker.pid is not None]
    if not pids:
        return
    with contextlib.suppress(psutil.Error):
        worker = psutil.Process(chance.choice(pids))
        chance.choice([worker, *worker.children(recursive=True)[:6]]).kill()


def run_through_chaos(
    server: HodeiServer, folder: Path, *, jobs: int, kills: int, seed: int
) -> None:
    """Runs jobs while things are killed at random, then checks every one of them."""
    folder.mkdir()
    chance = random.Random(seed)
    ids = [f"chaos-{seed}-{number}" for number in range(jobs)]
    with server.client() as client:
        client.submit_many([locking_job(folder, job_id) for job_id in ids])
    calm = threading.Event()
    for _ in range(kills):
        kill_one(server, chance)
        calm.wait(chance.uniform(0.05, 0.6))
    with server.client() as client:
        for job_id in ids:
            ended = client.wait(job_id, timeout=120)
            assert ended.state == "SUCCEEDED", ended.to_dict()
            check_life(client, folder, job_id)
    assert not (folder / "overlaps").exists(), (folder / "overlaps").read_text()


def check_life(client: Client, folder: Path, job_id: str) -> None:
    """Fails unless what Hodei says of a job is what the job itself has noted."""
    job = client.get(job_id)
    states = [attempt.state.value for attempt in job.attempts]
    assert states.count("SUCCEEDED") == 1, job.to_dict()
    assert states[-1] == "SUCCEEDED", job.to_dict()
    ends = (folder / f"{job_id}.ends").read_text().split()
    runs = (folder / f"{job_id}.runs").read_text().split()
    # An attempt may be killed between its last line and its exit, never the other way round.
    assert 1 <= len(ends) <= len(runs) <= len(states)
    output, _ = digests_of(client, job_id, attempt=len(states))
    assert output == Digest.of(b"%d\n" % n for n in range(1, 1001))


@pytest.mark.timeout(180)
def test_jobs_survive_random_kills_of_everything(
    start_server: Callable[..., HodeiServer], tmp_path: Path
) -> None:
    run_through_chaos(start_server(), tmp_path / "ledger", jobs=40, kills=8, seed=7)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_jobs_survive_hundreds_of_random_kills(
    start_server: Callable[..., HodeiServer], tmp_path: Path, seed: int
) -> None:
    own = start_server()
    began = time.monotonic()
    run_through_chaos(own, tmp_path / "ledger", jobs=400, kills=100, seed=seed)
    print(f"seed {seed}: 400 jobs, 100 kills, {time.monotonic() - began:.0f} s")


@pytest.mark.soak
def test_100_000_jobs_end_and_the_server_answers_meanwhile(
    start_server: Callable[..., HodeiServer],
) -> None:
    own = start_server(local_max_age="1d")
    began = time.monotonic()
    slowest = 0.0
    with own.client() as client:
        ids: list[str] = []
        for batch in range(10):
            requests = [
                {"id": f"many-{batch}-{n}", "command": ["echo", f"{batch} {n}"]}
                for n in range(10_000)
            ]
            ids += [job.id for job in client.submit_many(requests)]
        for job_id in ids[::1000]:
            asked = time.monotonic()
            client.server_info()
            slowest = max(slowest, time.monotonic() - asked)
            client.wait(job_id)
        for job_id in ids[-100:]:
            assert client.wait(job_id).state == "SUCCEEDED"
        total = sum(1 for _ in client.jobs(states=["SUCCEEDED"]))
    memory = psutil.Process(own.pid).memory_info().rss / 1e6
    print(
        f"100,000 jobs in {time.monotonic() - began:.0f} s, slowest answer {slowest:.2f} s, "
        f"server {memory:.0f} MB"
    )
    assert total == 100_000
    assert slowest < 2


@pytest.mark.soak
def test_5_gb_of_output_arrive_while_the_server_is_killed(
    start_server: Callable[..., HodeiServer],
) -> None:
    own = start_server()
    # Deterministic, so that it need not be kept anywhere: counted lines.
    with own.client() as client:
        job = client.submit(command=["sh", "-c", "seq -f %015.0f 335544320"], timeout="1h")
    for reached in range(1, 6):
        with own.client() as client:
            seen = (reached - 1) * 500_000_000
            for chunk in client.logs(job.id, stdout_offset=seen):
                if chunk.offset >= reached * 500_000_000:
                    break
        own.kill()
        own.start()
    with own.client() as client:
        assert client.wait(job.id).state == "SUCCEEDED"
        got = digests_of(client, job.id)[0]
    assert got == Digest.of(b"%015d\n" % n for n in range(1, 335_544_321))
