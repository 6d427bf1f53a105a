"""Containers of somebody else's: which one is meant, and what is to be known of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from executors.docker.command import Plan, network_key
from executors.docker.engine import Engine
from executors.docker.handle import Container
from executors.docker.lives import find_container
from harness_core.domain.executor import StartFailed, StartSpec

__all__ = ["choose", "find_running", "plan_for"]


async def find_running(engine: Engine, wanted: str) -> Container:
    """The running container of a name, an id or its beginning. Raises ``StartFailed``, or what ``Engine.call`` does."""
    number = choose(await engine.call(lambda client: client.containers(all=True)), wanted)
    found = await find_container(engine, number)
    if found is None:
        raise StartFailed(f"the container {wanted} is being removed", absent=True)
    if not found.alive:
        how = f" ({found.exit()})" if found.begun else ""
        raise StartFailed(f"the container {wanted} is {found.status}{how}", hint=f"docker start {wanted}", absent=True)
    return found


def choose(rows: Iterable[Mapping[str, Any]], wanted: str) -> str:
    """The id of the container that is meant, of all that the engine lists. A name wins over a beginning of an id.

    Raises ``StartFailed``: for good when several fit, as absent when none does.
    """
    names = {str(row["Id"]): _name(row) for row in rows}
    for container, name in names.items():
        if wanted in (container, name):
            return container
    found = sorted((name, container) for container, name in names.items() if container.startswith(wanted))
    if len(found) > 1:
        shown = ", ".join(f"{name} ({container[:12]})" for name, container in found)
        raise StartFailed(f"cannot tell which container is meant by {wanted}: {shown}", permanent=True)
    if not found:
        near = difflib.get_close_matches(wanted, list(names.values()), n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else ""
        raise StartFailed(f"there is no container {wanted}", hint=hint, absent=True)
    return found[0][1]


def plan_for(container: Container, spec: StartSpec) -> Plan:
    """What a container of ours carries as a label, for one that is not.

    Its ports are those that the stack file declares, or else all that it has, by their numbers inside.
    """
    settings: Mapping[str, Any] = container.raw["NetworkSettings"]
    known = {*(container.raw["Config"].get("ExposedPorts") or ()), *(settings.get("Ports") or ())}
    numbers = sorted(int(key.partition("/")[0]) for key in known if key.endswith("/tcp"))
    ports = spec.ports or {str(number): number for number in numbers}
    named = {name: (f"{port}/tcp", spec.schemes.get(name, "http")) for name, port in ports.items()}
    networks = [key for name in settings.get("Networks") or () if (key := network_key(name, ""))]
    network = networks[0] if networks else ""
    return Plan(named, alias=container.name if network else "", network=network, logs=spec.logs)


def _name(row: Mapping[str, Any]) -> str:
    """Its own name, told from those that other containers link to it by."""
    names = [str(name).lstrip("/") for name in row.get("Names") or ()]
    return next((name for name in names if "/" not in name), "")
