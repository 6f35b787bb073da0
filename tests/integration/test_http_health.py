"""The HTTP side of a server: health for machines, and no answer for web pages of other sites."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from hodei.api.grpc.listeners import PortTakenError
from hodei.api.http.health import Health, health_app
from hodei.server.http_server import HttpServer

ALLOWED = ["localhost", "127.0.0.1", "::1"]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Site:
    """A served health application."""

    health: Health
    port: int

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """One request over a connection of its own."""
        lines = {"host": f"localhost:{self.port}", "connection": "close"} | headers
        head = f"{method} {path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{head}\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        status, _, rest = answer.partition("\r\n")
        shown, _, body = rest.partition("\r\n\r\n")
        pairs = (line.split(": ", 1) for line in shown.splitlines())
        return Answer(
            int(status.split()[1]), {name.lower(): value for name, value in pairs}, json.loads(body)
        )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    health = Health(has_started=True)
    server = HttpServer(health_app(health, allowed_hosts=ALLOWED), host="127.0.0.1", port=0)
    await server.start()
    yield Site(health, server.port)
    await server.stop()


async def test_a_server_that_serves_is_well(site: Site) -> None:
    for path in ("/health/live", "/health/ready", "/health/startup"):
        answer = await site.get(path)
        assert (answer.status, answer.body) == (200, {"status": "ok"})


async def test_a_server_that_starts_lives_and_is_not_ready(site: Site) -> None:
    site.health.has_started = False
    statuses = [
        (await site.get(f"/health/{which}")).status for which in ("live", "ready", "startup")
    ]
    assert statuses == [200, 503, 503]


async def test_a_server_in_trouble_or_draining_lives_and_says_why_it_is_not_ready(
    site: Site,
) -> None:
    site.health.trouble = lambda: "the disk is full"
    answer = await site.get("/health/ready")
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "the disk is full",
    }
    site.health.is_draining = True
    assert (await site.get("/health/ready")).body["detail"] == "draining"
    assert (await site.get("/health/live")).status == 200


async def test_what_is_not_there_is_a_problem_that_names_it(site: Site) -> None:
    answer = await site.get("/nowhere")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/nowhere" in answer.body["detail"]


async def test_what_may_not_be_done_is_a_problem(site: Site) -> None:
    answer = await site.get("/health/live", method="POST")
    assert (answer.status, answer.body["title"]) == (405, "Method Not Allowed")


async def test_only_names_of_this_machine_are_answered(site: Site) -> None:
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8080"):
        assert (await site.get("/health/live", host=host)).status == 200
    for host in ("evil.example", "localhost.evil.example", "[::1", "10.0.0.1"):
        answer = await site.get("/health/live", host=host)
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
    assert await _status_without_host(site) == 400


async def _status_without_host(site: Site) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /health/live HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1])


async def test_only_pages_of_this_machine_may_ask(site: Site) -> None:
    for origin in ("http://localhost:3000", "http://[::1]:8080"):
        assert (await site.get("/health/live", origin=origin)).status == 200
    for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
        answer = await site.get("/health/live", origin=origin)
        assert answer.status == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert origin in answer.body["detail"]


async def test_a_port_that_is_taken_is_named_with_its_option(site: Site) -> None:
    app = health_app(Health(), allowed_hosts=ALLOWED)
    with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{site.port}.*--http-port"):
        HttpServer(app, host="127.0.0.1", port=site.port)
