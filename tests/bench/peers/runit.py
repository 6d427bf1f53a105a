"""runit: one supervisor process a service, here a single one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.stock import Stock

__all__ = ["runsv"]


@contextmanager
def runsv(stock: Stock, folder: Path, script: str) -> Iterator[None]:
    """A service under ``runsv``, which starts it again whenever it ends."""
    service = folder / "runit" / "one"
    service.mkdir(parents=True)
    run = service / "run"
    run.write_text(f"#!/bin/sh\n{script}\n")
    run.chmod(0o755)
    one = subprocess.Popen(["runsv", str(service)], env=stock.environment(), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        one.terminate()
        one.wait(30)
