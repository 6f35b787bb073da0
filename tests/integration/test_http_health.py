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


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/startup"])
async def test_a_server_that_serves_is_well(site: Site, path: str) -> None:
    answer = await site.get(path)
    assert (answer.status, answer.body) == (200, {"status": "ok"})


async def test_a_server_that_starts_lives_and_is_not_ready(site: Site) -> None:
    site.health.has_started = False
    statuses = [
        (await site.get(f"/health/{which}")).status for which in ("live", "ready", "startup")
    ]
    assert statuses == [200, 503, 503]


@pytest.mark.parametrize("reason", ["draining", "the disk is full"])
async def test_a_server_that_drains_or_is_in_trouble_says_so(site: Site, reason: str) -> None:
    if reason == "draining":
        site.health.is_draining = True
    else:
        site.health.trouble = lambda: reason
    answer = await site.get("/health/ready")
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": reason,
    }
    assert (await site.get("/health/live")).status == 200


async def test_what_is_not_there_is_a_problem_that_names_it(site: Site) -> None:
    answer = await site.get("/nowhere")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/nowhere" in answer.body["detail"]


async def test_what_may_not_be_done_is_a_problem(site: Site) -> None:
    answer = await site.get("/health/live", method="POST")
    assert (answer.status, answer.body["title"]) == (405, "Method Not Allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8080"])
async def test_a_name_of_this_machine_is_answered(site: Site, host: str) -> None:
    assert (await site.get("/health/live", host=host)).status == 200


@pytest.mark.parametrize("host", ["", "evil.example", "localhost.evil.example", "[::1", "10.0.0.1"])
async def test_another_host_is_refused(site: Site, host: str) -> None:
    answer = await site.get("/health/live", host=host) if host else await _without_host(site)
    assert answer.status == 400
    if host:
        assert answer.headers["content-type"] == "application/problem+json"


async def _without_host(site: Site) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /health/live HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return Answer(int(answer.split()[1]), {}, None)


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://[::1]:8080"])
async def test_a_page_of_this_machine_may_ask(site: Site, origin: str) -> None:
    assert (await site.get("/health/live", origin=origin)).status == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example"]
)
async def test_a_page_of_another_site_is_refused(site: Site, origin: str) -> None:
    answer = await site.get("/health/live", origin=origin)
    assert answer.status == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert origin in answer.body["detail"]


async def test_a_port_that_is_taken_is_named_with_its_option(site: Site) -> None:
    app = health_app(Health(), allowed_hosts=ALLOWED)
    with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{site.port}.*--http-port"):
        HttpServer(app, host="127.0.0.1", port=site.port)
