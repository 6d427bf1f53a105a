"""Where the output of all units lies, who waits for more of it, and how it is removed."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from harness_core.runtime.crew import Crew
from harness_core.runtime.keeper.segments import STREAMS, Segment, end_of, index_path, list_segments
from harness_core.runtime.logs.matcher import Matcher

__all__ = ["LogStore", "start_of"]

P = ParamSpec("P")
T = TypeVar("T")

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@~+-]{0,127}")
#: threads that read files for followers and requests
READERS = 4
_PUNCH_HOLE, _KEEP_SIZE = 2, 1


class LogStore:
    """The log folder of a daemon. It is the ``LogSink`` that executors write to.

    Methods that touch files block for as long as the disk does; ``in_thread`` runs them beside the event loop.
    ``grew`` may be called from any thread, everything else that concerns waiting from the event loop.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        #: searches with users' regular expressions
        self.matcher = Matcher()
        self._pool = Crew(READERS, "harness-logs")
        #: the folders that were asked for, by key; making a path is dearer than it looks
        self._paths: dict[str, Path] = {}
        #: replaced whole at each change, so that ``grew`` may read it from any thread
        self._watchers: dict[str, tuple[Callable[[], None], ...]] = {}
        self._on_awaited: list[Callable[[str], None]] = []

    def open(self) -> None:
        """Have the threads that read. Not needed before reading, but then they are sure to be there."""
        self._pool.muster()

    # ── folders and files ────────────────────────────────────────────────────────────────────────────────────────────

    def directory(self, key: str) -> Path:
        """The private folder of a unit's streams, made when missing. Raises ``ValueError`` for a key that is none."""
        path = self.path(key)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        except FileNotFoundError:
            for folder in (self.root, path.parent, path):
                folder.mkdir(mode=0o700, parents=folder is self.root, exist_ok=True)
        return path

    def path(self, key: str) -> Path:
        """The same folder, which may not exist."""
        known = self._paths.get(key)
        if known is not None:
            return known
        stack, slash, name = key.partition("/")
        if not slash or not _PART.fullmatch(stack) or not _PART.fullmatch(name):
            raise ValueError(f"{key!r} names no unit; a key is written stack/name")
        path = self._paths[key] = Path(f"{self.root}/{key}")
        return path

    def streams(self, key: str) -> list[str]:
        """The streams that have stored something."""
        folder = str(self.path(key))
        return [stream for stream in STREAMS if list_segments(folder, stream)]

    def segments(self, key: str, stream: str) -> list[Segment]:
        return list_segments(str(self.path(key)), stream)

    def start(self, key: str, stream: str) -> int:
        """The offset of the oldest byte that is still kept."""
        segments = self.segments(key, stream)
        return max(segments[0].base if segments else 0, start_of(str(self.path(key)), stream))

    def end(self, key: str, stream: str) -> int:
        """The offset behind the newest byte."""
        segments = self.segments(key, stream)
        return end_of(segments[-1]) if segments else 0

    # ── removing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def clear(self, key: str) -> int:
        """Drop what is stored now and return how many bytes that was; what is written from now on is kept.

        The newest segment is the writer's and stays; its content is given back to the file system where that can be
        done, and is never shown again. Offsets go on, so that followers are told of the gap.
        """
        folder, dropped = self.path(key), 0
        for stream in self.streams(key):
            segments, end = self.segments(key, stream), self.end(key, stream)
            dropped += max(0, end - self.start(key, stream))
            _set_start(folder, stream, end)
            for segment in segments[:-1]:
                _remove(segment)
            if segments:
                _punch(segments[-1], end)
        self.grew(key)
        return dropped

    def forget(self, key: str) -> None:
        """Remove everything of a unit that is no more, its folder included. Nothing to remove is no error."""
        folder = self.path(key)
        self._paths.pop(key, None)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        with contextlib.suppress(OSError):  # others of the stack are still there, or it was never made
            folder.parent.rmdir()
        self.grew(key)

    # ── waiting for more ─────────────────────────────────────────────────────────────────────────────────────────────

    def grew(self, key: str) -> None:
        """Tell those who watch this unit that it may have more output. Thread-safe; a dictionary look-up for others."""
        for wake in self._watchers.get(key, ()):
            wake()

    def watch(self, key: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Have ``callback`` run on this event loop soon after output grew; many at once make one call.

        Returns the function that ends it, to be called on the same loop.
        """
        loop, pending, ended = asyncio.get_running_loop(), False, False

        def call() -> None:
            nonlocal pending
            pending = False
            if not ended:
                callback()

        def wake() -> None:
            nonlocal pending
            if not pending:
                pending = True
                with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                    loop.call_soon_threadsafe(call)

        def end() -> None:
            nonlocal ended
            ended = True
            rest = tuple(other for other in self._watchers.get(key, ()) if other is not wake)
            if rest:
                self._watchers[key] = rest
            else:
                self._watchers.pop(key, None)

        self._watchers[key] = (*self._watchers.get(key, ()), wake)
        for begin in self._on_awaited:
            begin(key)
        return end

    def awaited(self, key: str) -> bool:
        """Whether anybody watches this service's output."""
        return key in self._watchers

    def on_awaited(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(key)`` called at every ``watch``."""
        self._on_awaited.append(callback)

    # ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a reading function beside the event loop, which a slow disk must not stop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    async def close(self) -> None:
        """End the threads and the search helper; reads that are under way finish first."""
        await self.matcher.close()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)


def start_of(folder: str, stream: str) -> int:
    """The offset up to which a stream was cleared; 0 when it never was."""
    try:
        with open(os.path.join(folder, f"{stream}.start"), "rb") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return 0


def _set_start(folder: Path, stream: str, offset: int) -> None:
    target = folder / f"{stream}.start"
    fresh = target.with_suffix(".start.new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(b"%020d\n" % offset)
    fresh.replace(target)


def _remove(segment: Segment) -> None:
    for path in (segment.path, index_path(segment.path)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _punch(segment: Segment, end: int) -> None:
    """Give the space before ``end`` back without changing the size; where that cannot be, it stays until rotation."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "fallocate") or end <= segment.base:
        return
    with contextlib.suppress(OSError):
        fd = os.open(segment.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            libc.fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(end - segment.base))
        finally:
            os.close(fd)
