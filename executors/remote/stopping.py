"""Ending all of a run on another machine: asked first, then made to, and looked for until nothing is left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from harness_core.runtime.stopping import Grace

if TYPE_CHECKING:
    from executors.remote.link import Link
    from executors.remote.shell import Shell

__all__ = ["stop_run"]

_FIRST, _MOST = 0.02, 0.5
#: after KILL, so long until what is left is called left
_KILLED = 10.0


async def stop_run(link: Link, run: str, signal: str, grace: Grace) -> tuple[bool, tuple[str, ...]]:
    """Whether KILL was needed, and who could not be ended. Raises ``LinkLost``: then nothing is proven."""
    shell = await link.shell()
    if grace.left > 0:
        # CONT behind it: what is stopped would hear the signal only once it goes on
        left = await _members(shell, f"h_signal {run} {signal} CONT")
        pause = _FIRST
        while left and grace.left > 0:
            await grace.wait(None, at_most=pause)
            pause = min(pause * 2, _MOST)
            left = await _members(shell, f"h_members {run}")
        if not left:
            return False, ()
    forced = bool(await _members(shell, f"h_members {run}"))
    until = asyncio.get_running_loop().time() + _KILLED
    pause = _FIRST
    while left := await _members(shell, f"h_signal {run} KILL"):
        if asyncio.get_running_loop().time() > until:
            return forced, tuple(f"process {pid} on {link.name}" for pid in left)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _MOST)
    return forced, ()


async def _members(shell: Shell, request: str) -> list[int]:
    answer = await shell.ask(request, limit=1 << 20)
    return [int(line.split()[0]) for line in answer.splitlines() if line[:1].isdigit()]
