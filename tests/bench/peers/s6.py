"""s6: a tree of one supervisor process a service; and s6-log, which stores what is piped into it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.bench.measure import until
from tests.bench.stock import Stock

__all__ = ["S6", "logged"]


class S6:
    """A scan directory with ``count`` services that leave a file with their pid in ``ready`` and sleep."""

    def __init__(self, stock: Stock, folder: Path, count: int) -> None:
        self._stock = stock
        self._scan = folder / "scan"
        self.ready = folder / "ready"
        self.ready.mkdir(parents=True)
        self._count = count
        for i in range(count):
            service = self._scan / f"s{i}"
            service.mkdir(parents=True)
            run = service / "run"
            run.write_text(f"#!/bin/sh\necho $$ >{self.ready}/{i}\nexec sleep 1000000\n")
            run.chmod(0o755)
            (service / "max-death-tally").write_text("0\n")

    def start(self) -> float:
        """Seconds from the exec of s6-svscan until all are there."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            ["s6-svscan", "-c", str(self._count + 10), str(self._scan)],
            env=self._stock.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return until(lambda: len(os.listdir(self.ready)) >= self._count, "s6's services") - began

    def stop(self) -> float:
        """Seconds from the exec of s6-svscanctl until the whole tree is gone."""
        began = time.monotonic()
        subprocess.run(["s6-svscanctl", "-t", str(self._scan)], env=self._stock.environment(), check=True)
        self.process.wait(60)
        return time.monotonic() - began

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


def logged(stock: Stock, folder: Path, command: list[str], count: int) -> tuple[float, float]:
    """Seconds of wall and of s6-log's processor time until ``count`` lines of a command are stored."""
    target = folder / "s6-log"
    began = time.monotonic()
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    log = subprocess.Popen(
        ["s6-log", "n10", "s268435455", str(target)], env=stock.environment(), stdin=writer.stdout
    )  # fmt: skip
    assert writer.stdout is not None
    writer.stdout.close()
    size = count * 100

    def stored() -> bool:
        return sum(p.stat().st_size for p in target.glob("*") if p.name == "current" or p.name[0] == "@") >= size

    ended = until(stored, "s6-log to store all") - began
    writer.kill()
    writer.wait()
    _, _, usage = os.wait4(log.pid, 0)
    log.returncode = 0
    return ended, usage.ru_utime + usage.ru_stime
