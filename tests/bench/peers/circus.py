"""circus: one Python daemon over ZeroMQ."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.bench.measure import until
from tests.bench.stock import Stock

__all__ = ["start"]


def start(stock: Stock, folder: Path, count: int) -> float:
    """Seconds from the exec of circusd until ``count`` services are there."""
    home = folder / "circus"
    ready = home / "ready"
    ready.mkdir(parents=True)
    config = home / "circus.ini"
    watchers = (
        f"[watcher:s{i}]\ncmd = /bin/sh -c 'echo $$ >{ready}/{i}; exec sleep 1000000'\nwarmup_delay = 0\n"
        for i in range(count)
    )
    ends = "".join(f"{name} = ipc://{home}/{name}\n" for name in ("endpoint", "pubsub_endpoint"))
    config.write_text(f"[circus]\nwarmup_delay = 0\n{ends}" + "".join(watchers))
    began = time.monotonic()
    process = subprocess.Popen(
        [str(stock.python_tools / "circusd"), str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return until(lambda: len(os.listdir(ready)) >= count, "circus's services") - began
    finally:
        # its own way to stop so many takes minutes
        process.kill()
        process.wait(60)
        for path in ready.iterdir():
            os.kill(int(path.read_text()), signal.SIGKILL)
