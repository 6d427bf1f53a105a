"""``harness logs -f`` into a pipe while ten services write all they can."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from time import monotonic

from tests.bench.bench import Bench, Pair, Row
from tests.bench.ours import ours

ROWS = (
    Row("followed", "followed flat out, into a pipe", "lines/s", 500_000, at_least=True),
    Row("followed lost", "lines that did not arrive", "lines", 0),
    Row("followed broken", "lines that arrived broken", "lines", 0),
)
SERVICES = 10


def once(bench: Bench) -> Mapping[str, Pair]:
    each = 30_000 if bench.quick else 100_000
    with bench.folder() as folder, ours(folder) as harness:
        go, mark = folder / "go", "waiting"
        writer = f"{bench.stock.writer} 0 {each}"
        script = f"echo {mark}; while [ ! -e {go} ]; do sleep 0.01; done; exec {writer} $HARNESS_SERVICE"
        target = {"type": "process", "binary": "/bin/sh", "args": ["-c", script]}
        logs = {"max_size": 64 << 20, "max_files": 4}
        harness.define({f"s{i}": {"target": target, "logs": logs} for i in range(SERVICES)})
        harness.run("start", str(harness.stack), "-q")
        follower = harness.popen("logs", "-f", "--tail", "all", "--no-prefix", stdout=subprocess.PIPE)
        try:
            took, output = _read(follower, go.touch, each * SERVICES)
        finally:
            follower.kill()
            follower.communicate()
    lines = [line for line in output.split(b"\n") if line and line != mark.encode()]
    whole = [line for line in lines if len(line) == 99 and line.count(b" ") == 3]
    counted = Counter((line[31:].split(b" ")[0], line[20:30]) for line in whole)
    lost = each * SERVICES - len(counted)
    return {
        "followed": Pair(each * SERVICES / took),
        "followed lost": Pair(lost),
        "followed broken": Pair(len(lines) - len(whole) + sum(n - 1 for n in counted.values())),
    }


def _read(follower: subprocess.Popen[bytes], go: Callable[[], None], count: int) -> tuple[float, bytes]:
    """Everything up to the last line, and the seconds from the word to go to it."""
    assert follower.stdout is not None
    read = follower.stdout.read1  # type: ignore[attr-defined]
    output = [read(1 << 20)]
    while b"".join(output).count(b"waiting") < SERVICES:
        output.append(read(1 << 20))
    go()
    began, size, wanted = monotonic(), 0, count * 100
    while size < wanted:
        piece = read(1 << 20)
        if not piece:
            break
        output.append(piece)
        size += len(piece)
    return monotonic() - began, b"".join(output)
