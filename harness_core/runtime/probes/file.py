"""Whether a file is there and, as a heartbeat, was touched lately."""

from __future__ import annotations

import asyncio
import os
import time

from harness_core.domain.spec import FileCheck
from harness_core.runtime.probes.base import Outcome, ProbeContext, clip, why

__all__ = ["FileProbe"]


class FileProbe:
    """Looks at one file's age by the wall clock, which is what its time of change is written in."""

    reads_output = False

    def __init__(self, check: FileCheck, context: ProbeContext) -> None:
        self._path = (context.working_dir or context.base_dir) / check.path
        self._max_age = check.max_age
        self.subject = f"file {clip(check.path)}"

    async def look(self) -> Outcome:
        try:
            # in a thread: the file may lie on a network file system that has stopped answering
            changed = (await asyncio.to_thread(os.stat, self._path)).st_mtime
        except FileNotFoundError:
            return Outcome(False, f"{self.subject} is missing")
        except (OSError, ValueError) as error:
            reason = why(error) if isinstance(error, OSError) else str(error)
            return Outcome(False, f"{self.subject} cannot be looked at: {reason}")
        if self._max_age is None:
            return Outcome(True, f"{self.subject} exists")
        age = max(0.0, time.time() - changed)  # wall clock: a file's date has no other
        told = f"{self.subject} was touched {age:.1f} s ago"
        if age <= self._max_age:
            return Outcome(True, told)
        return Outcome(False, f"{told}, at most {self._max_age:g} s are allowed")
