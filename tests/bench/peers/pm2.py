"""pm2: one Node.js daemon."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.stock import Stock

__all__ = ["pm2"]


@contextmanager
def pm2(stock: Stock, folder: Path, count: int) -> Iterator[int]:
    """The pid of a daemon that runs ``count`` sleeping programs."""
    home = folder / "pm2"
    home.mkdir()
    program = home / "program.sh"
    program.write_text("#!/bin/sh\nexec sleep 1000000\n")
    program.chmod(0o755)
    apps = [{"name": f"s{i}", "script": str(program), "exec_interpreter": "none"} for i in range(count)]
    (home / "apps.json").write_text(json.dumps({"apps": apps}))
    environment = {**os.environ, "PM2_HOME": str(home), "PM2_DISABLE_VERSION_CHECK": "true"}

    def run(*args: str) -> None:
        subprocess.run(["node", str(stock.pm2), *args], env=environment, check=True, capture_output=True)

    try:
        run("start", str(home / "apps.json"))
        yield int((home / "pm2.pid").read_text())
    finally:
        run("kill")
