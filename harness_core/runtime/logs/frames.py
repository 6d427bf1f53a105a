"""How a piece of output is told to those who follow: a header to resume from, and the raw bytes."""

from __future__ import annotations

from typing import Any, NamedTuple

from harness_core.domain.errors import UsageError
from harness_core.runtime.logs.cursor import Chunk, Gap
from harness_core.runtime.logs.lines import time_of
from harness_core.runtime.logs.matcher import Matcher, PatternError

__all__ = ["Frame", "Framer"]

#: gaps that are kept in words
MOST_GAPS = 100


class Frame(NamedTuple):
    """A piece of one stream: whole lines where possible, at most 64 KiB.

    ``header`` has ``service`` ("stack/name"), ``stream``, ``epoch``, ``at`` (wall time of the first byte), ``offset``
    and ``next``, from which a later follower resumes (as ``cursors["stack/name:stream"]``). ``marks`` is there when
    later parts came later: [position within the payload, wall time] each. A frame without payload and with ``gap``
    says in a sentence what is missing, and how much in ``bytes``.
    """

    header: dict[str, Any]
    payload: bytes


class Framer:
    """Makes frames of what cursors found, only of the lines with ``pattern`` where there is one."""

    def __init__(self, matcher: Matcher, pattern: str | None) -> None:
        self._matcher = matcher
        self._pattern = pattern
        #: what was told to be missing, in sentences
        self.gaps: list[str] = []

    async def frame(self, key: str, stream: str, found: Chunk | Gap) -> Frame | None:
        """The frame, or ``None`` when no line matches. Raises ``UsageError`` for a pattern that makes no sense."""
        header = {
            "service": key,
            "stream": stream,
            "epoch": found.epoch,
            "at": found.at,
            "offset": found.offset,
            "next": found.next,
        }
        if isinstance(found, Gap):
            sentence = f"{key} {stream}: {found.sentence}"
            if len(self.gaps) < MOST_GAPS:
                self.gaps.append(sentence)
            return Frame({**header, "gap": sentence, "bytes": found.bytes}, b"")
        marks, payload = list(found.marks), found.data
        if self._pattern is not None:
            marks, payload = await self._matching(found, self._pattern)
            if not payload:
                return None
            header["at"] = marks[0][1]
        if len(marks) > 1:
            header["marks"] = marks[1:]
        return Frame(header, payload)

    async def _matching(self, chunk: Chunk, pattern: str) -> tuple[list[tuple[int, float]], bytes]:
        """The lines of a chunk that match, put together, with the times of each."""
        lines = _split(chunk.data)
        try:
            places = await self._matcher.search(pattern, [line.rstrip(b"\n") for line in lines])
        except PatternError as error:
            raise UsageError(f"cannot search the output: {error}") from None
        chosen, marks, payload, at = set(places), list[tuple[int, float]](), bytearray(), 0
        for number, line in enumerate(lines):
            if number in chosen:
                marks.append((len(payload), time_of(chunk, at)))
                payload += line
            at += len(line)
        return marks, bytes(payload)


def _split(data: bytes) -> list[bytes]:
    """The lines with their newlines; the last one may have none."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
