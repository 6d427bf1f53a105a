"""Stored lines of many streams as one list: the newest ones that were asked for, in the order of their times."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from math import inf
from typing import NamedTuple

from harness_core.domain.errors import UsageError
from harness_core.runtime.keeper.segments import STREAMS
from harness_core.runtime.logs.cursor import Gap
from harness_core.runtime.logs.lines import Line
from harness_core.runtime.logs.matcher import PatternError
from harness_core.runtime.logs.ranges import Span, previous_epoch, span_of, window_before
from harness_core.runtime.logs.store import LogStore

__all__ = [
    "DEADLINE",
    "MAX_BYTES",
    "MAX_LINES",
    "Collector",
    "Query",
    "Stored",
    "StoredLine",
    "chosen_streams",
    "read_lines",
    "spans",
]

MAX_LINES = 10_000
MAX_BYTES = 4 * 1024 * 1024
#: searching more than this long is ended, with what was found so far
DEADLINE = 20.0
_CUT = "more lines are stored; these are the newest of them"


@dataclass(frozen=True, slots=True)
class Query:
    """Which lines are meant. Times are wall times, exact to 50 ms."""

    #: lines per stream, from the end; ``None`` means all
    tail: int | None = None
    since: float | None = None
    until: float | None = None
    #: a regular expression that a line must contain
    grep: str | None = None
    #: "stdout", "stderr", or "" for both
    stream: str = ""
    #: the life before the present one only
    previous: bool = False


class StoredLine(NamedTuple):
    """A line and where it comes from. ``order`` is its time, or the latest before it where the clock went back."""

    order: float
    key: str
    stream: str
    line: Line


@dataclass(slots=True)
class Stored:
    """The lines found, oldest first, and in sentences what is missing among them."""

    lines: list[StoredLine] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


def chosen_streams(query: Query) -> Sequence[str]:
    """The stream names that are asked for. Raises ``UsageError`` for one that does not exist."""
    if query.stream and query.stream not in STREAMS:
        raise UsageError(f"there is no stream {query.stream!r}", hint=f"streams are {' and '.join(STREAMS)}")
    return (query.stream,) if query.stream else STREAMS


def spans(logs: LogStore, key: str, query: Query, present: int | None = None) -> list[Span]:
    """The parts of a unit's streams that the query means; none when it asks for a life that is not stored.

    ``present`` is the unit's life now, where it is known.
    """
    folder, streams = str(logs.path(key)), chosen_streams(query)
    epoch = None
    if query.previous and (epoch := previous_epoch(folder, present)) is None:
        return []
    return [span_of(folder, stream, since=query.since, until=query.until, epoch=epoch) for stream in streams]


async def read_lines(
    logs: LogStore,
    keys: Mapping[str, int | None],
    query: Query,
    *,
    max_lines: int = MAX_LINES,
    max_bytes: int = MAX_BYTES,
) -> Stored:
    """Read back from the end of each stream until enough is found; never more than the newest ``max_lines``.

    ``keys`` are units with their present life, ``None`` where it is not known. Holds ``max_bytes`` and one window at
    most. Raises ``UsageError`` for a pattern or a stream that makes no sense.
    """
    stored = Stored()
    deadline = time.monotonic() + DEADLINE
    wanted = max_lines if query.tail is None else min(query.tail, max_lines)
    for key, present in keys.items():
        parts = await logs.in_thread(spans, logs, key, query, present)
        if not parts and query.previous:
            stored.gaps.append(f"{key}: no output of an earlier life is stored")
        for span in parts:
            found = Collector(key, span, wanted, max_bytes)
            await found.collect(logs, query, deadline, floor=_floor(stored.lines, max_lines))
            stored.gaps += found.notes
            stored.lines = list(merge(stored.lines, found.ordered(), key=lambda line: line.order))
            cut = _trim(stored.lines, max_lines, max_bytes) > 0 or (found.more and query.tail is None)
            if cut and _CUT not in stored.gaps:
                stored.gaps.append(_CUT)
    return stored


class Collector:
    """The newest matching lines of one span."""

    def __init__(self, key: str, span: Span, wanted: int, max_bytes: int = MAX_BYTES) -> None:
        self._key = key
        self._span = span
        self._wanted = wanted
        self._bytes_left = max_bytes
        #: newest window first, oldest line first within each
        self._windows: list[list[Line]] = []
        self.notes: list[str] = []
        #: whether older lines were left out for want of room
        self.more = False

    async def collect(self, logs: LogStore, query: Query, deadline: float, *, floor: float = -inf) -> None:
        """Go back window by window, up to times before ``floor``, which cannot be among the newest any more."""
        end, missing = self._span.end, self._wanted
        while missing > 0 and self._bytes_left > 0 and end > self._span.start:
            if time.monotonic() > deadline:
                self.notes.append(
                    f"{self._key}: the search took too long and was ended; older lines were not looked at"
                )
                return
            window = await logs.in_thread(window_before, self._span, end)
            self.notes[:0] = [self._sentence(gap) for gap in window.gaps]
            lines = await self._matching(logs, window.lines, query.grep)
            self.more = self.more or len(lines) > missing
            lines = lines[-missing:]
            missing -= len(lines)
            self._bytes_left -= sum(len(line.data) for line in lines)
            self._windows.append(lines)
            end = window.start
            if window.lines and window.lines[-1].at < floor:
                break
        self.more = self.more or end > self._span.start

    async def _matching(self, logs: LogStore, lines: list[Line], grep: str | None) -> list[Line]:
        if grep is None:
            return lines
        try:
            return [lines[place] for place in await logs.matcher.search(grep, [line.data for line in lines])]
        except PatternError as error:
            raise UsageError(f"cannot search the output: {error}") from None

    def ordered(self) -> list[StoredLine]:
        """All lines, oldest first, with times that never go back."""
        latest, ordered = 0.0, []
        for window in reversed(self._windows):
            for line in window:
                latest = max(latest, line.at)
                ordered.append(StoredLine(latest, self._key, self._span.stream, line))
        return ordered

    def _sentence(self, gap: Gap) -> str:
        return f"{self._key} {self._span.stream}: {gap.sentence}"


def _floor(lines: list[StoredLine], max_lines: int) -> float:
    """The time before which a line has no chance of being among the newest."""
    return lines[0].order if len(lines) >= max_lines else -inf


def _trim(lines: list[StoredLine], max_lines: int, max_bytes: int) -> int:
    """Drop the oldest lines beyond the bounds; returns how many."""
    keep, size = len(lines), 0
    for number, stored in enumerate(reversed(lines)):
        size += len(stored.line.data)
        if number >= max_lines or size > max_bytes:
            keep = number
            break
    dropped = len(lines) - keep
    del lines[:dropped]
    return dropped
