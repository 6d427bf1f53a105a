"""Commands from their exec to their end, and requests over a connection that is open already."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from statistics import median

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import percentile
from tests.bench.ours import Ours, ours
from tests.bench.peers.supervisor import supervisor

ROWS = (
    Row("status", "harness status, cold, 100 services", "s", 0.5, "supervisorctl"),
    Row("commands", "other commands, cold (the median of five)", "s", 1.2, "supervisorctl"),
    Row("warm p50", "warm request: status of 100, p50", "ms", 0.5),
    Row("warm p99", "warm request: status of 100, p99", "ms", 3),
)
COUNT = 100
#: between two requests: what a token may ask for in a second is limited
_PAUSE = 0.02
OTHERS = (("describe", "s1"), ("explain", "s1"), ("events", "--tail", "20"), ("graph",), ("daemon", "status"))


def once(bench: Bench) -> Mapping[str, Pair]:
    times = 5 if bench.quick else 11
    with (
        bench.folder() as folder,
        ours(folder) as harness,
        supervisor(bench.stock, folder, COUNT) as peer,
    ):
        harness.define_many(COUNT)
        harness.run("start", str(harness.stack), "-q")
        peer.control("start", "all")
        status, theirs, others = [], [], []
        for _ in range(times):
            status.append(harness.run("status"))
            theirs.append(peer.control("status"))
            others.append(median(harness.run(*command) for command in OTHERS))
        warm = _warm(harness, 300 if bench.quick else 1000)
    yardstick = median(theirs)
    return {
        "status": Pair(median(status), yardstick),
        "commands": Pair(median(others), yardstick),
        "warm p50": Pair(percentile(warm, 50)),
        "warm p99": Pair(percentile(warm, 99)),
    }


def _warm(harness: Ours, count: int) -> list[float]:
    """Milliseconds of requests, one after the other, over one TLS connection."""
    said = json.loads((harness.state / "daemon.json").read_text())
    context = ssl.create_default_context(cafile=str(harness.state / "tls" / "ca.pem"))
    host, _, port = said["url"].removeprefix("https://").rpartition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=context)
    token = (harness.state / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "service.status", "params": {}})
    took = []
    for _ in range(count):
        time.sleep(_PAUSE)
        began = time.monotonic()
        connection.request("POST", "/rpc", body, headers)
        answer = connection.getresponse()
        answer.read()
        took.append((time.monotonic() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"HTTP {answer.status}")
    connection.close()
    return took[20:]
