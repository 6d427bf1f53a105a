"""Proportional memory of daemon and keeper: with a hundred services, for each one more, and over many log lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import pss, until
from tests.bench.ours import ours
from tests.bench.peers.pm2 import pm2

ROWS = (
    Row("memory", "daemon and keeper with 100 services, PSS", "MiB", 1.0, "pm2"),
    Row("memory growth", "for each service up to 1000", "KB", 20),
    Row("memory lines", "growth over 10⁷ log lines (10⁶ with --quick)", "MiB", 1),
)


def once(bench: Bench) -> Mapping[str, Pair]:
    hundred = _with(bench, 100)
    with bench.folder() as folder, pm2(bench.stock, folder, 100) as pid:
        time.sleep(2)  # it goes on allocating for a moment
        theirs = pss([pid])
    most = 500 if bench.quick else 1000
    growth = (_with(bench, most) - hundred) / (most - 100) * 1048.576
    return {
        "memory": Pair(hundred, theirs),
        "memory growth": Pair(growth),
        "memory lines": Pair(_over_lines(bench)),
    }


def _with(bench: Bench, count: int) -> float:
    with bench.folder() as folder, ours(folder) as harness:
        harness.define_many(count)
        harness.run("start", str(harness.stack), "-q")
        time.sleep(2)
        return pss(harness.both)


def _over_lines(bench: Bench) -> float:
    """What is held more after the lines than after the first tenth of them."""
    count = 1_000_000 if bench.quick else 10_000_000
    with bench.folder() as folder, ours(folder) as harness:
        writer = {"type": "process", "binary": str(bench.stock.writer)}
        logs = {"max_size": 16 << 20, "max_files": 3}
        harness.define(
            {
                name: {"target": {**writer, "args": ["0", str(lines)]}, "logs": logs}
                for name, lines in (("first", count // 10), ("rest", count))
            }
        )
        harness.run("start", str(harness.stack), "first", "-q")
        until(lambda: _at_rest(harness.stored, "first"), "the first to be stored")
        before = pss(harness.both)
        harness.run("start", str(harness.stack), "-q")
        until(lambda: _at_rest(harness.stored, "rest"), "the rest to be stored", within=120)
        return pss(harness.both) - before


def _at_rest(stored: Callable[[str], int], name: str) -> bool:
    before = stored(name)
    time.sleep(0.5)
    return before > 0 and before == stored(name)
