"""A project as its engine has it: found by its label, told as containers, removed with all that carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from executors.compose.command import LABELS, Part
from executors.docker.engine import Engine, EngineRefused
from executors.docker.inspection import inspect_container
from executors.docker.lives import find_container
from harness_core.domain.executor import Inspection

__all__ = ["inspect_parts", "list_parts", "remove_parts", "signal_parts"]


def _label(project: str) -> dict[str, list[str]]:
    return {"label": [f"{LABELS.PROJECT}={project}"]}


async def list_parts(engine: Engine, project: str) -> list[Part]:
    """Its containers in order, those of nobody's service left out. Raises ``EngineLost`` or ``EngineRefused``."""
    rows = await engine.call(lambda client: client.containers(all=True, filters=_label(project)))
    found = await asyncio.gather(*(find_container(engine, str(row["Id"])) for row in rows))
    parts = [Part(container) for container in found if container is not None]
    return sorted((part for part in parts if not part.oneoff), key=lambda part: (part.service, part.number))


async def signal_parts(engine: Engine, parts: Iterable[Part], name: str) -> None:
    """Send a signal to all that live. One that has ended meanwhile is no error."""
    await asyncio.gather(*(_killed(engine, part, name) for part in parts if part.container.alive))


async def _killed(engine: Engine, part: Part, name: str) -> None:
    try:
        await engine.call(lambda client: client.kill(part.container.id, signal=name))
    except EngineRefused as refused:
        if refused.status not in (404, 409):
            raise


async def remove_parts(engine: Engine, project: str) -> None:
    """Remove containers and networks without the compose tool. Volumes that have a name stay."""
    rows = await engine.call(lambda client: client.containers(all=True, filters=_label(project)))
    for row in rows:
        await _gone(engine, lambda client, found=str(row["Id"]): client.remove_container(found, v=True, force=True))
    networks = await engine.call(lambda client: client.networks(filters=_label(project)))
    for network in networks:
        await _gone(engine, lambda client, found=str(network["Id"]): client.remove_network(found))


async def _gone(engine: Engine, remove: Any) -> None:
    try:
        await engine.call(remove)
    except EngineRefused as refused:
        if refused.status not in (403, 404, 409):  # it is being removed, or somebody else is in it
            raise


async def inspect_parts(engine: Engine, project: str, parts: list[Part]) -> Inspection:
    """All of its containers for people, each with its state and health."""
    alive = [part for part in parts if part.container.alive]
    seen = await asyncio.gather(*(inspect_container(engine, part.container.id) for part in alive))
    memory = [one.memory_bytes for one in seen if one.memory_bytes is not None]
    cpu = [one.cpu_seconds for one in seen if one.cpu_seconds is not None]
    return Inspection(
        pids=tuple(sorted(pid for one in seen for pid in one.pids)),
        cpu_seconds=sum(cpu) if cpu else None,
        memory_bytes=sum(memory) if memory else None,
        listening=tuple(sorted({address for one in seen for address in one.listening})),
        details={"project": project, "containers": {part.name: _told(part) for part in parts}},
    )


def _told(part: Part) -> str:
    """``running, healthy`` or ``exited, exit code 0``."""
    container = part.container
    words = [container.status]
    if part.health:
        words.append(part.health)
    if not container.alive and container.begun:
        words.append(str(container.exit()))
    if restarts := container.raw.get("RestartCount"):
        words.append(f"restarted {restarts} times")
    return ", ".join(words)
