"""A way to a database that swallows everything when a test says so: nothing is refused, nothing comes."""

import selectors
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class HoldingProxy:
    """Forwards bytes in a thread of its own. Held, it takes them and keeps them."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._is_held = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._pairs: dict[socket.socket, socket.socket] = {}

    @property
    def url(self) -> str:
        """The way that leads through this."""
        user = self._target.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        return self._target._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    def hold(self) -> None:
        """From now on nothing gets through, and nobody is told."""
        self._is_held.set()

    def let_go(self) -> None:
        """From now on everything gets through, what was held first."""
        self._is_held.clear()

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
            if self._is_held.is_set():
                # What is not read stays in the sockets, and is forwarded later.
                self._is_over.wait(0.05)
                continue
            for key, _ in self._selector.select(0.05):
                source: socket.socket = key.fileobj  # pyright: ignore[reportAssignmentType]
                if source is self._listener:
                    self._accept()
                elif source in self._pairs:
                    self._forward(source)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection((self._target.hostname, self._target.port))
        for one, other in ((near, far), (far, near)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        try:
            data = source.recv(65536)
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass
        for each in (source, self._pairs[source]):
            self._selector.unregister(each)
            del self._pairs[each]
            each.close()
