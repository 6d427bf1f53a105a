"""What it takes when little or nothing happens."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import cpu_seconds
from tests.bench.ours import Ours, ours, shell

ROWS = (
    Row("idle", "idle, 100 services: daemon and keeper", "% of a core", 0.04),
    Row("idle checks", "100 HTTP checks every 10 s", "% of a core", 3),
    Row("idle loop", "a crash loop at the default back-off", "% of a core", 1),
)
COUNT = 100


def once(bench: Bench) -> Mapping[str, Pair]:
    seconds = 10 if bench.quick else 30
    with bench.folder() as folder, ours(folder) as harness:
        harness.define_many(COUNT)
        harness.run("start", str(harness.stack), "-q")
        idle = _share(harness, seconds)
    with bench.folder() as folder, ours(folder) as harness, _http() as port:
        check = {"http": {"port": port, "path": "/"}, "interval": "10s"}
        harness.define({f"s{i}": shell("exec sleep 1000000", health_check=check) for i in range(COUNT)})
        harness.run("start", str(harness.stack), "-q")
        checks = _share(harness, seconds + 10)
    with bench.folder() as folder, ours(folder) as harness:
        harness.define({"one": shell("exit 1", restart="always")})
        harness.popen("start", str(harness.stack), "-q", "--no-wait").wait()
        loop = _share(harness, seconds + 20)
    return {"idle": Pair(idle), "idle checks": Pair(checks), "idle loop": Pair(loop)}


def _share(harness: Ours, seconds: float) -> float:
    time.sleep(3)
    before, began = cpu_seconds(harness.both), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(harness.both) - before) / (time.monotonic() - began) * 100


class _Ok(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


@contextmanager
def _http() -> Iterator[int]:
    """The port of a server that answers 200."""
    with _Server(("127.0.0.1", 0), _Ok) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
