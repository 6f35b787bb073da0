"""Problem details by RFC 9457: how every error of the HTTP side looks."""

from starlette.responses import JSONResponse, Response


def problem(status: int, title: str, detail: str) -> Response:
    """The answer that says what is wrong."""
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status_code=status,
        media_type="application/problem+json",
    )
