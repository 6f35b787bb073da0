"""A registry of images for one test: it has one image, and says no in every way that there is."""

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOGIN = "user:secret"
_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_ERRORS = {
    "gone": (404, "MANIFEST_UNKNOWN", "manifest unknown"),
    "none": (404, "NAME_UNKNOWN", "repository name not known to registry"),
    "denied": (403, "DENIED", "requested access to the resource is denied"),
    "broken": (500, "UNKNOWN", "out of order"),
    "busy": (429, "TOOMANYREQUESTS", "you have reached your pull rate limit"),
}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class _Image:
    """One empty layer."""

    def __init__(self) -> None:
        tar = b"\0" * 10240
        layer = gzip.compress(tar, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]},
            }
        ).encode()
        self.blobs = {digest_of(data): data for data in (layer, config)}
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST_TYPE,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": len(config),
                    "digest": digest_of(config),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(layer),
                        "digest": digest_of(layer),
                    }
                ],
            }
        ).encode()


IMAGE = _Image()


class Registry(ThreadingHTTPServer):
    """At `address`: the image `tool:1`, to those who log in with `LOGIN` where that is needed."""

    def __init__(self, *, needs_login: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.needs_login = needs_login
        self.asked = 0
        """How often somebody looked at the image's manifest: at least once for each fetch."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"
        if self.server.needs_login and self.headers.get("Authorization") != wanted:
            self._refuse(401, "UNAUTHORIZED", "authentication required")
            return
        parts = self.path.strip("/").split("/")
        if parts == ["v2"]:
            self._answer(200, b"{}", "application/json")
        elif parts[1] in _ERRORS:
            self._refuse(*_ERRORS[parts[1]])
        elif parts[2] == "blobs":
            self._answer(200, IMAGE.blobs[parts[3]], "application/octet-stream")
        else:
            self.server.asked += 1
            self._answer(200, IMAGE.manifest, _MANIFEST_TYPE)

    do_HEAD = do_GET  # noqa: N815 - the base's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def _refuse(self, status: int, code: str, message: str) -> None:
        errors = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._answer(status, errors, "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.send_header("Content-Type", kind)
        self.send_header("Docker-Content-Digest", digest_of(body))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def registry(*, needs_login: bool = False) -> Iterator[Registry]:
    """One that serves while the block runs."""
    server = Registry(needs_login=needs_login)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
