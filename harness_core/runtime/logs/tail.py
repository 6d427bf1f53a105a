"""Following a file that somebody else writes: each byte once, over rotation, truncation and restarts of the daemon.

Nothing but the stored stream says how far it was read: a small record beside it holds which byte of the file was the
stream's at which place, and the rest is subtraction. So a daemon may die between any two steps.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from harness_core.domain.errors import HarnessError
from harness_core.runtime.logs.writer import SegmentWriter

__all__ = ["FileTail"]

#: of a file that is there already, this much of its end is taken along
_LEAD = 64 * 1024
_PIECE = 64 * 1024
#: moved in one call at most, so that the end of a service is not told behind a flood
_TURN = 16 << 20


@dataclass(frozen=True, slots=True)
class _Place:
    """The byte at ``offset`` of this file is the one at ``end`` of the stream."""

    path: str
    device: int
    inode: int
    offset: int
    end: int


class FileTail:
    """Copies one file into one stream. Methods block for the disk; they are called by one thread at a time.

    ``record`` is the file in which the place is kept. A file that appears later is read from its beginning, one that
    is there already from the last lines on. One that was renamed is read to its end before its successor is begun, as
    soon as that has any content. What may have been missed is noted in the stream as a gap of unknown size.
    """

    def __init__(self, path: Path, writer: SegmentWriter, record: Path) -> None:
        self.path = path
        self._writer = writer
        self._record = record
        self._place = self._load()
        self._fd = -1
        #: it was not there when it was looked for, so all of it is new
        self._late = False

    def copy(self) -> bool:
        """Copy what is there now; whether there may be more at once. A full disk is tried again with the next call.

        Raises ``HarnessError`` when the file cannot be read.
        """
        if self._fd < 0 and not self._open():
            return False
        # looked for first: whoever writes has left this file by the time at which the next one has content
        successor = self._successor()
        try:
            if os.fstat(self._fd).st_size < self._position:
                self._writer.drop(0)
                self._begin(self._fd, 0)
            if not self._move():
                return True
            if successor < 0:
                return False
            self._begin(successor, 0)
            self._fd, successor = successor, self._fd
            return True
        finally:
            if successor >= 0:
                os.close(successor)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._writer.close()

    @property
    def _position(self) -> int:
        assert self._place is not None, "an open file has a place"
        return self._place.offset + self._writer.end - self._place.end

    def _move(self) -> bool:
        """Whether the end of the file was reached."""
        for _ in range(_TURN // _PIECE):
            data = os.pread(self._fd, _PIECE, self._position)
            if not data:
                return True
            if self._writer.append(data) < len(data):
                return False
        return False

    def _open(self) -> bool:
        """Open the file that was read last, wherever it is now, or else the one at the path; whether there is one."""
        place = self._place
        fd = -1 if place is None else self._former(place)
        if fd < 0:
            fd = _open(self.path)
            if fd < 0:
                self._late = True
                return False
            try:
                if place is not None:
                    self._writer.drop(0)
                self._begin(fd, 0 if place is not None or self._late else _lead(fd))
            except BaseException:
                os.close(fd)
                raise
        self._fd = fd
        return True

    def _former(self, place: _Place) -> int:
        """The file that was read last, at its path or renamed; -1 when it is gone."""
        try:
            others = sorted(os.listdir(self.path.parent))
        except OSError:
            return -1
        for name in (self.path.name, *(name for name in others if name.startswith(self.path.name))):
            with contextlib.suppress(HarnessError):  # what cannot be read was not read before either
                fd = _open(self.path.parent / name)
                if fd >= 0 and _is(fd, place):
                    return fd
                if fd >= 0:
                    os.close(fd)
        return -1

    def _successor(self) -> int:
        """Another file that is at the path by now and is written to; -1 when there is none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return -1
        own = os.fstat(self._fd)
        if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino) or not found.st_size:
            return -1
        return _open(self.path)

    def _begin(self, fd: int, offset: int) -> None:
        """From here on, the stream goes on with this file at this place."""
        found = os.fstat(fd)
        place = _Place(str(self.path), found.st_dev, found.st_ino, offset, self._writer.end)
        draft = self._record.with_suffix(".new")
        self._record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_text(json.dumps(asdict(place)), "utf-8")
        draft.replace(self._record)
        self._place = place

    def _load(self) -> _Place | None:
        try:
            place = _Place(**json.loads(self._record.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return place if place.path == str(self.path) and place.end <= self._writer.end else None


def _open(path: Path) -> int:
    """Open a regular file for reading; -1 when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise HarnessError(f"cannot read {path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise HarnessError(f"cannot follow {path}: it is not a regular file")
    return fd


def _is(fd: int, place: _Place) -> bool:
    found = os.fstat(fd)
    return (found.st_dev, found.st_ino) == (place.device, place.inode)


def _lead(fd: int) -> int:
    """Where the last lines begin."""
    size = os.fstat(fd).st_size
    if size <= _LEAD:
        return 0
    newline = os.pread(fd, _LEAD, size - _LEAD).find(b"\n")
    return size - _LEAD + newline + 1
