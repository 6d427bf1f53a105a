"""The two clocks, behind one small object so that tests can hold time still."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

__all__ = ["Clock", "SystemClock", "boot_id"]


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds that never jump; for deadlines and durations."""
        ...

    def wall(self) -> float:
        """Seconds since 1970; for people only."""
        ...


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


def boot_id() -> str:
    """What tells this run of the machine from the one before; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
