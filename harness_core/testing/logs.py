"""Output of instances in tests: a sink in a folder, and the bytes of a stream in one piece."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness_core.runtime.keeper.segments import list_segments
from harness_core.runtime.logs.writer import SegmentWriter

__all__ = ["FileLogSink", "append_output", "read_stream"]


class FileLogSink:
    """A ``LogSink`` over a folder; remembers which services grew."""

    def __init__(self, root: Path) -> None:
        self.root = root
        #: keys in the order in which ``grew`` was called
        self.grown: list[str] = []

    def directory(self, key: str) -> Path:
        path = self.root.joinpath(*key.split("/"))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def grew(self, key: str) -> None:
        self.grown.append(key)

    def awaited(self, key: str) -> bool:
        """Everybody's output is waited for, so that what an executor tells of can be seen."""
        return True

    def on_awaited(self, callback: Callable[[str], None]) -> None:
        """Nobody begins to wait later."""


def read_stream(directory: Path, stream: str) -> bytes:
    """Every byte of one stream that is still kept, in order."""
    return b"".join(Path(segment.path).read_bytes() for segment in list_segments(str(directory), stream))


def append_output(directory: Path, stream: str, data: bytes, *, epoch: int) -> None:
    """Append output of one life to a stream, in the real format. Blocks for the time of a few small writes."""
    with SegmentWriter(directory, stream) as writer:
        writer.begin(epoch)
        writer.append(data)
