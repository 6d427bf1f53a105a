"""Whether the daemon goes on answering at once, whatever else it has to bear: asked all the time, and timed."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.faults.lab import Lab

__all__ = ["NOISE", "Asking"]

#: what the slowest of a hundred answers may take; shared machines are given some room beside the promise of 200 ms
P99 = 0.2
NOISE = float(os.environ.get("HARNESS_FAULTS_NOISE", "0.1"))


class Asking(threading.Thread):
    """Asks for the status again and again, each time over a connection of its own, and notes how long each answer took.

    ``look`` is shown the rows of each answer.
    """

    def __init__(
        self,
        lab: Lab,
        names: list[str] | None = None,
        every: float = 0.02,
        look: Callable[[list[dict[str, Any]]], None] = lambda rows: None,
    ) -> None:
        super().__init__()
        self._lab = lab
        self._names = names
        self._every = every
        self._look = look
        self._over = threading.Event()
        self.took: list[float] = []

    def run(self) -> None:
        client = self._lab.client
        while not self._over.is_set():
            began = time.perf_counter()
            rows = client.status(names=self._names or [])["services"]
            self.took.append(time.perf_counter() - began)
            self._look([dict(row) for row in rows])
            self._over.wait(self._every)

    def __enter__(self) -> Asking:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def judge(self, what: str) -> str:
        """The slowest of a hundred answers is fast enough; returns the figures."""
        worst = statistics.quantiles(self.took, n=100)[98]
        usual = statistics.median(self.took)
        figures = f"{len(self.took)} answers, p50 {usual * 1e3:.1f} ms, p99 {worst * 1e3:.1f} ms"
        print(f"{what}: {figures}")
        assert worst < P99 + NOISE
        return figures
