"""From the SIGKILL of a service to the first line of the one that follows it, with no back-off."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from tests.bench.bench import Bench, Pair, Row
from tests.bench.ours import ours, shell
from tests.bench.peers.runit import runsv

ROWS = (
    Row("restart", "SIGKILL to the new one's first line, p50", "ms", 10),
    Row("restart, runit", "the same beside runit", "ms", 10, "runit"),
)
KILLS = 20


def once(bench: Bench) -> Mapping[str, Pair]:
    with bench.folder() as folder:
        fifo, script = _place(folder)
        restart = {"policy": "always", "delay": 0, "burst": 0}
        with ours(folder) as harness:
            harness.define({"one": shell(script, restart=restart)})
            reader = os.open(fifo, os.O_RDWR)
            harness.run("start", str(harness.stack), "-q")
            mine = _kills(reader, pause=0.05)
            os.close(reader)
    with bench.folder() as folder:
        fifo, script = _place(folder)
        reader = os.open(fifo, os.O_RDWR)
        with runsv(bench.stock, folder, script):
            # runsv waits a second before it starts what lived for less than one
            theirs = _kills(reader, pause=1.1, count=5)
        os.close(reader)
    return {"restart": Pair(mine), "restart, runit": Pair(mine, theirs)}


def _place(folder: Path) -> tuple[Path, str]:
    fifo = folder / "said"
    os.mkfifo(fifo)
    return fifo, f"echo $$ >{fifo}; exec sleep 1000000"


def _kills(reader: int, *, pause: float, count: int = KILLS) -> float:
    pid, took = int(os.read(reader, 100)), []
    for _ in range(count):
        time.sleep(pause)  # it is to be at rest when it is killed
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        pid = int(os.read(reader, 100))
        took.append((time.monotonic() - began) * 1000)
    return median(took)
