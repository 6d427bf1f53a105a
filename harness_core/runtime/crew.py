"""Threads that are there before they are needed, so that a machine that gives no more of them takes nothing from us."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor

__all__ = ["Crew"]

#: starting a thread takes microseconds; a machine on which all of them take longer is of no use
_DEADLINE = 10.0


class Crew(ThreadPoolExecutor):
    """A pool of ``size`` threads; after ``muster`` it never has to start another one."""

    def __init__(self, size: int, name: str) -> None:
        super().__init__(size, name)
        self._size = size

    def muster(self) -> None:
        """Have all threads started. Raises ``BlockingIOError`` when there are no more to be had."""
        # each waits for all the others, so that none of them can do the work of two
        barrier = threading.Barrier(self._size)
        try:
            for arrival in [self.submit(barrier.wait, _DEADLINE) for _ in range(self._size)]:
                arrival.result()
        except RuntimeError:
            barrier.abort()
            raise BlockingIOError(errno.EAGAIN, f"the system does not give the {self._size} threads needed") from None
