"""Refuses requests that a page of another site makes through its visitor's browser."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class SameOrigin:
    """ASGI middleware: an Origin, where there is one, must be of an allowed host."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with 403, or lets the request through."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            origin: str = headers.get(b"origin", b"").decode("latin-1")
            if origin and urlsplit(origin).hostname not in self._allowed:
                body = {
                    "type": "about:blank",
                    "title": "Forbidden",
                    "status": 403,
                    "detail": f"requests from pages of {origin} are not allowed",
                }
                response = JSONResponse(
                    body, status_code=403, media_type="application/problem+json"
                )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
