"""One machine and all lives on it: a single shell looks at them in turn and fetches what they have written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

from executors.remote.link import Link
from executors.remote.lives import Life, exit_of
from executors.remote.lost import LinkLost
from executors.remote.records import Records
from executors.remote.route import Route
from executors.remote.shell import Shell
from harness_core.domain.executor import LogSink
from harness_core.domain.states import Exit
from harness_core.runtime.keeper.segments import STREAMS

__all__ = ["Machine"]

log = logging.getLogger(__name__)

#: between two looks: while something happens or somebody waits for output, and at most
_SOON, _LATE = 0.05, 1.0
_BLOCK = 4096
#: blocks fetched in one answer, and pieces of one stream in one round, so that nobody's flood stops the others
_BLOCKS, _PIECES = 128, 8


class Machine:
    """``before`` is the machine on the way to it, if there is one."""

    def __init__(self, route: Route, before: Link | None, instance: str, records: Records, logs: LogSink) -> None:
        self.link = Link(route, before, instance, self._lost)
        self._records = records
        self._logs = logs
        self._lives: dict[str, Life] = {}
        self._looking: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def hold(self, life: Life) -> None:
        """Look after a life from now on."""
        life.trouble = ""
        self._lives[life.run] = life
        self._wake.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(), name=f"look at {self.link.name}")

    def drop(self, life: Life) -> None:
        self._lives.pop(life.run, None)

    def awaited(self, key: str) -> None:
        """Somebody waits for this service's output."""
        if any(life.marker.key == key for life in self._lives.values()):
            self._wake.set()

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self.link.close()

    def _lost(self, reason: str) -> None:
        for life in self._lives.values():
            life.lose(reason)
        self._wake.set()

    async def _look_on(self) -> None:
        pause = _SOON
        while self._lives:
            self._wake.clear()
            try:
                moved = await self._look(await self.link.shell())
            except LinkLost as lost:
                self._lost(lost.reason)
                return
            except Exception:
                # what another machine says may break anything here; nobody may wait for a look that never comes
                log.exception("looking at %s broke", self.link.name)
                self._lost(f"looking at {self.link.name} broke")
                return
            watched = any(self._logs.awaited(life.marker.key) for life in self._lives.values())
            pause = _SOON if moved else min(pause * 1.5, _LATE if not watched else 2 * _SOON)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                    pause = _SOON

    async def _look(self, shell: Shell) -> bool:
        """Look at all lives once; whether anything was new."""
        lives = list(self._lives.values())
        answer = await shell.ask(f"h_look {' '.join(life.run for life in lives)}", limit=400 * len(lives) + 4096)
        lines = answer.decode("utf-8", "replace").splitlines()
        sizes = _sizes(lines[len(lives) :])
        moved = False
        for life, state in zip(lives, lines, strict=False):
            complete = True
            for stream in STREAMS:
                before = life.copied(stream)
                complete = await self._fetch(shell, life, stream, sizes.get(f"{life.run}/{stream}", 0)) and complete
                moved = moved or life.copied(stream) != before
            end = exit_of(state.split())
            if end is not None and complete:
                await self._end(life, end)
                moved = True
        return moved

    async def _fetch(self, shell: Shell, life: Life, stream: str, size: int) -> bool:
        """Copy on up to ``size``; whether all of it is stored now."""
        for _ in range(_PIECES):
            at = life.copied(stream)
            if at >= size:
                return True
            skip, into = divmod(at, _BLOCK)
            blocks = min(_BLOCKS, -(-(into + size - at) // _BLOCK))
            request = f"h_read {life.run}/{stream} {skip} {blocks}"
            data = (await shell.ask(request, limit=blocks * _BLOCK))[into : into + size - at]
            if not data or not await asyncio.to_thread(life.store, stream, data):
                break  # it was truncated there, or the disk is full here
        return life.copied(stream) >= size

    async def _end(self, life: Life, end: Exit) -> None:
        record = replace(life.record, exit=end)
        with contextlib.suppress(OSError):  # a full disk: the other machine has it still
            await asyncio.to_thread(self._records.write, life.marker, record)
        life.record = record
        self._lives.pop(life.run, None)
        life.end(end)
        await asyncio.to_thread(life.close)


def _sizes(lines: list[str]) -> dict[str, int]:
    """The lengths of files by name, from what ``ls -ln`` says; what is no such line is passed over."""
    found = {}
    for line in lines:
        words = line.split()
        if len(words) >= 9 and words[4].isdecimal():
            found[words[-1]] = int(words[4])
    return found
