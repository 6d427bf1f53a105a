"""Output of services as it comes from ``logs.follow``: frames of raw bytes, put together to lines again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["MAX_LINE", "Assembler", "Written", "cursor_of"]

#: a line longer than this many bytes is shown in parts
MAX_LINE = 64 * 1024


class Written(NamedTuple):
    """One line, or the part of one; bytes that are no UTF-8 are surrogates in its text."""

    service: str
    stream: str
    at: float
    epoch: int
    text: str


class _Unfinished:
    """What a stream wrote since its last newline."""

    __slots__ = ("at", "data", "epoch")

    def __init__(self) -> None:
        self.data = b""
        self.at = 0.0
        self.epoch = 0


class Assembler:
    """Cuts frames into lines, each stream of each service for itself. Holds at most one unfinished line a stream."""

    def __init__(self) -> None:
        self._unfinished: dict[tuple[str, str], _Unfinished] = {}

    def feed(self, header: Mapping[str, Any], payload: bytes) -> Iterator[Written]:
        """The lines that this frame completes, each with the time at which its first byte came."""
        source = (str(header.get("service", "")), str(header.get("stream", "")))
        held = self._unfinished.setdefault(source, _Unfinished())
        epoch = int(header.get("epoch") or 0)
        if held.data and held.epoch != epoch:
            yield _written(source, held.at, held.epoch, held.data)
            held.data = b""
        held.epoch = epoch
        marks = [(0, float(header.get("at") or 0.0)), *((int(p), float(t)) for p, t in header.get("marks", ()))]
        position = 0
        for line in payload.split(b"\n"):
            if position:
                yield _written(source, held.at, epoch, held.data)
                held.data = b""
            if not held.data:
                held.at = marks[bisect_right(marks, (position, float("inf"))) - 1][1]
            held.data += line
            position += len(line) + 1
        while len(held.data) > MAX_LINE:
            yield _written(source, held.at, epoch, held.data[:MAX_LINE])
            held.data = held.data[MAX_LINE:]

    def whole(self, header: Mapping[str, Any], payload: bytes) -> str | None:
        """The text of a frame that is whole lines and nothing else, without its last newline; ``None`` where it, or
        what came before it, has to be fed. Most frames of a flood are, and cutting them up would take most time."""
        held = self._unfinished.get((str(header.get("service", "")), str(header.get("stream", ""))))
        if (held is not None and held.data) or not payload.endswith(b"\n") or len(payload) > MAX_LINE:
            return None
        return payload[:-1].decode("utf-8", "surrogateescape")

    def rest(self) -> Iterator[Written]:
        """What was written without a newline at its end."""
        for source, held in self._unfinished.items():
            if held.data:
                yield _written(source, held.at, held.epoch, held.data)
        self._unfinished.clear()


def _written(source: tuple[str, str], at: float, epoch: int, data: bytes) -> Written:
    return Written(*source, at, epoch, data.decode("utf-8", "surrogateescape"))


def cursor_of(header: Mapping[str, Any]) -> tuple[str, int] | None:
    """Where to go on after this frame: "stack/name:stream" and the offset; ``None`` for a frame without a place."""
    if "next" not in header:
        return None
    return f"{header['service']}:{header['stream']}", int(header["next"])
