"""From FIFO to segment: the bytes of all services, moved inside the kernel, none held here.

``os.splice`` moves what is in a pipe to the end of a file in one system call, so a keeper that dies between any two
of its instructions leaves every byte either in the pipe or in the file. A full disk leaves it in the pipe, and the
service waits. Both ends of a FIFO are held open by the service, by us and by the daemon, so that nobody's death is
the end of the pipe.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
import termios
import time

from .failpoints import failpoint
from .segments import fifo_name
from .writer import SegmentWriter

__all__ = ["Mover", "Stream", "open_fifo"]

#: the most that one stream moves in one turn, so that a flood leaves room for the others
_TURN = 1 << 20
#: what a pipe grows to when its stream is busy; the kernel's limit for everybody
_WIDE = 1 << 20
#: wait between turns while moving takes more than its share
_GATHER = 0.008
#: what moving line by line may take of a core in the long run, and in seconds at once
_SHARE, _CREDIT = 0.02, 0.02
#: how often a stream that could not be stored is tried again
_RETRY = 0.2
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def open_fifo(directory: str, stream: str) -> int:
    """Open a stream's FIFO for reading and writing without blocking; folder and FIFO are made when missing."""
    path = os.path.join(directory, fifo_name(stream))
    try:
        os.mkfifo(path, 0o600)
    except FileNotFoundError:
        os.makedirs(directory, 0o700, exist_ok=True)
        return open_fifo(directory, stream)
    except FileExistsError:
        if not stat.S_ISFIFO(os.lstat(path).st_mode):
            os.unlink(path)  # whatever stands there, in our private folder, is not the stream
            os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


class Stream:
    """One output stream of one service: its FIFO and its segments."""

    __slots__ = ("_capacity", "_copied", "blocked", "drop", "fifo", "key", "lost", "splices", "writer")

    def __init__(self, key: str, fifo: int, writer: SegmentWriter, *, drop: bool, splices: bool = True) -> None:
        self.key = key
        self.fifo = fifo
        self.writer = writer
        #: on a full disk, drop and count instead of letting the service wait
        self.drop = drop
        #: whether the file system takes bytes from a pipe without copying
        self.splices = splices
        #: why nothing can be stored at the moment: an errno, or 0
        self.blocked = 0
        #: bytes dropped so far, by ``drop``
        self.lost = 0
        self._capacity = fcntl.fcntl(fifo, fcntl.F_GETPIPE_SZ)
        self._copied = b""

    @property
    def name(self) -> str:
        return self.writer.stream

    def waiting(self) -> int:
        """How many bytes are in the pipe, or were copied and could not be stored yet."""
        buffer = bytearray(4)
        fcntl.ioctl(self.fifo, termios.FIONREAD, buffer)
        return int(struct.unpack("i", buffer)[0]) + len(self._copied)

    def pump(self, now: float, limit: int = _TURN) -> int:
        """Move up to ``limit`` bytes; 0 when there are none or they cannot be stored (see ``blocked``)."""
        try:
            self.writer.prepare(now)
            failpoint("keeper.bytes.before")
            moved = self._move(min(limit, self.writer.room))
        except BlockingIOError:
            return 0
        except OSError as error:
            if self.drop and error.errno in _DISK_FULL:
                return self._drop(limit)
            self.blocked = error.errno or errno.EIO
            return 0
        failpoint("keeper.bytes.after")
        self.blocked = 0
        self.writer.advance(moved)
        if moved * 2 >= self._capacity and self._capacity < _WIDE:
            self._widen()
        return moved

    def drain(self, now: float) -> int:
        """Move all that is in the pipe at this moment, and no more; returns what could not be stored."""
        left = self.waiting()
        while left > 0:
            moved = self.pump(now, min(left, _TURN))
            if moved == 0:
                break
            left -= moved
        self.writer.flush()
        return left

    def busy(self, moved: int) -> bool:
        """Whether a turn that moved so much shows a flood, which must not be kept waiting."""
        return moved * 2 >= self._capacity

    def close(self) -> None:
        self.writer.close()
        os.close(self.fifo)

    def _move(self, count: int) -> int:
        if self.splices and not self._copied:
            try:
                return os.splice(self.fifo, self.writer.fd, count)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
                self.splices = False
        return self._copy(count)

    def _copy(self, count: int) -> int:
        # a file system that cannot splice: what was read lives here until it is stored, and dies with us
        if not self._copied:
            self._copied = os.read(self.fifo, min(count, 1 << 16))
        written = os.write(self.writer.fd, self._copied[:count])
        self._copied = self._copied[written:]
        return written

    def _drop(self, limit: int) -> int:
        gone = len(self._copied)
        self._copied = b""
        with contextlib.suppress(BlockingIOError):
            gone += len(os.read(self.fifo, min(limit, 1 << 16)))
        self.lost += gone
        self.writer.dropped(gone)
        return gone

    def _widen(self) -> None:
        # fewer turns and fewer stalls for a flood; the kernel bounds what one user may hold in pipes
        try:
            self._capacity = fcntl.fcntl(self.fifo, fcntl.F_SETPIPE_SZ, _WIDE)
        except OSError:
            self._capacity = max(self._capacity, _WIDE)  # not granted: do not ask again at each turn


class Mover:
    """All streams, one turn at a time. ``fileno`` is readable when there is something to move.

    At once as long as that is cheap; once turns have used up their credit, 8 ms apart, so that each carries many
    lines. The owner polls ``fileno`` only when ``pause(now)`` is 0, else waits that many seconds, then calls ``turn``.
    """

    def __init__(self, *, splice: bool = True) -> None:
        self._poll = select.epoll()
        self._streams: dict[int, Stream] = {}
        self._blocked: set[int] = set()
        #: streams whose gaps could not be noted yet
        self._owing: set[int] = set()
        #: seconds that turns may still take before they are put off, as of a moment
        self._credit, self._counted = _CREDIT, 0.0
        self._quiet_until = 0.0
        self._retry_at = 0.0
        self._splice = splice
        #: streams that grew or changed since the owner last looked
        self.changed: set[Stream] = set()

    def fileno(self) -> int:
        return self._poll.fileno()

    def add(self, key: str, directory: str, name: str, *, max_size: int, max_files: int, drop: bool) -> Stream:
        """Open a stream and move its bytes from now on."""
        fifo = open_fifo(directory, name)
        writer = SegmentWriter(directory, name, max_size=max_size, max_files=max_files)
        stream = Stream(key, fifo, writer, drop=drop, splices=self._splice)
        self._streams[fifo] = stream
        self._poll.register(fifo, select.EPOLLIN)
        return stream

    def remove(self, stream: Stream) -> None:
        """Store what is there and let go."""
        stream.drain(time.monotonic())
        self._poll.unregister(stream.fifo)
        del self._streams[stream.fifo]
        self._blocked.discard(stream.fifo)
        self._owing.discard(stream.fifo)
        self.changed.discard(stream)
        stream.close()

    def pause(self, now: float) -> float:
        """Seconds until the next turn may be taken; 0 when ``fileno`` may be polled."""
        return max(0.0, self._quiet_until - now)

    def retry_in(self, now: float) -> float | None:
        """Seconds until the disk is tried again; ``None`` when nothing waits for it."""
        return max(0.0, self._retry_at - now) if self._blocked or self._owing else None

    def close(self) -> None:
        self._poll.close()

    def turn(self, now: float) -> None:
        """Move what is there, at most 1 MiB of each stream."""
        began = time.perf_counter()
        if (self._blocked or self._owing) and now >= self._retry_at:
            self._retry(now)
        flood = False
        moved_any = False
        for fd, _ in self._poll.poll(0, max(1, len(self._streams))):
            stream = self._streams[fd]
            was_lost, spliced = stream.lost, stream.splices
            moved = stream.pump(now)
            if stream.blocked:
                self._block(fd, now)
            if stream.writer.owes and fd not in self._owing:
                self._owing.add(fd)
                self._retry_at = now + _RETRY
            if moved or stream.blocked or stream.lost != was_lost or stream.splices != spliced:
                self.changed.add(stream)
            moved_any = moved_any or moved > 0
            flood = flood or stream.busy(moved)
        self._pace(now, moved_any and not flood, time.perf_counter() - began)

    def _pace(self, now: float, may_wait: bool, took: float) -> None:
        earned = (now - self._counted) * _SHARE
        self._credit = max(0.0, min(_CREDIT, self._credit + earned) - took)
        self._counted = now
        self._quiet_until = now + _GATHER if may_wait and self._credit == 0 else now

    def _block(self, fd: int, now: float) -> None:
        # out of the poll set, or a pipe that stays readable would spin us
        self._poll.modify(fd, 0)
        self._blocked.add(fd)
        self._retry_at = now + _RETRY

    def _retry(self, now: float) -> None:
        for fd in list(self._owing):
            stream = self._streams[fd]
            stream.pump(now)
            if not stream.writer.owes:
                self._owing.discard(fd)
                self.changed.add(stream)
        for fd in list(self._blocked):
            stream = self._streams[fd]
            if stream.pump(now) or not stream.blocked:
                self._blocked.discard(fd)
                self._poll.modify(fd, select.EPOLLIN)
                self.changed.add(stream)
        self._retry_at = now + _RETRY
