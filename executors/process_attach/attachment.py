"""One process that is looked after: its end is waited for, and the files that it writes are followed until then."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from concurrent.futures import Executor as Pool
from pathlib import Path

from executors.process_attach.handle import AttachHandle
from harness_core.domain.errors import HarnessError
from harness_core.domain.executor import LogSink, Marker
from harness_core.domain.states import Exit
from harness_core.runtime.keeper.procfs import exit_status
from harness_core.runtime.logs.tail import FileTail
from harness_core.runtime.logs.writer import SegmentWriter
from harness_core.runtime.processes import exit_from_status, wait_pidfd

__all__ = ["Attachment"]

log = logging.getLogger(__name__)

#: between two looks at its files: while somebody waits for output, and else
_LOOK, _GLANCE = 0.1, 1.0
#: its parent may take a moment to reap it; to a daemon that is not of its user, only then the kernel tells how it ended
_REAPED = 0.2
#: what it wrote last is read for so long before its end is told
_LAST_WORDS = 10.0


class Attachment:
    """``exit`` is done once it has ended and its last output is stored."""

    def __init__(self, marker: Marker, handle: AttachHandle, logs: LogSink, records: Path, pool: Pool) -> None:
        self.marker = marker
        self.handle = handle
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        #: why its output cannot be had at the moment
        self.trouble = ""
        self._logs = logs
        self._records = records
        self._pool = pool
        self._wake = asyncio.Event()
        self._tails: list[FileTail] = []
        self._copying: asyncio.Future[bool] | None = None
        self._pidfd = handle.identity.open()
        self._follower = asyncio.create_task(self._follow(), name=f"follow {marker}")
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {marker}")

    def awaited(self) -> None:
        """Somebody waits for its output from now on."""
        self._wake.set()

    async def close(self) -> None:
        """Look away; nothing is done to the process."""
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)
        await self._end_following()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        if not self.exit.done():
            self.exit.cancel()

    # ── its end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _watch(self) -> None:
        exit_ = Exit()
        if self._pidfd is not None:
            await wait_pidfd(self._pidfd)
            exit_ = await self._how(self._pidfd)
        await self._end_following(last_words=True)
        self.exit.set_result(exit_)

    async def _how(self, pidfd: int) -> Exit:
        status = exit_status(pidfd, self.handle.identity.pid)
        if status is None:
            await asyncio.sleep(_REAPED)
            status = exit_status(pidfd, self.handle.identity.pid)
        return exit_from_status(status)

    # ── its output ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self) -> None:
        if not self.handle.files:
            return
        while True:
            if not await self._copy():
                self._wake.clear()
                pause = _LOOK if self._logs.awaited(self.marker.key) else _GLANCE
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _copy(self) -> bool:
        """Read on in all files; whether there may be more at once."""
        self._copying = asyncio.get_running_loop().run_in_executor(self._pool, self._copy_all)
        return await asyncio.shield(self._copying)

    def _copy_all(self) -> bool:
        more, trouble = False, ""
        try:
            for tail in self._tails or self._open():
                more = tail.copy() or more
        except HarnessError as error:
            trouble = error.message
        except OSError as error:
            trouble = f"cannot keep its output: {error}"
        if trouble and trouble != self.trouble:
            log.warning("the output of %s: %s", self.marker, trouble)
        self.trouble = trouble
        return more and not trouble

    def _open(self) -> list[FileTail]:
        key = self.marker.key
        for stream, path in self.handle.files.items():
            grew = functools.partial(self._logs.grew, key)
            writer = SegmentWriter(self._logs.directory(key), stream, **self.handle.kept, grew=grew)
            writer.begin(self.marker.epoch)
            self._tails.append(FileTail(Path(path), writer, self._records / f"{stream}.json"))
        return self._tails

    async def _end_following(self, *, last_words: bool = False) -> None:
        self._follower.cancel()
        await asyncio.gather(self._follower, return_exceptions=True)
        if self._copying is not None:
            await asyncio.wait([self._copying])
        if last_words and self.handle.files:
            try:
                async with asyncio.timeout(_LAST_WORDS):
                    while await self._copy():
                        continue
            except TimeoutError:
                log.warning("%s wrote more before its end than could be read in %g s", self.marker, _LAST_WORDS)
        tails, self._tails = self._tails, []
        for tail in tails:
            await asyncio.get_running_loop().run_in_executor(self._pool, tail.close)
