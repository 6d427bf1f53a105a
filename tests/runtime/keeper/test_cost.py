"""What the keeper costs: sanity, with room for a busy machine; figures proper are the benchmarks' business."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

from tests.runtime.keeper.conftest import until

CHATTER = """
import os, time
due = time.monotonic()
while True:
    due += 0.002
    time.sleep(max(0.0, due - time.monotonic()))
    os.write(1, b"x" * 99 + b"\\n")
"""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def private_kilobytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def test_a_hundred_services_cost_little_memory_and_no_time_at_rest(keeper: Any) -> None:
    keeper.start()
    keeper.ask("ping")
    before = private_kilobytes(keeper.pid)
    for number in range(100):
        keeper.spawn(["/bin/sleep", "60"], f"a{number}")
    assert (private_kilobytes(keeper.pid) - before) / 100 < 20
    at_rest = cpu_seconds(keeper.pid)
    woken = _switches(keeper.pid)
    time.sleep(0.5)
    assert cpu_seconds(keeper.pid) == at_rest
    assert _switches(keeper.pid) <= woken + 1  # one for lying down


def _switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


def test_many_writers_of_many_lines_are_gathered(keeper: Any) -> None:
    keeper.start()
    for number in range(10):
        keeper.python(CHATTER, f"a{number}")
    keeper.until_output(b"x", "a9")
    began, used = time.monotonic(), cpu_seconds(keeper.pid)
    time.sleep(1.0)
    # 5000 lines a second; a turn for each would take several times as much
    assert (cpu_seconds(keeper.pid) - used) / (time.monotonic() - began) < 0.25


def test_more_services_than_fds_allowed_at_first(keeper: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        keeper.start()
        for number in range(120):
            assert "pid" in keeper.sh("ulimit -n; exec sleep 60", f"a{number}")
        # a service gets the limit that it would have had
        until(lambda: keeper.output("a119"))
        assert keeper.output("a119") == b"256\n"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
