"""Handshakes that never become a call are counted, and no others."""

import asyncio

import pytest

from hodei.api.grpc.handshakes import Handshakes
from hodei.application.counters import Counters


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
async def handshakes(counters: Counters, monkeypatch: pytest.MonkeyPatch) -> Handshakes:
    monkeypatch.setattr("hodei.api.grpc.handshakes._WITHIN_S", 0.0)
    made = Handshakes()
    made.count_in(counters)
    return made


async def judged() -> None:
    """What was called for in the loop, and what that called for, has been done."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_handshake_without_a_call_is_counted(
    handshakes: Handshakes, counters: Counters
) -> None:
    await asyncio.to_thread(handshakes.begun)
    await judged()
    assert counters.snapshot() == {"handshakes_refused": 1}


async def test_one_that_becomes_a_call_in_time_is_not(
    handshakes: Handshakes, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.api.grpc.handshakes._WITHIN_S", 0.01)
    handshakes.begun()
    handshakes.begun()
    await asyncio.sleep(0)
    handshakes.used("ipv4:127.0.0.1:1")
    # More calls on the same connection stand for no other handshake.
    handshakes.used("ipv4:127.0.0.1:1")
    await asyncio.sleep(0.02)
    await judged()
    assert counters.snapshot() == {"handshakes_refused": 1}


async def test_calls_of_long_ago_are_not_remembered_for_good(
    handshakes: Handshakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.api.grpc.handshakes._MOST_PEERS", 3)
    for port in range(10):
        handshakes.used(f"ipv4:127.0.0.1:{port}")
    assert len(handshakes._peers) == 3
