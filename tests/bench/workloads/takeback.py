"""From the SIGKILL of the daemon, and the exec of the next one, until it says that everything is as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import alive, until
from tests.bench.ours import Ours, ours

ROWS = (
    Row("taken back 100", "100 services taken back after SIGKILL of the daemon", "s", 1),
    Row("taken back 1000", "1000 services taken back", "s", 5),
)


def once(bench: Bench) -> Mapping[str, Pair]:
    return {f"taken back {count}": Pair(_took(bench, count)) for count in (100, 1000)}


def _took(bench: Bench, count: int) -> float:
    with bench.folder() as folder, ours(folder) as harness:
        harness.define_many(count)
        harness.run("start", str(harness.stack), "-q")
        pids = _pids(harness)
        daemon = harness.daemon
        os.kill(daemon, signal.SIGKILL)
        until(lambda: not alive(daemon), "the daemon to be gone")
        began = time.monotonic()
        harness.run("daemon", "start")
        until(lambda: _pids(harness) == pids, "all to be taken back", every=0.02)
        return time.monotonic() - began


def _pids(harness: Ours) -> dict[str, int]:
    """The pids of what is ready."""
    done = subprocess.run(
        harness.command("status", "-o", "json"), env=harness.environment, cwd=harness.folder, capture_output=True
    )
    rows = json.loads(done.stdout)["services"]
    return {row["name"]: row["pid"] for row in rows if row["state"] == "ready"}
