"""A file of somebody else's, followed: each byte once, whatever happens to it or to us."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness_core.domain.errors import HarnessError
from harness_core.runtime.logs import LogStore
from harness_core.runtime.logs.cursor import Cursor, Gap
from harness_core.runtime.logs.tail import FileTail
from harness_core.runtime.logs.writer import SegmentWriter
from harness_core.testing.logs import read_stream
from tests.runtime.logs.conftest import KEY

Tails = Callable[[], FileTail]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
def tails(file: Path, tmp_path: Path, folder: Path) -> Iterator[Tails]:
    """Makes the tail of a daemon; the one before it was killed."""
    with ExitStack() as opened:

        def make() -> FileTail:
            tail = FileTail(file, SegmentWriter(folder, "stdout"), tmp_path / "records" / "stdout.json")
            opened.callback(tail.close)
            return tail

        yield make


def copied(tail: FileTail) -> None:
    while tail.copy():
        pass


def gaps(folder: Path) -> list[str]:
    found, cursor = [], Cursor(str(folder), "stdout")
    while (one := cursor.peek()) is not None:
        found += [one.sentence] if isinstance(one, Gap) else []
        cursor.advance(one)
    return found


def append(file: Path, text: bytes) -> None:
    with file.open("ab") as out:
        out.write(text)


def test_what_is_there_is_read_from_its_last_lines_on_and_what_comes_later_whole(
    tails: Tails, file: Path, folder: Path
) -> None:
    file.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    tail = tails()
    copied(tail)
    lines = read_stream(folder, "stdout").splitlines()
    assert 5000 < len(lines) < 6000
    assert lines[0].startswith(b"line ")
    assert lines[-1] == b"line 99999"
    append(file, b"more\n" * 10_000)
    copied(tail)
    assert read_stream(folder, "stdout").endswith(b"line 99999\n" + b"more\n" * 10_000)


def test_one_that_appears_later_is_read_from_its_beginning(tails: Tails, file: Path, folder: Path) -> None:
    tail = tails()
    assert not tail.copy()
    file.write_bytes(b"x" * 200_000)
    copied(tail)
    assert read_stream(folder, "stdout") == b"x" * 200_000


def test_a_later_daemon_goes_on_where_the_stream_ends(tails: Tails, file: Path, folder: Path) -> None:
    file.write_bytes(b"one\n")
    for text in (b"two\n", b"three\n", b""):
        copied(tails())
        append(file, text)
    copied(tails())
    assert read_stream(folder, "stdout") == b"one\ntwo\nthree\n"
    assert gaps(folder) == []


def test_a_rotated_file_is_read_to_its_end_first(tails: Tails, file: Path, folder: Path) -> None:
    file.write_bytes(b"1\n")
    tail = tails()
    copied(tail)
    old = file.rename(file.with_name("app.log.1"))
    append(old, b"2\n")
    copied(tail)
    file.touch()
    append(old, b"3\n")  # the writer has not opened the new one yet
    copied(tail)
    append(old, b"4\n")
    append(file, b"5\n")
    copied(tail)
    append(file, b"6\n")
    copied(tail)
    assert read_stream(folder, "stdout") == b"1\n2\n3\n4\n5\n6\n"
    assert gaps(folder) == []


def test_a_file_that_was_rotated_while_nobody_looked_is_found_under_its_new_name(
    tails: Tails, file: Path, folder: Path
) -> None:
    file.write_bytes(b"1\n")
    copied(tails())
    append(file, b"2\n")
    file.rename(file.with_name("app.log.1"))
    append(file, b"3\n")
    copied(tails())
    assert read_stream(folder, "stdout") == b"1\n2\n3\n"
    assert gaps(folder) == []


def test_what_was_rotated_away_unread_is_told_as_missing(tails: Tails, file: Path, folder: Path) -> None:
    file.write_bytes(b"1\n")
    copied(tails())
    append(file, b"2\n")
    file.rename(file.with_name("elsewhere"))
    tail = tails()
    assert not tail.copy()
    append(file, b"3\n")
    copied(tail)
    assert read_stream(folder, "stdout") == b"1\n3\n"
    assert gaps(folder) == ["some bytes may be missing at 2: their source was cut or replaced before they were read"]


def test_a_truncated_file_is_read_from_its_beginning_and_told(tails: Tails, file: Path, folder: Path) -> None:
    file.write_bytes(b"12345\n")
    tail = tails()
    copied(tail)
    file.write_bytes(b"6\n")
    copied(tail)
    assert read_stream(folder, "stdout") == b"12345\n6\n"
    assert len(gaps(folder)) == 1


def test_another_file_is_another_story(tails: Tails, file: Path, tmp_path: Path, folder: Path) -> None:
    file.write_bytes(b"1\n")
    copied(tails())
    other = tmp_path / "other.log"
    other.write_bytes(b"2\n")
    tail = FileTail(other, SegmentWriter(folder, "stdout"), tmp_path / "records" / "stdout.json")
    copied(tail)
    tail.close()
    assert read_stream(folder, "stdout") == b"1\n2\n"
    assert gaps(folder) == []


def test_a_damaged_record_is_as_good_as_none(tails: Tails, file: Path, tmp_path: Path, folder: Path) -> None:
    file.write_bytes(b"1\n")
    copied(tails())
    (tmp_path / "records" / "stdout.json").write_text("{}")
    copied(tails())
    assert read_stream(folder, "stdout") == b"1\n1\n"


def test_what_is_no_file_or_not_ours_to_read_is_told(tails: Tails, file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(HarnessError, match="not a regular file"):
        tails().copy()
    file.unlink()
    file.symlink_to(file)
    with pytest.raises(HarnessError, match=r"cannot read .*app\.log: "):
        tails().copy()


def test_a_record_that_cannot_be_written_loses_nothing(
    tails: Tails, file: Path, tmp_path: Path, folder: Path, logs: LogStore
) -> None:
    assert logs.directory(KEY) == folder
    (tmp_path / "records").write_text("in the way")
    file.write_bytes(b"1\n")
    tail = tails()
    with pytest.raises(OSError, match="records"):
        tail.copy()
    (tmp_path / "records").unlink()
    copied(tail)
    assert read_stream(folder, "stdout") == b"1\n"
