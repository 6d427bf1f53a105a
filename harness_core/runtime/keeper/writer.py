"""Where one stream's bytes go: the newest segment, rotated and bounded, and its index."""

from __future__ import annotations

import contextlib
import os
import time

from .failpoints import failpoint
from .segments import EPOCH, GAP, RECORD, TIME, end_of, index_path, list_segments, read_index, segment_name

__all__ = ["SegmentWriter"]

#: a new time is noted when the last one is older than this
_TIME_STEP = 0.05
#: lives and gaps that wait for space on the disk to be noted
_PENDING = 64


class SegmentWriter:
    """The writing end of one stream. Files are opened at the first byte, so a silent stream costs nothing.

    Use: ``prepare()``, then append at most ``room`` bytes to ``fd``, then ``advance(count)``. ``prepare`` and the
    append raise ``OSError`` when the disk is full; nothing is lost by that, and the same call may be made again.
    """

    __slots__ = (
        "_base",
        "_directory",
        "_index",
        "_noted",
        "_pending",
        "end",
        "epoch",
        "fd",
        "max_files",
        "max_size",
        "stream",
    )

    def __init__(self, directory: str, stream: str, *, max_size: int, max_files: int) -> None:
        self._directory = directory
        self.stream = stream
        self.max_size = max_size
        self.max_files = max_files
        self.epoch = 0
        self.fd = -1
        self._index = -1
        self._noted = 0.0
        self._pending: list[tuple[int, int, int, int, int]] = []
        known = list_segments(directory, stream)
        #: the base of the newest segment, -1 before there is any
        self._base = known[-1].base if known else -1
        #: the logical offset behind the last byte
        self.end = end_of(known[-1]) if known else 0
        if known:
            records = list(read_index(index_path(known[-1].path)))
            if records:
                self.epoch = records[-1].epoch
                # somebody cut the segment while nobody wrote: offsets do not go back because of that
                self.end = max(self.end, records[-1].offset)

    @property
    def room(self) -> int:
        """How many bytes fit into the open segment; at least 1 after ``prepare``."""
        return self._base + self.max_size - self.end

    @property
    def owes(self) -> bool:
        """Whether a gap waits for space on the disk to be noted."""
        return any(kind == GAP for _, _, _, kind, _ in self._pending)

    def begin_epoch(self, epoch: int) -> None:
        """Note that bytes from here on belong to this life. Reaches the disk with the next bytes."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._remember(EPOCH, 0)

    def dropped(self, count: int) -> None:
        """Note that ``count`` bytes were dropped here."""
        if self._pending and self._pending[-1][3] == GAP and self._pending[-1][1] == self.end:
            count += self._pending.pop()[4]
        self._remember(GAP, count)

    def prepare(self, now: float) -> None:
        """Have an open segment with room, and the index up to date. ``now`` is monotonic seconds."""
        if self.fd < 0 or self._disturbed():
            self.close()
            self._open(self._base if self._usable() else self.end)
        elif self.room <= 0:
            failpoint("keeper.segment.roll")
            self.close()
            self._open(self.end)
        if self._pending:
            self._note_pending()
        if now - self._noted > _TIME_STEP and self._note(time.time_ns(), self.end, self.epoch, TIME, 0):
            self._noted = now

    def advance(self, count: int) -> None:
        """``count`` bytes were appended to ``fd``."""
        self.end += count

    def flush(self) -> None:
        """Note lives and gaps that wait, if there is space now and the stream has any file at all."""
        if self._pending and self.fd >= 0:
            self._note_pending()

    def close(self) -> None:
        """Close the files; ``prepare`` opens them again."""
        for fd in (self.fd, self._index):
            if fd >= 0:
                os.close(fd)
        self.fd = self._index = -1

    def _disturbed(self) -> bool:
        # deleted, truncated or written to by somebody else: leave that file and go on in a new one
        stat = os.fstat(self.fd)
        return stat.st_nlink == 0 or stat.st_size != self.end - self._base

    def _usable(self) -> bool:
        if self._base < 0 or self.room <= 0:
            return False
        try:
            path = os.path.join(self._directory, segment_name(self.stream, self._base))
            return os.stat(path).st_size == self.end - self._base
        except FileNotFoundError:
            return False

    def _open(self, base: int) -> None:
        path = os.path.join(self._directory, segment_name(self.stream, base))
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # splice refuses O_APPEND
        if base == self.end:  # a new segment; whatever a stranger put under its name is not ours
            flags |= os.O_TRUNC
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:  # somebody removed the folder
            os.makedirs(self._directory, 0o700, exist_ok=True)
            fd = os.open(path, flags, 0o600)
        os.lseek(fd, 0, os.SEEK_END)
        self.fd, self._base, self._noted = fd, base, 0.0
        failpoint("keeper.segment.opened")
        self._open_index(path)
        self._retire()

    def _open_index(self, segment: str) -> None:
        # the index is help, not truth: bytes are kept even where it cannot be
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._index = os.open(index_path(segment), flags, 0o600)
            whole = os.fstat(self._index).st_size // RECORD.size * RECORD.size
            os.ftruncate(self._index, whole)
            os.lseek(self._index, whole, os.SEEK_SET)
        except OSError:
            if self._index >= 0:
                os.close(self._index)
            self._index = -1

    def _retire(self) -> None:
        for segment in list_segments(self._directory, self.stream)[: -self.max_files]:
            failpoint("keeper.segment.retire")
            for path in (index_path(segment.path), segment.path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    def _remember(self, kind: int, value: int) -> None:
        self._pending.append((time.time_ns(), self.end, self.epoch, kind, value))
        del self._pending[:-_PENDING]

    def _note_pending(self) -> None:
        while self._pending and self._note(*self._pending[0]):
            self._pending.pop(0)

    def _note(self, *record: int) -> bool:
        if self._index < 0 and self.fd >= 0:  # there was no room for it when the segment was opened
            self._open_index(os.path.join(self._directory, segment_name(self.stream, self._base)))
        if self._index < 0:
            return False
        try:
            written = os.write(self._index, RECORD.pack(*record))
        except OSError:
            return False
        if written == RECORD.size:
            return True
        # a full disk took a part: take it back, so that records stay aligned
        whole = os.lseek(self._index, -written, os.SEEK_CUR)
        os.ftruncate(self._index, whole)
        return False
