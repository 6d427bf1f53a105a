"""A web page over the database: ``/`` for people, ``/count`` for programs, ``/healthz`` for the health check."""

import argparse
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kv import ask

PAGE = """<!doctype html><title>quickstart</title>
<h1>It runs.</h1>
<p>The worker has counted to <b>{count}</b>. The schema is at revision <b>{revision}</b>.</p>
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            if self.path == "/":
                self._answer(200, "text/html", PAGE.format(count=ask("GET", "count") or 0, revision=_revision()))
            elif self.path == "/count":
                state = {"count": int(ask("GET", "count") or 0), "revision": _revision()}
                self._answer(200, "application/json", json.dumps(state) + "\n")
            elif self.path == "/healthz":
                self._answer(200, "text/plain", ask("PING") + "\n")
            else:
                self._answer(404, "text/plain", "there is only /, /count and /healthz\n")
        except (OSError, RuntimeError) as error:
            self._answer(503, "text/plain", f"the database does not answer: {error}\n")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.path != "/healthz":  # one line a request is news; one line a health check is noise
            print(f"{self.command} {self.path} {int(code)}", flush=True)


def _revision() -> str:
    return os.environ["REVISION"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"serving http://127.0.0.1:{port}/ at schema revision {_revision()}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
