"""One service that writes lines of 100 bytes as fast as it can: how fast they are stored, and at what cost."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import cpu_seconds, until
from tests.bench.ours import ours
from tests.bench.peers.s6 import logged

ROWS = (
    Row("flood", "one service flat out, stored", "M lines/s", 1.5, "s6-log", at_least=True),
    Row("flood cost", "processor time for a million lines", "s", 0.7, "s6-log"),
    Row("flood lost", "lines lost of it", "lines", 0),
)


def once(bench: Bench) -> Mapping[str, Pair]:
    count = 1_000_000 if bench.quick else 5_000_000
    command = [str(bench.stock.writer), "0", str(count)]
    with bench.folder() as folder, ours(folder) as harness:
        go = folder / "go"
        script = f"while [ ! -e {go} ]; do sleep 0.01; done; exec {' '.join(command)}"
        target = {"type": "process", "binary": "/bin/sh", "args": ["-c", script]}
        harness.define({"one": {"target": target, "logs": {"max_size": 256 << 20, "max_files": 10}}})
        harness.run("start", str(harness.stack), "-q")
        before, began = cpu_seconds(harness.both), time.monotonic()
        go.touch()
        took = until(lambda: harness.stored("one") >= count * 100, "all to be stored", within=120) - began
        cost = cpu_seconds(harness.both) - before
        lost = count - sum(path.read_bytes().count(b"\n") for path in harness.log("one"))
    with bench.folder() as folder:
        theirs, their_cost = logged(bench.stock, folder, command, count)
    millions = count / 1e6
    return {
        "flood": Pair(millions / took, millions / theirs),
        "flood cost": Pair(cost / millions, their_cost / millions),
        "flood lost": Pair(lost),
    }
