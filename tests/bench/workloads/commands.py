"""Commands from their exec to their end, and requests over a connection that is open already."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from statistics import median

from websockets.sync.client import connect
from websockets.typing import Subprotocol

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
    """Milliseconds of requests, one after the other, over one WebSocket."""
    said = json.loads((harness.state / "daemon.json").read_text())
    context = ssl.create_default_context(cafile=str(harness.state / "tls" / "ca.pem"))
    headers = {"Authorization": f"Bearer {(harness.state / 'token').read_text().strip()}"}
    url = said["url"].replace("https", "wss", 1) + "/ws"
    took = []
    with connect(
        url, ssl=context, additional_headers=headers, subprotocols=[Subprotocol("harness.v1")], proxy=None
    ) as socket:
        for number in range(count):
            time.sleep(_PAUSE)
            request = json.dumps({"jsonrpc": "2.0", "id": number, "method": "status", "params": {}})
            began = time.monotonic()
            socket.send(request)
            answer = socket.recv()
            took.append((time.monotonic() - began) * 1000)
            if len(json.loads(answer)["result"]["services"]) != COUNT:
                raise RuntimeError(f"this is not the status: {answer[:500]!r}")
    return took[20:]
