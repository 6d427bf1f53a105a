"""One workload a file; ``ALL`` in the order of the table."""

from __future__ import annotations

from tests.bench.workloads import (
    chain,
    chorus,
    commands,
    flood,
    following,
    idle,
    latency,
    memory,
    restart,
    start,
    stop,
    takeback,
)

__all__ = ["ALL"]

ALL = {
    "start": start,
    "stop": stop,
    "chain": chain,
    "restart": restart,
    "flood": flood,
    "chorus": chorus,
    "following": following,
    "latency": latency,
    "commands": commands,
    "memory": memory,
    "idle": idle,
    "takeback": takeback,
}
