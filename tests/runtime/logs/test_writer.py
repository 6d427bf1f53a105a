from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from harness_core.runtime.logs import LogStore
from harness_core.runtime.logs.cursor import Chunk, Cursor, Gap
from harness_core.runtime.logs.writer import SegmentWriter

from .conftest import KEY, Writers


def everything(folder: Path, start: int = 0) -> list[Chunk | Gap]:
    cursor, found = Cursor(str(folder), "stdout", start), list[Chunk | Gap]()
    while part := cursor.peek():
        cursor.advance(part)
        found.append(part)
    return found


def content(folder: Path, start: int = 0) -> bytes:
    return b"".join(part.data for part in everything(folder, start) if isinstance(part, Chunk))


async def test_bytes_rotate_and_the_oldest_go(writer: Writers, folder: Path, logs: LogStore) -> None:
    stdout = writer(max_size=10, max_files=3)
    for number in range(10):
        assert stdout.append(b"%06d\n" % number) == 7
    assert stdout.end == 70
    assert content(folder, 50) == b"".join(b"%06d\n" % number for number in range(10))[50:]
    assert logs.start(KEY, "stdout") == 40
    assert sum(name.endswith(".idx") for name in os.listdir(folder)) == 3


async def test_a_new_writer_goes_on_where_the_files_end(writer: Writers, folder: Path) -> None:
    with SegmentWriter(folder, "stdout") as first:
        first.begin(1)
        first.append(b"one\n")
    second = writer()
    second.begin(2)
    second.append(memoryview(b"two\n"))
    assert [(part.epoch, part.data) for part in everything(folder) if isinstance(part, Chunk)] == [
        (1, b"one\n"),
        (2, b"two\n"),
    ]


async def test_after_close_it_opens_again(writer: Writers, folder: Path) -> None:
    stdout = writer()
    stdout.append(b"a")
    stdout.close()
    stdout.append(b"b")
    assert content(folder) == b"ab"


async def test_threads_do_not_mix_their_lines(writer: Writers, folder: Path) -> None:
    stdout = writer(max_size=5000)

    def write(letter: bytes) -> None:
        for _ in range(200):
            stdout.append(letter * 30 + b"\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = content(folder).splitlines()
    assert len(lines) == 600
    assert all(len(set(line)) == 1 and len(line) == 30 for line in lines)


@contextlib.contextmanager
def full_at_100_bytes() -> Iterator[None]:
    """A disk that takes no file longer than 100 bytes. No fixture: what pytest itself writes must not meet it."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


async def test_a_full_disk_is_told_by_the_count_and_gaps_are_noted(writer: Writers, folder: Path) -> None:
    stdout = writer()
    stdout.begin(1)
    with full_at_100_bytes():
        assert stdout.append(b"x" * 150) == 100
        assert stdout.append(b"y") == 0
    stdout.drop(51)
    found = everything(folder)
    assert [type(part) for part in found] == [Chunk, Gap]
    assert (found[1].bytes if isinstance(found[1], Gap) else None, found[1].next) == (51, 100)
