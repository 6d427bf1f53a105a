"""A hundred services that write a thousand lines a second each, one write a line, while nobody looks."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import cpu_seconds, until
from tests.bench.ours import ours

ROWS = (
    Row("chorus", "100 services × 1000 lines/s: keeper and daemon", "% of a core", 45),
    Row("chorus rate", "of it, stored in that time", "lines/s", 95_000, at_least=True),
    Row("chorus lost", "lines lost of it", "lines", 0),
)
SERVICES, RATE = 100, 1000


def once(bench: Bench) -> Mapping[str, Pair]:
    seconds = 4 if bench.quick else 10
    each = RATE * (seconds + 4)
    with bench.folder() as folder, ours(folder) as harness:
        target = {"type": "process", "binary": str(bench.stock.writer), "args": [str(RATE), str(each)]}
        harness.define({f"s{i}": {"target": target} for i in range(SERVICES)})
        harness.run("start", str(harness.stack), "-q")
        time.sleep(1)  # the start itself is measured elsewhere
        names = [f"s{i}" for i in range(SERVICES)]
        before, stored, began = cpu_seconds(harness.both), sum(map(harness.stored, names)), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        share = (cpu_seconds(harness.both) - before) / took
        rate = (sum(map(harness.stored, names)) - stored) / 100 / took
        until(lambda: all(harness.stored(n) >= each * 100 for n in names), "all to be stored", every=0.1)
        lost = sum(each - p.read_bytes().count(b"\n") for n in names for p in harness.log(n))
    return {"chorus": Pair(share * 100), "chorus rate": Pair(rate), "chorus lost": Pair(lost)}
