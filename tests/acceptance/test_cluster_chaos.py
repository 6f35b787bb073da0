"""Whatever of two servers is killed, and however often: what everybody saw is possible."""

import random
import time
from pathlib import Path

import pytest

from acceptance.cluster_chaos import Chaos, run_through_chaos
from acceptance.servers import some_servers
from dev_db import Cluster
from support.history_checker import faults_of


def chaos_in(
    tmp_path: Path,
    postgres: Cluster,
    url: str,
    *,
    seed: int,
    workers: int,
    longest_pause_s: float,
    **run: float,
) -> Chaos:
    settings = {"local_slots": 4, "local_max_workers": workers, "local_max_age": "1h"}
    with some_servers(tmp_path, url, **settings) as servers:
        chaos = Chaos(
            servers=servers,
            database=postgres,
            folder=tmp_path / "outside",
            chance=random.Random(seed),
            longest_pause_s=longest_pause_s,
        )
        run_through_chaos(chaos, **run)
    return chaos


@pytest.mark.timeout(300)
def test_two_servers_survive_random_kills_of_everything(
    tmp_path: Path, postgres: Cluster, postgres_url: str
) -> None:
    chaos = chaos_in(
        tmp_path,
        postgres,
        postgres_url,
        seed=3,
        workers=2,
        longest_pause_s=3.0,
        jobs=40,
        for_s=20,
        every_s=1.0,
        patience_s=150,
    )
    print(f"kills {chaos.kills}, {len(chaos.history.lost)} attempts lost")
    assert faults_of(chaos.history) == []
    assert len(chaos.history.seen) > 40


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_two_servers_ten_agents_and_3000_jobs_survive_five_minutes_of_kills(
    tmp_path: Path, postgres: Cluster, postgres_url: str, seed: int
) -> None:
    began = time.monotonic()
    chaos = chaos_in(
        tmp_path,
        postgres,
        postgres_url,
        seed=seed,
        workers=5,
        jobs=3000,
        for_s=300,
        every_s=1.0,
        patience_s=900,
        longest_pause_s=20.0,
    )
    print(
        f"seed {seed}: {len(chaos.history.submitted)} jobs, kills {chaos.kills}, "
        f"{len(chaos.history.seen)} answers, {time.monotonic() - began:.0f} s"
    )
    assert faults_of(chaos.history) == []
