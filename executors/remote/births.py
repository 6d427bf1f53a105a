"""Bringing a life into being on another machine, or finding the one that is there: never a second one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from executors.remote.command import run_of
from harness_core.domain.executor import Marker, StartFailed
from harness_core.domain.layers import quote

if TYPE_CHECKING:
    from executors.remote.link import Link
    from executors.remote.shell import Shell

__all__ = ["launch", "state_of"]

#: how long a run that is claimed may take to come to life before it is made sure that it never will
_BIRTH = 3.0
_LOOK = 0.05


async def state_of(shell: Shell, run: str) -> list[str]:
    """The words of what became of a run: ``alive``, ``exit``, ``lost``, ``rebooted``, ``failed`` or ``absent``.

    Raises ``LinkLost``.
    """
    return await _settled(shell, run, (await shell.ask(f"h_state {run}")).decode("ascii", "replace").split())


async def launch(shell: Shell, link: Link, marker: Marker, life: str) -> tuple[list[str], int, str]:
    """The state after the start, and number and start time of its process.

    Raises ``StartFailed`` when there is no life, and ``LinkLost`` when that is not known.
    """
    run = run_of(marker)
    lines = (await shell.ask(f"h_launch {run} {quote(life)}")).decode("utf-8", "replace").splitlines()
    state = (lines[0] if lines else "").split()
    if state[:1] == ["error"]:
        raise StartFailed(f"cannot start {marker.key} on {link.name}: {lines[0].removeprefix('error ')}")
    state = await _settled(shell, run, state)
    if state[0] in ("failed", "absent"):
        await shell.ask(f"h_remove {run}")
        raise _refusal(marker, link, state)
    born = (await shell.ask(f'h_words {run}/birth && printf \'%s %s\' "$h_a" "$h_b"')).split()
    return state, int(born[0]) if born else 0, born[1].decode("ascii", "replace") if born else ""


async def _settled(shell: Shell, run: str, state: list[str]) -> list[str]:
    async def again() -> list[str]:
        return (await shell.ask(f"h_state {run}")).decode("ascii", "replace").split()

    loop = asyncio.get_running_loop()
    until = loop.time() + _BIRTH
    while state[:1] in (["claimed"], ["ending"]) and loop.time() < until:
        await asyncio.sleep(_LOOK)
        state = await again()
    if state[:1] == ["claimed"]:
        state = (await shell.ask(f"h_void {run}")).decode("ascii", "replace").split()
    return state or ["lost"]


def _refusal(marker: Marker, link: Link, state: list[str]) -> StartFailed:
    match state:
        case ["failed", "program", *_]:
            return StartFailed(f"cannot start {marker.key}: {link.name} has no such program", permanent=True)
        case ["failed", "place", *_]:
            return StartFailed(f"cannot start {marker.key}: {link.name} has no such working_dir", permanent=True)
        case ["failed", "record", *_]:
            return StartFailed(f"cannot start {marker.key}: {link.name} cannot write its record; is its disk full?")
        case _:
            return StartFailed(f"cannot start {marker.key}: {link.name} did not bring it to life")
