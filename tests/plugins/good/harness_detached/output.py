"""From the files that an instance writes to the log that the daemon reads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness_core.runtime.logs.writer import SegmentWriter

STREAMS = ("stdout", "stderr")


class Pump:
    """Copies one life's output. Whatever moment a daemon dies at, the next one goes on at the right byte: the log's
    own length, less what it was when the life began, is how much has been copied."""

    def __init__(self, run: Path, folder: Path, epoch: int, logs: dict[str, Any], grew: Callable[[], None]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._writers = {stream: SegmentWriter(folder, stream, **logs, grew=grew) for stream in STREAMS}
        begun = run / "begun"
        if not begun.exists():
            draft = begun.with_suffix(".new")
            draft.write_text(json.dumps({stream: writer.end for stream, writer in self._writers.items()}))
            draft.replace(begun)
        self._begun: dict[str, int] = json.loads(begun.read_text())
        for writer in self._writers.values():
            writer.begin(epoch)

    def copy(self) -> None:
        """Copy what is there now. Blocks for the disk; safe from any thread. A full disk is tried again next time."""
        with self._lock:
            for stream, writer in self._writers.items():
                with open(self._run / stream, "rb") as file:
                    file.seek(writer.end - self._begun[stream])
                    while (data := file.read(1 << 16)) and writer.append(data) == len(data):
                        continue

    def close(self) -> None:
        with self._lock:
            for writer in self._writers.values():
                writer.close()
