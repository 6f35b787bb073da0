"""`/health/live`, `/health/ready` and `/health/startup`."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hodei.api.http.problems import problem
from hodei.api.http.same_origin import SameOrigin


@dataclass(slots=True)
class Health:
    """What the server says of itself; the composition root sets it."""

    has_started: bool = False
    is_draining: bool = False
    trouble: Callable[[], str] = lambda: ""
    """Empty when well, else what is wrong."""


def health_app(health: Health, *, allowed_hosts: list[str]) -> Starlette:
    """The HTTP application.

    Requests with a Host or an Origin of another site are refused, so that no web page can speak
    to a loopback server through its visitor's browser.
    """

    async def live(request: Request) -> Response:  # noqa: ARG001 - nothing of it matters
        return _answer("")

    async def ready(request: Request) -> Response:  # noqa: ARG001 - nothing of it matters
        if not health.has_started:
            return _answer("starting")
        return _answer("draining" if health.is_draining else health.trouble())

    async def startup(request: Request) -> Response:  # noqa: ARG001 - nothing of it matters
        return _answer("" if health.has_started else "starting")

    async def not_found(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the path says it
        detail = f"there is nothing at {request.url.path}; see /health/ready"
        return problem(404, "Not Found", detail)

    async def not_allowed(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as above
        return problem(405, "Method Not Allowed", f"{request.method} is not GET")

    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/health/startup", startup),
        ],
        middleware=[
            Middleware(SameOrigin, allowed_hosts=allowed_hosts),
        ],
        exception_handlers={404: not_found, 405: not_allowed},
    )


def _answer(trouble: str) -> Response:
    if trouble:
        return problem(503, "Service Unavailable", trouble)
    return JSONResponse({"status": "ok"})
