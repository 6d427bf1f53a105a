"""From the exec of ``harness start`` until every service is there."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import until
from tests.bench.ours import ours
from tests.bench.peers import circus
from tests.bench.peers.s6 import S6
from tests.bench.peers.supervisor import supervisor

ROWS = (
    Row("start 100", "start 100 to all there", "s", 1.2, "s6"),
    Row("start 100 told", "start 100 until the command says so", "s", 1.2, "s6"),
    Row("start 100, circus", "the same beside circusd's own start", "s", 1.0, "circus"),
    Row("start 500", "start 500 to all there", "s", 0.8, "s6"),
    Row("start 1000", "start 1000 to all there", "s", 0.1, "supervisord"),
)


def once(bench: Bench) -> Mapping[str, Pair]:
    there, told = _ours(bench, 100)
    s6 = _s6(bench, 100)
    with bench.folder() as folder:
        circus_took = circus.start(bench.stock, folder, 100)
    return {
        "start 100": Pair(there, s6),
        "start 100 told": Pair(told, s6),
        "start 100, circus": Pair(there, circus_took),
        "start 500": Pair(_ours(bench, 500)[0], _s6(bench, 500)),
        "start 1000": Pair(_ours(bench, 1000)[0], _supervisor(bench, 1000)),
    }


def _ours(bench: Bench, count: int) -> tuple[float, float]:
    with bench.folder() as folder, ours(folder) as harness:
        harness.define_many(count)
        began = time.monotonic()
        command = harness.popen("start", str(harness.stack), "-q")
        there = until(lambda: len(os.listdir(harness.ready)) >= count, "our services") - began
        if command.wait(60):
            raise RuntimeError("harness start failed")
        return there, time.monotonic() - began


def _s6(bench: Bench, count: int) -> float:
    with bench.folder() as folder:
        tree = S6(bench.stock, folder, count)
        try:
            return tree.start()
        finally:
            tree.close()


def _supervisor(bench: Bench, count: int) -> float:
    with bench.folder() as folder, supervisor(bench.stock, folder, count) as peer:
        began = time.monotonic()
        command = peer.start()
        there = until(lambda: len(os.listdir(peer.ready)) >= count, "supervisord's services", within=300) - began
        command.wait(300)
        return there
