"""Following what a container prints, into the same files as everybody's output, without loss and without repetition."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar, TypeVarTuple

from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.frames import Piece, Resume, cut, since_of
from executors.docker.records import Mark, Record, Records
from executors.docker.transport import query
from harness_core.domain.executor import LogSink, Marker
from harness_core.domain.spec import LogsSpec
from harness_core.runtime.keeper.segments import STREAMS
from harness_core.runtime.keeper.writer import SegmentWriter

__all__ = ["Follower", "clock_difference"]

log = logging.getLogger(__name__)
T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

#: how often the marks are written down while output comes
_MARK_EVERY = 0.5
#: after a broken connection, and on a full disk, before the next attempt
_AGAIN = 0.5
#: how far apart the times of two streams may be that were written at one moment, in seconds
_APART = 60
#: a clock that was set back by less than this was not set back
_STEP = 1_000_000


def clock_difference() -> int:
    """Wall clock minus the clock that nobody sets: it shrinks when the wall clock is set back."""
    # wall clock: whether it was set is the very question
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Follower:
    """Reads one container's output from where its record says, until ``finish``; one per life.

    Files are written in the threads of ``pool``, which all followers share.
    """

    def __init__(
        self,
        engine: Engine,
        marker: Marker,
        record: Record,
        records: Records,
        sink: LogSink,
        spec: LogsSpec,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._engine = engine
        self._marker = marker
        self._record = record
        self._records = records
        self._sink = sink
        self._pool = pool
        folder = str(sink.directory(marker.key))
        self._writers = {
            stream: SegmentWriter(folder, stream, max_size=spec.max_size, max_files=spec.max_files)
            for stream in STREAMS
        }
        self._resumes: dict[str, Resume] = {}
        self._marked = 0.0
        self._dirty = False
        self._complete = False
        #: a reader that is cancelled leaves a thread behind that still writes
        self._writing = threading.Lock()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def container(self) -> str:
        return self._record.container

    def begin(self) -> None:
        """Follow from now on."""
        self._task = asyncio.create_task(self._follow(), name=f"log of {self._marker}")

    async def finish(self) -> None:
        """The container has ended: return when its last output is stored.

        Cancelling it leaves the follower as it is. Raises ``EngineLost`` when the engine is gone before that.
        """
        self._ended.set()
        if self._task is None or (self._task.done() and not self._complete):
            self.begin()
        assert self._task is not None, "begun"
        await asyncio.shield(self._task)
        if not self._complete:
            raise EngineLost(self._engine.trouble or "the last output could not be read")

    async def close(self) -> None:
        """Stop where it is; what is stored is what the marks and the files say."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._in_thread(self._close)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self) -> None:
        while True:
            ended = self._ended.is_set()
            try:
                await self._read(follow=not ended)
            except EngineRefused as refused:
                if refused.status in (404, 409):  # it was removed, and its log with it
                    self._complete = True
                    break
                log.warning("the log of %s cannot be read: %s", self._marker, refused)
            except (EngineLost, OSError) as error:
                if ended and self._engine.trouble:
                    break
                log.info("the log of %s: %s", self._marker, error)
            else:
                if ended:  # a whole reading after the end has come to the end of all that there is
                    self._complete = True
                    break
                if self._ended.is_set():
                    continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _AGAIN)
        await self._in_thread(self._mark)

    async def _read(self, *, follow: bool) -> None:
        """Read from the marks to the end of the answer."""
        self._resumes = await self._in_thread(self._resume)
        path = f"/containers/{self.container}/logs"
        options = query(stdout=True, stderr=True, timestamps=True, follow=follow, since=self._since())
        exchange = await self._engine.open("GET", path + options)
        rest = b""
        try:
            while data := await exchange.read():
                try:
                    pieces, rest = cut(rest + data)
                except ValueError as error:
                    raise EngineRefused(500, str(error)) from None
                if pieces:
                    await self._in_thread(self._store, pieces)
                    self._sink.grew(self._marker.key)
        finally:
            exchange.close()

    def _since(self) -> str | None:
        """Where to begin reading: at the older one of the marks, or at the beginning where that cannot be told."""
        stamps = [mark.stamp for mark in self._record.marks.values() if mark.stamp]
        if not stamps or clock_difference() < self._record.clock - _STEP:
            return None
        since = since_of(min(stamps))
        if len(stamps) == len(STREAMS):
            return since
        seconds, _, rest = since.partition(".")
        return f"{max(0, int(seconds) - _APART)}.{rest}"

    async def _in_thread(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        def alone() -> T:
            with self._writing:
                return work(*arguments)

        return await asyncio.get_running_loop().run_in_executor(self._pool, alone)

    # ── in a thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _resume(self) -> dict[str, Resume]:
        marks = self._record.marks
        found = {}
        for stream, writer in self._writers.items():
            mark = marks.get(stream) or Mark(offset=writer.end)
            writer.begin_epoch(self._marker.epoch)
            found[stream] = Resume(mark, max(0, writer.end - mark.offset))
        if not marks:
            self._record = replace(self._record, marks={stream: self._mark_of(stream, found) for stream in found})
            self._records.write(self._marker, self._record)
        return found

    def _mark_of(self, stream: str, resumes: dict[str, Resume]) -> Mark:
        return Mark(self._writers[stream].end, resumes[stream].stamp, resumes[stream].count)

    def _store(self, pieces: list[Piece]) -> None:
        """Append what is new. Raises ``OSError`` on a full disk: then it is read again, from the marks."""
        resumes, self._resumes = self._resumes, {}  # not to be marked while files and marks disagree
        for stream, writer in self._writers.items():
            resume = resumes[stream]
            data = b"".join([resume.take(piece) for piece in pieces if piece.stream == stream])
            if resume.gap:
                resume.gap = False
                writer.dropped(1)  # how much is not known; that something was, is
            if data:
                self._append(writer, data)
        self._resumes, self._dirty = resumes, True
        if time.monotonic() - self._marked > _MARK_EVERY:
            self._mark()

    def _append(self, writer: SegmentWriter, data: bytes) -> None:
        view = memoryview(data)
        while view:
            writer.prepare(time.monotonic())
            written = os.write(writer.fd, view[: writer.room])
            writer.advance(written)
            view = view[written:]

    def _mark(self) -> None:
        """Write down how far it is. What is stored behind the mark is passed over when it is read again."""
        self._marked = time.monotonic()
        if not self._dirty or not self._resumes:
            return
        marks = {}
        for stream, resume in self._resumes.items():
            marks[stream] = self._mark_of(stream, self._resumes) if resume.settled else self._record.marks[stream]
        self._record = replace(self._record, marks=marks, clock=clock_difference())
        with contextlib.suppress(OSError):  # a full disk: an older mark does as well
            self._records.write(self._marker, self._record)
        self._dirty = False

    def _close(self) -> None:
        self._mark()
        for writer in self._writers.values():
            writer.flush()
            writer.close()
