"""The engine's log format, read: frames of eight bytes of head, each with one record and its time.

Pure. A container's output comes as records: a line, or a piece of 16 KiB of a longer one. Every record carries the time
at which the engine took it, and all pieces of one line carry the same. The engine's ``local`` log keeps every byte but
one: the newline of a line that came in pieces. It is put back here; where a long line was the program's very last word
and had no newline, it gets one.
"""

from __future__ import annotations

import calendar
import time
from typing import NamedTuple

from executors.docker.records import Mark

__all__ = ["Piece", "Resume", "cut", "since_of"]

_HEAD = 8
_STREAMS = {1: "stdout", 2: "stderr"}
#: no record is longer
_MOST = 16 << 20
#: a piece that is not the last one of its line
_WHOLE_PIECE = 16 * 1024
#: ``2026-11-21T12:03:28.209585858Z`` and a blank
_STAMP = 30


class Piece(NamedTuple):
    """One record."""

    stream: str
    stamp: str
    data: bytes


def cut(buffer: bytes) -> tuple[list[Piece], bytes]:
    """The whole records of a buffer, and what is left of it. Raises ``ValueError`` for what is no log."""
    pieces: list[Piece] = []
    at, size = 0, len(buffer)
    while at + _HEAD <= size:
        length = int.from_bytes(buffer[at + 4 : at + _HEAD], "big")
        stream = _STREAMS.get(buffer[at])
        if stream is None or not _STAMP < length < _MOST:
            raise ValueError("the engine's answer is no log with times")
        begin, end = at + _HEAD + _STAMP + 1, at + _HEAD + length
        if end > size:
            break
        pieces.append(Piece(stream, buffer[at + _HEAD : begin - 1].decode("latin-1"), buffer[begin:end]))
        at = end
    return pieces, buffer[at:]


def since_of(stamp: str) -> str:
    """The ``since=`` that begins with the records of this stamp: seconds and nanoseconds."""
    seconds = calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))
    return f"{seconds}.{stamp[20:29]}"


class Resume:
    """Goes on in one stream exactly behind a mark, whatever was read again before it.

    What the engine keeps of a stream is a sequence that only grows, and the mark says which record of it was the last
    one taken: the ``count``-th of its stamp. Records are passed over until that one has come. What was appended to our
    log after the mark was taken is the beginning of what follows in that sequence, so as many bytes are passed over.
    Neither depends on when the mark was written, so a daemon may die between any two of its steps.
    """

    def __init__(self, mark: Mark, ahead: int) -> None:
        """``ahead``: how many bytes our log has behind the mark's offset."""
        self._mark = mark
        self._behind = mark.stamp == ""
        self._seen = 0
        self._ahead = ahead
        #: the stamp of a line of which pieces have come and more must
        self._open = ""
        #: the mark's record is not there any more: the engine dropped output before it was read
        self.gap = False
        self.stamp, self.count = mark.stamp, mark.count

    @property
    def settled(self) -> bool:
        """Whether everything that was read again is behind: only then is the end of our log a place to mark."""
        return self._behind and not self._ahead

    def take(self, piece: Piece) -> bytes:
        """What of this record is new."""
        data = self._whole(piece)
        if not self._behind:
            if piece.stamp == self._mark.stamp:
                self._seen += 1
                self._behind = self._seen == self._mark.count
                return b""
            if piece.stamp < self._mark.stamp:
                return b""
            self._behind = self.gap = True
            self._ahead = 0
        if piece.stamp == self.stamp:
            self.count += 1
        else:
            self.stamp, self.count = piece.stamp, 1
        if not self._ahead:
            return data
        skipped = min(self._ahead, len(data))
        self._ahead -= skipped
        return data[skipped:]

    def _whole(self, piece: Piece) -> bytes:
        """A record's bytes, with the newline that the engine dropped."""
        ends = piece.data.endswith(b"\n")
        if not ends and len(piece.data) == _WHOLE_PIECE:
            self._open = piece.stamp
            return piece.data
        last = piece.stamp == self._open
        self._open = ""
        return piece.data if ends or not last else piece.data + b"\n"
