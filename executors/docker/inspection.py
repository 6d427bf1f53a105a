"""Particulars of a container, for people: its state, image, addresses, processes, and what it uses."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from executors.docker.engine import Engine, EngineRefused
from executors.docker.handle import Container
from harness_core.domain.executor import Inspection

__all__ = ["inspect_container"]


async def inspect_container(engine: Engine, container: str) -> Inspection:
    """Ask the engine for all of it. Raises ``EngineRefused`` when there is no such container, or ``EngineLost``."""
    found = Container(await engine.call(lambda client: client.inspect_container(container)))
    stats: Mapping[str, Any] = {}
    pids: tuple[int, ...] = ()
    if found.alive:
        with contextlib.suppress(EngineRefused):  # ended meanwhile, or this engine cannot tell
            stats = await engine.call(lambda client: client.stats(container, stream=False, one_shot=True))
        with contextlib.suppress(EngineRefused):
            pids = _pids(await engine.call(lambda client: client.top(container)))
    main = int(found.state.get("Pid") or 0)
    cpu = (stats.get("cpu_stats") or {}).get("cpu_usage", {}).get("total_usage")
    return Inspection(
        pids=tuple(sorted({*pids, *([main] if main else [])})),
        cpu_seconds=None if cpu is None else cpu / 1e9,
        memory_bytes=_memory(stats.get("memory_stats") or {}),
        listening=tuple(_published(found)),
        details=_details(found),
    )


def _pids(top: Mapping[str, Any]) -> tuple[int, ...]:
    titles = list(top.get("Titles") or ())
    column = titles.index("PID") if "PID" in titles else None
    return () if column is None else tuple(int(row[column]) for row in top.get("Processes") or ())


def _memory(stats: Mapping[str, Any]) -> int | None:
    """What it holds, without what is only kept of files and given back when needed; as ``docker stats`` counts."""
    usage = stats.get("usage")
    if usage is None:
        return None
    parts = stats.get("stats") or {}
    cached = parts.get("total_inactive_file", parts.get("inactive_file", 0))
    return int(usage) - int(cached) if cached < usage else int(usage)


def _published(found: Container) -> list[str]:
    ports: Mapping[str, Any] = found.raw["NetworkSettings"].get("Ports") or {}
    return sorted({f"{one['HostIp']}:{one['HostPort']}" for many in ports.values() for one in many or ()})


def _details(found: Container) -> dict[str, Any]:
    networks: Mapping[str, Any] = found.raw["NetworkSettings"].get("Networks") or {}
    health = found.state.get("Health") or {}
    details: dict[str, Any] = {
        "container": found.name,
        "image": found.raw["Config"].get("Image", ""),
        "state": found.status,
        "networks": {name: str(one.get("IPAddress") or "") for name, one in networks.items()},
        "mounts": [
            f"{mount.get('Name') or mount.get('Source', '')}:{mount.get('Destination', '')}"
            for mount in found.raw.get("Mounts") or ()
        ],
    }
    if health:
        details["image_health"] = str(health.get("Status", ""))
    return details
