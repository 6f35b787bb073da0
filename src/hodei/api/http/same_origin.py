"""Refuses requests that a page of another site makes through its visitor's browser."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hodei.api.http.problems import problem


class SameOrigin:
    """ASGI middleware: Host, and Origin where there is one, must be of an allowed host.

    The Host too: a page may have its own name resolved to the address of a loopback server.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a problem, or lets the request through."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host, origin = headers.get("host", ""), headers.get("origin", "")
            refusal = None
            if _hostname(f"//{host}") not in self._allowed:
                detail = f"this is not {host or 'a server without a name'}; ask for localhost"
                refusal = problem(400, "Bad Request", detail)
            elif origin and _hostname(origin) not in self._allowed:
                detail = f"requests from pages of {origin} are not allowed"
                refusal = problem(403, "Forbidden", detail)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
