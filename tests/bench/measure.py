"""What is read of the machine: time, processor seconds, proportional memory; and waiting for conditions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import quantiles

__all__ = ["alive", "cpu_seconds", "percentile", "pss", "until"]

_TICK = os.sysconf("SC_CLK_TCK")


def until(condition: Callable[[], bool], what: str, *, within: float = 60.0, every: float = 0.002) -> float:
    """Look until the condition holds; returns the monotonic time at which it was seen to."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s for {what}")
        time.sleep(every)
    return time.monotonic()


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used, to the nanosecond where the kernel counts so."""
    return sum(_cpu(pid) for pid in pids)


def _cpu(pid: int) -> float:
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return total / 1e9


def pss(pids: Iterable[int]) -> float:
    """Memory of these processes in MiB, what they share with others counted by its share."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
