"""From the exec of ``harness stop`` until nothing of a hundred services is left."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import alive, until
from tests.bench.ours import ours
from tests.bench.peers.s6 import S6

ROWS = (
    Row("stop 100", "stop of 100 to all gone", "s", 1.0, "s6"),
    Row("stop 100 told", "stop of 100 until the command says so, verified", "s", 1.0, "s6"),
)
COUNT = 100


def once(bench: Bench) -> Mapping[str, Pair]:
    with bench.folder() as folder, ours(folder) as harness:
        harness.define_many(COUNT)
        harness.run("start", str(harness.stack), "-q")
        pids = [int(path.read_text()) for path in harness.ready.iterdir()]
        began = time.monotonic()
        command = harness.popen("stop", "--all", "-y", "-q")
        gone = until(lambda: not any(alive(pid) for pid in pids), "our services to go") - began
        command.wait(60)
        told = time.monotonic() - began
    with bench.folder() as folder:
        tree = S6(bench.stock, folder, COUNT)
        try:
            tree.start()
            theirs = tree.stop()
        finally:
            tree.close()
    return {"stop 100": Pair(gone, theirs), "stop 100 told": Pair(told, theirs)}
