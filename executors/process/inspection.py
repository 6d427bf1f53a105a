"""Particulars of a living instance, for people: its processes, their memory and time, and where they listen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psutil

from executors.process.handle import ProcessHandle
from harness_core.domain.executor import Inspection
from harness_core.runtime.processes import ProcessIdentity

__all__ = ["inspect_tree"]


def inspect_tree(members: Iterable[ProcessIdentity], handle: ProcessHandle) -> Inspection:
    """Sum up a tree; blocking, some milliseconds. What ends meanwhile, or is not ours to see, is left out."""
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
                if one.pid == handle.identity.pid:
                    leader = {"command": process.cmdline(), "threads": process.num_threads()}
            listening.update(_addresses(process))
        except psutil.Error:
            continue
        pids.append(one.pid)
        cpu += times.user + times.system
        memory += rss
    details = {**leader, "keeper": not handle.adopted}
    if handle.adopted:
        details["logs"] = "none: it was taken over while it ran, so its output goes where it went before"
    if handle.notes:
        details["limits"] = list(handle.notes)
    return Inspection(
        pids=tuple(sorted(pids)),
        cpu_seconds=cpu if pids else None,
        memory_bytes=memory if pids else None,
        listening=tuple(sorted(listening)),
        details=details,
    )


def _addresses(process: psutil.Process) -> list[str]:
    return [
        f"{connection.laddr.ip}:{connection.laddr.port}"
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
