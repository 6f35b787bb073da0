"""A way that swallows everything when a test says so: nothing is refused, nothing comes."""

import selectors
import socket
import threading
from enum import Flag, auto
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Way(Flag):
    """Which way bytes go."""

    THERE = auto()
    """To the target."""
    BACK = auto()


BOTH_WAYS = Way.THERE | Way.BACK


class HoldingProxy:
    """Forwards bytes in a thread of its own. Held, it takes them and keeps them.

    Args:
        url: The target.
        listen: Where it listens itself.
    """

    def __init__(self, url: str, *, listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._target = urlsplit(url)
        self._listener = socket.create_server(listen)
        self._selector = selectors.DefaultSelector()
        self._held = Way(0)
        self._delay_s = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._ways: dict[socket.socket, Way] = {}
        """Where that goes which comes from a socket."""

    @property
    def url(self) -> str:
        """The way that leads through this."""
        user = self._target.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        return self._target._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    def hold(self, way: Way = BOTH_WAYS) -> None:
        """From now on nothing gets through that way, and nobody is told."""
        self._held = way

    def let_go(self) -> None:
        """From now on everything gets through, what was held first."""
        self._held = Way(0)

    def delay(self, seconds: float) -> None:
        """From now on it waits for so long before each piece that it forwards, of whomever."""
        self._delay_s = seconds

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        for each in (self._listener, *self._pairs):
            each.close()

    def _run(self) -> None:
        while not self._is_over.is_set():
            if self._held:
                self._is_over.wait(0.01)
            if self._held == BOTH_WAYS:
                continue
            for key, _ in self._selector.select(0.05):
                source: socket.socket = key.fileobj  # pyright: ignore[reportAssignmentType]
                if source is self._listener:
                    self._accept()
                # What is not read stays in the sockets, and is forwarded later.
                elif source in self._pairs and not self._ways[source] & self._held:
                    self._forward(source)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection((self._target.hostname, self._target.port))
        except OSError:
            near.close()
            return
        for one, other, way in ((near, far, Way.THERE), (far, near, Way.BACK)):
            self._pairs[one] = other
            self._ways[one] = way
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        if self._delay_s:
            self._is_over.wait(self._delay_s)
        try:
            data = source.recv(65536)
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass
        for each in (source, self._pairs[source]):
            self._selector.unregister(each)
            del self._pairs[each], self._ways[each]
            each.close()
