"""A page with the newest message from PostgreSQL and a counter from Redis; ``/healthz`` asks both.

PostgreSQL is asked through ``psql``, which every machine with PostgreSQL has; the PG* variables say where it is.
"""

import argparse
import os
import subprocess
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from redis_client import RedisError, redis

PAGE = """<!doctype html><meta charset="utf-8"><title>postgres-redis-app</title>
<h1>{message}</h1>
<p>Visit number <b>{visits}</b>, says Redis. The tables are at <b>{revision}</b>.</p>
"""


class QueryError(Exception):
    """psql could not answer; the message is its own last line."""


def query(sql: str) -> str:
    """The rows of a query, a line each, columns separated by tabs."""
    command = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--field-separator=\t", f"--command={sql}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        raise QueryError("no answer for 10 s") from None
    if done.returncode != 0:
        raise QueryError(done.stderr.strip().rpartition("\n")[2])
    return done.stdout.rstrip("\n")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            if self.path == "/":
                message = query("SELECT text FROM messages ORDER BY id DESC LIMIT 1")
                visits = redis("INCR", "visits")
                page = PAGE.format(message=escape(message), visits=visits, revision=escape(os.environ["REVISION"]))
                self._answer(200, "text/html", page)
            elif self.path == "/healthz":
                query("SELECT 1")
                redis("PING")
                self._answer(200, "text/plain", "ok\n")
            else:
                self._answer(404, "text/plain", "there is only / and /healthz\n")
        except (OSError, QueryError, RedisError) as error:
            self._answer(503, "text/plain", f"{type(error).__name__}: {error}\n")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.path != "/healthz":
            print(f"{self.command} {self.path} {int(code)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"serving http://127.0.0.1:{port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
