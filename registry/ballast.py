"""A file that takes up room so that there is some to give back when the disk is full.

With the ballast gone, the facts that are happening right now (an exit, a stop) can still be written down, while the
person is told that space is needed. It is made again once there is plenty.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from registry.files import create_private, free_space

__all__ = ["BALLAST_SIZE", "Ballast"]

BALLAST_SIZE = 1 << 20
#: how often to look whether it can be made again, in seconds
_RETRY = 10.0


class Ballast:
    """One file of ``size`` real bytes at ``path``; 0 means none at all."""

    def __init__(self, path: Path, size: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._size = size
        self._monotonic = monotonic
        self._next = 0.0
        self._held = False

    def keep(self) -> None:
        """Make the file if it is missing and at least four times its size is free; cheap when there is nothing to do.

        Never raises: a missing ballast is no reason to refuse work.
        """
        if self._held or not self._size or self._monotonic() < self._next:
            return
        self._next = self._monotonic() + _RETRY
        try:
            if self._path.exists() and self._path.stat().st_size == self._size:
                self._held = True
                return
            self._path.unlink(missing_ok=True)
            if free_space(self._path.parent) >= 4 * self._size:
                self._make()
        except OSError:
            self._held = False

    def release(self) -> bool:
        """Give the room back. Whether there was any to give."""
        self._held = False
        self._next = self._monotonic() + _RETRY
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def _make(self) -> None:
        create_private(self._path)
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.posix_fallocate(fd, 0, self._size)
            finally:
                os.close(fd)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        self._held = True
