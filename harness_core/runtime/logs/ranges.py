"""Which part of a stream is meant, and how it is gone through from its end without ever holding much of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness_core.runtime.keeper.segments import STREAMS, end_of, list_segments
from harness_core.runtime.logs.cursor import MAX_CHUNK, Chunk, Cursor, Gap, read_bytes
from harness_core.runtime.logs.index import GRAIN, first_offset, last_epoch
from harness_core.runtime.logs.lines import Line, split_lines
from harness_core.runtime.logs.store import start_of

__all__ = ["Span", "Window", "previous_epoch", "span_of", "tail_start", "window_before"]

#: bytes of a window
WINDOW = 256 * 1024


@dataclass(frozen=True, slots=True)
class Span:
    """Part of one stream: the bytes from ``start`` up to ``end``."""

    folder: str
    stream: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Window:
    """Whole lines from ``start`` on, and the gaps among them."""

    start: int
    lines: list[Line]
    gaps: list[Gap]


def span_of(
    folder: str, stream: str, *, since: float | None = None, until: float | None = None, epoch: int | None = None
) -> Span:
    """What is stored now of a stream, within wall times (exact to 50 ms) and within one life where asked for."""
    segments = list_segments(folder, stream)
    if not segments:
        return Span(folder, stream, 0, 0)
    start = max(segments[0].base, start_of(folder, stream))
    end = now = end_of(segments[-1])
    if epoch is not None:
        start = max(start, _or(first_offset(segments, lambda record: record.epoch >= epoch), now))
        end = min(end, _or(first_offset(segments, lambda record: record.epoch > epoch), now))
    if since is not None:
        earliest = int((since - GRAIN) * 1e9)
        start = max(start, _or(first_offset(segments, lambda record: record.wall_ns >= earliest), now))
    if until is not None:
        latest = int(until * 1e9)
        end = min(end, _or(first_offset(segments, lambda record: record.wall_ns > latest), now))
    return Span(folder, stream, start, max(start, end))


def previous_epoch(folder: str, present: int | None = None) -> int | None:
    """The newest life of a unit before the ``present`` one whose output is stored; ``None`` when there is none.

    Without ``present`` it is the newest life that has written something, which a silent one has not.
    """
    listed = [segments for stream in STREAMS if (segments := list_segments(folder, stream))]
    if present is None:
        present = max((epoch for segments in listed if (epoch := last_epoch(segments)) is not None), default=0)
    earlier = [epoch for segments in listed if (epoch := last_epoch(segments, before=present)) is not None]
    return max(earlier, default=None)


def window_before(span: Span, end: int, size: int = WINDOW) -> Window:
    """The last whole lines of the span before offset ``end``: as many as fit into ``size`` bytes, at least one piece.

    Its ``start`` is below ``end`` as long as ``end`` is above the span's start, so that repeating it arrives there.
    """
    start = _line_start(span, max(span.start, _stored_before(span, end) - size), end)
    lines: list[Line] = []
    gaps: list[Gap] = []
    for found in split_lines(_found(span, start, end)):
        if isinstance(found, Line):
            lines.append(found)
        else:
            gaps.append(found)
    return Window(start, lines, gaps)


def _stored_before(span: Span, end: int) -> int:
    """The end of the bytes that are stored below ``end``: a hole, however wide, is passed in one step."""
    for segment in reversed(list_segments(span.folder, span.stream)):
        if segment.base < end:
            return min(end, max(span.start, end_of(segment)))
    return end


def tail_start(span: Span, count: int) -> int:
    """The offset at which the last ``count`` lines of the span begin."""
    end = span.end
    while count > 0 and end > span.start:
        window = window_before(span, end)
        if len(window.lines) >= count:
            return window.lines[-count].offset
        count -= len(window.lines)
        end = window.start
    return end


def _found(span: Span, start: int, end: int) -> Iterator[Chunk | Gap]:
    cursor = Cursor(span.folder, span.stream, start)
    while found := cursor.peek(end=end):
        cursor.advance(found)
        yield found
        if cursor.offset < found.offset:
            return  # begun anew under our hands: what is there now is another content


def _line_start(span: Span, start: int, end: int) -> int:
    """``start``, or the first beginning of a line after it when it lies within a line that also begins earlier."""
    if start <= span.start:
        return span.start
    at = start - 1
    for segment in list_segments(span.folder, span.stream):
        while at < end - 1 and segment.base <= at:
            data = read_bytes(segment, at, min(MAX_CHUNK, end - 1 - at))
            if not data:
                break
            if (newline := data.find(b"\n")) >= 0:
                return at + newline + 1
            at += len(data)
    return start


def _or(found: int | None, otherwise: int) -> int:
    return otherwise if found is None else found
