"""The output of a project's containers, put together into one service's streams, without loss and without repetition.

The engine is read from a mark for each container and stream, as for a single container. But here several of them go
into one log, so its length alone does not tell what of which has been stored. Whatever is about to be appended is
therefore written to a journal first, with the marks that hold before and after it: a daemon that dies anywhere leaves
either the journal's bytes in the log or a journal from which the missing ones are appended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from executors.compose.command import Part
from executors.compose.journal import Journal, Marks
from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.frames import Piece, Resume, cut, since_of
from executors.docker.logs import clock_difference
from executors.docker.records import Mark
from executors.docker.transport import query
from harness_core.domain.executor import LogSink, Marker
from harness_core.domain.spec import LogsSpec
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.keeper.segments import STREAMS
from harness_core.runtime.keeper.writer import SegmentWriter

__all__ = ["ProjectLog"]

log = logging.getLogger(__name__)
T = TypeVar("T")

#: after a broken connection, and on a full disk, before the next attempt
_AGAIN = 0.5
#: a line that is longer is stored in parts
_LINE = 1 << 20
#: how far apart the times of two streams may be that were written at one moment, in seconds
_APART = 60
#: a clock that was set back by less than this was not set back, in nanoseconds
_STEP = 1_000_000


@dataclass(slots=True)
class _Reader:
    """One container that is followed."""

    part: Part
    #: written before each of its lines; empty: its bytes go through as they are
    prefix: bytes
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    complete: bool = False
    task: asyncio.Task[None] | None = None
    #: by stream, what has come of a line whose end has not
    held: dict[str, bytes] = field(default_factory=dict)


class ProjectLog:
    """One project's output. ``follow`` each of its containers, ``finish`` those that have ended."""

    def __init__(
        self, engine: Engine, marker: Marker, path: Path, sink: LogSink, spec: LogsSpec, pool: ThreadPoolExecutor
    ) -> None:
        """``path`` is the journal's."""
        self._engine = engine
        self._marker = marker
        self._path = path
        self._sink = sink
        self._pool = pool
        folder = str(sink.directory(marker.key))
        self._writers = {
            stream: SegmentWriter(folder, stream, max_size=spec.max_size, max_files=spec.max_files)
            for stream in STREAMS
        }
        self._journal: Journal | None = None
        self._readers: dict[str, _Reader] = {}
        #: what is appended is appended in one thread at a time, also after a reader was cancelled
        self._storing = threading.Lock()

    def follow(self, parts: Sequence[Part], *, named: bool) -> None:
        """Follow these containers from now on, each from where it was read to; ``named``: say whose each line is."""
        for part in parts:
            reader = self._readers.get(part.container.id)
            if reader is None or (reader.complete and part.container.alive):  # a new one, or one that was started again
                reader = _Reader(part, f"{part.name} | ".encode() if named else b"")
                self._readers[part.container.id] = reader
                reader.task = asyncio.create_task(self._follow(reader), name=f"log of {part.name}")
            if not part.container.alive:
                reader.ended.set()

    async def finish(self) -> None:
        """All containers have ended: return when their last output is stored. Raises ``EngineLost`` before that."""
        readers = list(self._readers.values())
        for reader in readers:
            reader.ended.set()
            if reader.task is None or (reader.task.done() and not reader.complete):
                reader.task = asyncio.create_task(self._follow(reader), name=f"log of {reader.part.name}")
        await asyncio.gather(*(asyncio.shield(reader.task) for reader in readers if reader.task is not None))
        if not all(reader.complete for reader in readers):
            raise EngineLost(self._engine.trouble or "the last output could not be read")

    async def close(self) -> None:
        """Stop where it is; the journal says where."""
        tasks = [reader.task for reader in self._readers.values() if reader.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._in_thread(self._close)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self, reader: _Reader) -> None:
        while True:
            ended = reader.ended.is_set()
            try:
                await self._read(reader, follow=not ended)
            except EngineRefused as refused:
                if refused.status in (404, 409):  # it was removed, and its log with it
                    reader.complete = True
                    return
                log.warning("the log of %s cannot be read: %s", reader.part.name, refused)
            except (EngineLost, OSError) as error:
                if ended and self._engine.trouble:
                    return
                log.info("the log of %s: %s", reader.part.name, error)
            else:
                if ended:  # a whole reading after the end has come to the end of all that there is
                    reader.complete = True
                    return
                if reader.ended.is_set():
                    continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.ended.wait(), _AGAIN)

    async def _read(self, reader: _Reader, *, follow: bool) -> None:
        """Read from the marks to the end of the answer."""
        container = reader.part.container.id
        resumes = await self._in_thread(lambda: self._resumed(container))
        reader.held.clear()
        since = await self._in_thread(lambda: self._since(container))
        options = query(stdout=True, stderr=True, timestamps=True, follow=follow, since=since)
        exchange = await self._engine.open("GET", f"/containers/{container}/logs{options}")
        rest = b""
        try:
            while data := await exchange.read():
                try:
                    pieces, rest = cut(rest + data)
                except ValueError as error:
                    raise EngineRefused(500, str(error)) from None
                await self._in_thread(lambda: self._take(reader, resumes, pieces))  # noqa: B023 - awaited here
            if not follow:
                await self._in_thread(lambda: self._take(reader, resumes, [], last=True))
        finally:
            exchange.close()

    def _since(self, container: str) -> str | None:
        """Where to begin: at the older one of the marks, or at the beginning where that cannot be told."""
        stamps = [stamp for stamp, _ in self._known().marks.get(container, {}).values() if stamp]
        if not stamps or clock_difference() < self._known().clock - _STEP:
            return None
        since = since_of(min(stamps))
        if len(stamps) == len(STREAMS):
            return since
        seconds, _, rest = since.partition(".")
        return f"{max(0, int(seconds) - _APART)}.{rest}"

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self._storing:
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._pool, alone)

    # ── in a thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _resumed(self, container: str) -> dict[str, Resume]:
        """What to pass over of a container's output that is read again."""
        marks = self._known().marks.get(container, {})
        return {stream: Resume(Mark(0, *marks[stream]) if stream in marks else Mark(), 0) for stream in STREAMS}

    def _known(self) -> Journal:
        """What is stored, as far as it could be; after a full disk, and at first, that is found out anew."""
        if self._journal is None:
            self._journal = self._mended()
        return self._journal

    def _mended(self) -> Journal:
        """The journal, with our log made to agree with it: what a daemon that died was about to append is in it."""
        journal = Journal.read(self._path, self._marker.epoch)
        for stream, writer in self._writers.items():
            if stream in journal.offsets:
                stored = max(0, writer.end - journal.offsets[stream])
                self._append(writer, journal.data[stream][stored:])
            writer.begin_epoch(self._marker.epoch)
        if journal.epoch != self._marker.epoch:
            # a container that was started again goes on in its own log: of that, what is stored stays stored
            journal.epoch = self._marker.epoch
            journal.marks = {one: marks for one, marks in journal.marks.items() if one in self._readers}
            journal.offsets, journal.data = {}, {}
        return journal

    def _take(self, reader: _Reader, resumes: dict[str, Resume], pieces: list[Piece], *, last: bool = False) -> None:
        """Store what is new of these records. Raises ``OSError`` on a full disk: then it is read again."""
        fresh: dict[str, list[bytes]] = {stream: [] for stream in STREAMS}
        marks = dict(self._known().marks.get(reader.part.container.id, {}))
        for piece in pieces:
            resume = resumes[piece.stream]
            data = resume.take(piece)
            if resume.gap:
                resume.gap = False
                self._writers[piece.stream].dropped(1)  # how much is not known; that something was, is
            if not data:
                continue
            line = reader.held.pop(piece.stream, b"") + data
            if reader.prefix and not line.endswith(b"\n") and len(line) < _LINE:
                reader.held[piece.stream] = line
                continue
            fresh[piece.stream].append(_told(reader.prefix, line))
            marks[piece.stream] = resume.stamp, resume.count
        for stream, line in list(reader.held.items()) if last else ():
            fresh[stream].append(_told(reader.prefix, line))
            marks[stream] = resumes[stream].stamp, resumes[stream].count
            del reader.held[stream]
        stored = {stream: b"".join(parts) for stream, parts in fresh.items()}
        if any(stored.values()):
            self._store(stored, {**self._known().marks, reader.part.container.id: marks})

    def _store(self, data: dict[str, bytes], marks: Marks) -> None:
        journal = self._known()
        offsets = {stream: writer.end for stream, writer in self._writers.items()}
        fresh = Journal(journal.path, journal.epoch, marks, clock_difference(), offsets, data)
        fresh.write()
        failpoint("compose.log.journal")
        # from here on it counts as stored: what a full disk keeps out of the log is appended from the journal
        self._journal = None
        for stream, writer in self._writers.items():
            self._append(writer, data[stream])
        self._journal = fresh
        self._sink.grew(self._marker.key)

    def _append(self, writer: SegmentWriter, data: bytes) -> None:
        view = memoryview(data)
        while view:
            writer.prepare(time.monotonic())
            written = os.write(writer.fd, view[: writer.room])
            writer.advance(written)
            view = view[written:]

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.flush()
            writer.close()


def _told(prefix: bytes, line: bytes) -> bytes:
    """A line, or a part of one, as it is stored among those of others."""
    if not prefix:
        return line
    return prefix + (line if line.endswith(b"\n") else line + b"\n")
