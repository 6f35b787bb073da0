"""A way to PostgreSQL that can be cut at a chosen word of the client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from urllib.parse import urlsplit

from hodei.lifecycle.service import TaskSet


class Cut(Enum):
    """What happens to the client's next message that has the word in it."""

    BEFORE = auto()
    """It never arrives, and the server sees the connection end."""
    AFTER = auto()
    """It arrives and is answered, and the answer is lost with the connection."""
    HALF = auto()
    """The client loses its connection; the server still has its own, in which nothing comes."""


class CuttingProxy:
    """Forwards to a database until it is told to cut."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks = TaskSet()
        self._to_come: list[tuple[Cut, bytes]] = []
        self.cuts = 0
        """How often it has cut."""
        self.refuses = False
        """Whether new connections end at once."""

    @property
    def url(self) -> str:
        """The way to the database that leads through this."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        return self._target._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    def cut_at(self, word: bytes, cut: Cut) -> None:
        """Cuts, once, when the client says `word` after what it was to be cut at before."""
        self._to_come.append((cut, word))

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._tasks.close()
        await self._server.wait_closed()

    async def _forward(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        if self.refuses:
            to_client.close()
            return
        from_server, to_server = await asyncio.open_connection(
            self._target.hostname, self._target.port
        )
        self._writers |= {to_client, to_server}
        answers = _Answers(from_server, to_client)
        self._tasks.start(answers.forward(), name="answers")
        with suppress(ConnectionError):
            while data := await from_client.read(65536):
                if self._to_come and self._to_come[0][1] in data:
                    cut, _ = self._to_come.pop(0)
                    answers.are_dropped = True
                    if cut is Cut.AFTER:
                        to_server.write(data)
                        await answers.dropped.wait()
                    to_client.transport.abort()
                    self.cuts += 1
                    if cut is Cut.HALF:
                        return
                    break
                to_server.write(data)
        to_server.close()


class _Answers:
    """What the server says, on its way to the client."""

    def __init__(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        self._source = source
        self._target = target
        self.are_dropped = False
        self.dropped = asyncio.Event()

    async def forward(self) -> None:
        with suppress(ConnectionError):
            while data := await self._source.read(65536):
                if self.are_dropped:
                    self.dropped.set()
                else:
                    self._target.write(data)
        self._target.close()


@asynccontextmanager
async def cutting_proxy(url: str) -> AsyncIterator[CuttingProxy]:
    """A proxy that runs for as long as the block does."""
    proxy = CuttingProxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
