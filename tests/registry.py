"""A registry of images on loopback, as an engine finds it: with one image, which comes as fast as the test lets it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Registry"]

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
#: an engine tells of what comes, not of what has come
_PIECE, _PAUSE = 1 << 16, 0.1


class Registry:
    """Serves ``image`` until ``close``. The layer's second half is not sent before ``go_on``, or never if ``cut``."""

    def __init__(self, files: bytes) -> None:
        """``files`` is the image's file system as a tar archive."""
        layer = gzip.compress(files, 1)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/bin/sh"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(files)]},
            }
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": _digest(layer)}],
        }
        self.layer = layer
        self.manifest = json.dumps(manifest).encode()
        self.blobs = {_digest(layer): layer, _digest(config): config}
        self.go_on = threading.Event()
        self.cut = False
        #: of those who may have it, as ``name:password``; empty: everybody
        self.login = ""
        registry = self

        class Handler(_Handler):
            served = registry

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, name="registry")
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def image(self) -> str:
        return f"{self.host}/some/image:1"

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Registry

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        wanted = f"Basic {base64.b64encode(self.served.login.encode()).decode()}"
        if self.served.login and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="here"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        blob = self.served.blobs.get(self.path.rpartition("/")[2])
        if self.path == "/v2/":
            self._head(200, "application/json", b"")
        elif "/some/image/manifests/" in self.path:
            self._head(200, _MANIFEST, self.served.manifest)
            self.wfile.write(self.served.manifest if body else b"")
        elif blob is not None:
            self._head(200, "application/octet-stream", blob)
            with contextlib.suppress(ConnectionError):  # an engine that was told to give up hangs up
                self._pour(blob if body else b"")
        else:
            error = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).encode()
            self._head(404, "application/json", error)
            self.wfile.write(error if body else b"")

    def _pour(self, blob: bytes) -> None:
        half = len(blob) // 2
        for start in range(0, half, _PIECE):
            self.wfile.write(blob[start : min(start + _PIECE, half)])
            self.served.go_on.wait(_PAUSE if len(blob) > _PIECE else 0)
        if blob is self.served.layer:
            if self.served.cut:
                return
            self.served.go_on.wait(60)
        self.wfile.write(blob[half:])

    def _head(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", _digest(body))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is said."""


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
