"""To which of several servers an agent goes."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from hodei.agent import uplink
from hodei.agent.channel import Keepalive
from hodei.agent.connection import End, StreamEnd
from hodei.agent.identity import Identity
from hodei.agent.metrics import Sample
from hodei.agent.reactor.events import Event, StreamLost
from hodei.agent.reactor.messages import Hello
from hodei.agent.uplink import Uplink, UplinkParts
from hodei.agent.wire_messages import Vitals
from hodei.wire import hodei_all_in_one_pb2 as pb
from support.settling import settle

HELLO = Hello(session_epoch=0, held=())
IDENTITY = Identity(key_pem=b"", chain_pem=b"", ca_bundle_pem=b"")


class Line:
    """Where the agent called, and when each call ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[str] = []
        self.heard: list[Event] = []
        self.ends = asyncio.Event()
        line = self

        class Connection:
            unknown_payloads = 0

            def __init__(self, address: str, **_: object) -> None:
                line.called.append(address)

            async def run(self, hello: pb.WorkerMessage) -> StreamEnd:
                await line.ends.wait()
                line.ends.clear()
                return StreamEnd(kind=End.LOST, detail="gone")

        monkeypatch.setattr(uplink, "mutual_tls", lambda address, *_: address)
        monkeypatch.setattr(uplink, "Connection", Connection)
        monkeypatch.setattr(Uplink, "_renew_after_s", lambda *_: 1.0)
        self.uplink = Uplink(
            UplinkParts(
                slots=1,
                info=pb.WorkerInfo(),
                key_source=None,  # pyright: ignore[reportArgumentType] - no key is asked for
                keepalive=Keepalive(),
                renew_share=0.5,
                emit=self.heard.append,
                vitals=lambda: Vitals(worker_id="w", wall_ns=0, sample=Sample()),
                chance=lambda: 0.0,
                start_task=self._start,
            )
        )

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name)

    async def call(self, *, elsewhere: bool = False) -> None:
        self.uplink.connect(HELLO, elsewhere=elsewhere)
        await settle()

    async def lose(self) -> None:
        self.ends.set()
        await settle()


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(monkeypatch)


async def test_an_agent_goes_on_to_the_next_server_when_one_is_gone(line: Line) -> None:
    line.uplink.use(IDENTITY, ["a", "b", "c"])
    for _ in range(4):
        await line.call()
        await line.lose()
    assert line.called == ["a", "b", "c", "a"]
    assert all(isinstance(each, StreamLost) for each in line.heard)


async def test_an_agent_that_is_sent_away_goes_elsewhere_and_one_that_renews_stays(
    line: Line,
) -> None:
    line.uplink.use(IDENTITY, ["a", "b"])
    await line.call()
    await line.call()
    await line.call(elsewhere=True)
    assert line.called == ["a", "a", "b"]


async def test_an_agent_that_is_sent_away_from_the_only_server_comes_back(line: Line) -> None:
    line.uplink.use(IDENTITY, ["a"])
    await line.call()
    await line.call(elsewhere=True)
    assert line.called == ["a", "a"]


async def test_servers_that_come_and_go_are_known_without_leaving_ones_own(line: Line) -> None:
    line.uplink.use(IDENTITY, ["a"])
    await line.call()
    line.uplink.know(["c", "a", "b"])
    await line.call()
    await line.lose()
    await line.call()
    assert line.called == ["a", "a", "c"]
    line.uplink.know([])
    line.uplink.know(["d"])
    await line.call()
    assert line.called[-1] == "d"
