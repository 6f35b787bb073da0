"""Serves an ASGI application until it is stopped."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from hodei.api.grpc.listeners import PortTakenError
from hodei.lifecycle.service import TaskSet


class _Server(uvicorn.Server):
    """uvicorn, telling when it serves, and leaving the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves, and says so."""
        await super().startup(sockets)
        self.is_ready.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the process's own to handle."""
        yield


class HttpServer:
    """uvicorn in this event loop, on a port that is taken when the object is made."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise PortTakenError(
                f"cannot listen on {host}:{port} for HTTP: {error.strerror}; "
                "choose another port with --http-port, or 0 for a free one"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._tasks = TaskSet()

    async def start(self) -> None:
        """Returns once it serves."""
        self._tasks.start(self._server.serve(sockets=[self._socket]), name="http")
        await self._server.is_ready.wait()

    async def stop(self) -> None:
        """Ends open requests and returns once it is over."""
        self._server.should_exit = True
        await self._tasks.drain()
        self._socket.close()
