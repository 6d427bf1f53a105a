"""The writing end for executors whose output does not come through the keeper: containers, other hosts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from harness_core.runtime.keeper import writer as keeper

__all__ = ["SegmentWriter"]


class SegmentWriter:
    """Appends one stream's bytes, with rotation and retention, where the files of an earlier writer ended.

    There must be one writer a stream. Methods block for the disk, so they belong into a thread; calls from several
    threads come after one another. ``grew`` is called after bytes were stored.
    """

    def __init__(
        self,
        directory: Path,
        stream: str,
        *,
        max_size: int = 50_000_000,
        max_files: int = 10,
        grew: Callable[[], None] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._grew = grew
        self._files = keeper.SegmentWriter(str(directory), stream, max_size=max_size, max_files=max_files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def end(self) -> int:
        """The offset behind the last byte: how much was ever stored."""
        return self._files.end

    def begin(self, epoch: int) -> None:
        """Say that what comes from here on belongs to this life of the unit."""
        with self._lock:
            self._files.begin_epoch(epoch)

    def append(self, data: bytes | memoryview) -> int:
        """Store bytes, and return how many: fewer than given when the disk refuses more.

        What was not stored is the caller's to offer again later, or to give up with ``drop``.
        """
        rest = memoryview(data)
        with self._lock:
            try:
                while rest:
                    self._files.prepare(time.monotonic())
                    stored = os.write(self._files.fd, rest[: self._files.room])
                    self._files.advance(stored)
                    rest = rest[stored:]
            except OSError:
                # full, read-only, no inode: the caller sees it by the count and decides what it means
                pass
        stored = len(data) - len(rest)
        if stored and self._grew is not None:
            self._grew()
        return stored

    def drop(self, count: int) -> None:
        """Note that ``count`` bytes which came here were given up, 0 for nobody knows how many; readers are told."""
        with self._lock:
            self._files.dropped(count)
            self._files.flush()
        if self._grew is not None:
            self._grew()

    def close(self) -> None:
        """Close the files; a further ``append`` opens them again."""
        with self._lock:
            self._files.flush()
            self._files.close()
