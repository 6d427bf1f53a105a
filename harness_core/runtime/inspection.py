"""Particulars of a living instance, for people: its processes, their memory and time, and where they listen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psutil

from harness_core.domain.executor import Inspection
from harness_core.runtime.processes import ProcessIdentity

__all__ = ["inspect_tree", "listening_on"]


def inspect_tree(members: Iterable[ProcessIdentity], leader_pid: int, more: Mapping[str, Any]) -> Inspection:
    """Sum up a tree; blocking, some milliseconds. What ends meanwhile, or is not ours to see, is left out.

    ``more`` are details that the caller knows.
    """
    pids: list[int] = []
    cpu, memory = 0.0, 0
    listening: set[str] = set()
    leader: dict[str, Any] = {}
    for one in members:
        try:
            process = psutil.Process(one.pid)
            with process.oneshot():
                times = process.cpu_times()
                rss = process.memory_info().rss
                if one.pid == leader_pid:
                    leader = {"command": process.cmdline(), "threads": process.num_threads()}
            listening.update(f"{host}:{port}" for host, port in listening_on(process))
        except psutil.Error:
            continue
        pids.append(one.pid)
        cpu += times.user + times.system
        memory += rss
    return Inspection(
        pids=tuple(sorted(pids)),
        cpu_seconds=cpu if pids else None,
        memory_bytes=memory if pids else None,
        listening=tuple(sorted(listening)),
        details={**leader, **more},
    )


def listening_on(process: psutil.Process) -> list[tuple[str, int]]:
    """The addresses at which it takes TCP connections. Raises ``psutil.Error``."""
    return [
        (connection.laddr.ip, connection.laddr.port)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
