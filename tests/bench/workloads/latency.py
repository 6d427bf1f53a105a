"""From a service's write to the follower's output, quiet and loud."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping

from tests.bench.bench import Bench, Pair, Row
from tests.bench.measure import percentile
from tests.bench.ours import ours

ROWS = (
    Row("latency p50", "write to output, 100 lines/s, p50", "ms", 2),
    Row("latency p99", "write to output, 100 lines/s, p99", "ms", 10),
    Row("latency loud p99", "write to output, 100 × 1000 lines/s, p99", "ms", 25),
)


def once(bench: Bench) -> Mapping[str, Pair]:
    seconds = 3 if bench.quick else 8
    quiet = _latencies(bench, 1, 100, seconds)
    loud = _latencies(bench, 100, 1000, seconds)
    return {
        "latency p50": Pair(percentile(quiet, 50)),
        "latency p99": Pair(percentile(quiet, 99)),
        "latency loud p99": Pair(percentile(loud, 99)),
    }


def _latencies(bench: Bench, services: int, rate: int, seconds: int) -> list[float]:
    with bench.folder() as folder, ours(folder) as harness:
        target = {"type": "process", "binary": str(bench.stock.writer), "args": [str(rate), str(rate * (seconds + 60))]}
        harness.define({f"s{i}": {"target": target} for i in range(services)})
        harness.run("start", str(harness.stack), "-q")
        follower = harness.popen("logs", "-f", "--tail", "0", "--no-prefix", stdout=subprocess.PIPE)
        try:
            return _read(follower, seconds)
        finally:
            follower.kill()
            follower.communicate()


def _read(follower: subprocess.Popen[bytes], seconds: int) -> list[float]:
    """Of every line its age in milliseconds when it came out, from a second after the first on."""
    assert follower.stdout is not None
    read = follower.stdout.read1  # type: ignore[attr-defined]
    read(1 << 20)
    begin = time.monotonic() + 1
    ages: list[float] = []
    rest = b""
    while (now := time.monotonic()) < begin + seconds:
        data = rest + read(1 << 20)
        now = time.monotonic()
        *lines, rest = data.split(b"\n")
        if now >= begin:
            ages += [now * 1000 - int(line[:19]) / 1e6 for line in lines if len(line) == 99]
    return ages
