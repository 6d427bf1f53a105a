from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from harness_core.runtime.keeper.segments import EPOCH, GAP, RECORD, TIME, index_path, list_segments, segment_name
from harness_core.runtime.logs.cursor import LOOKAHEAD, Chunk, Cursor, Gap

from .conftest import segment


def everything(folder: Path, start: int = 0, end: int | None = None) -> list[Chunk | Gap]:
    cursor, found = Cursor(str(folder), "stdout", start), list[Chunk | Gap]()
    while part := cursor.peek(end=end):
        assert cursor.offset == part.offset
        cursor.advance(part)
        found.append(part)
        assert len(found) < 100_000
    return found


def data(found: list[Chunk | Gap]) -> bytes:
    return b"".join(part.data for part in found if isinstance(part, Chunk))


def gaps(found: list[Chunk | Gap]) -> list[tuple[int, int, int]]:
    return [(part.offset, part.next, part.bytes) for part in found if isinstance(part, Gap)]


def test_nothing_there(tmp_path: Path) -> None:
    assert everything(tmp_path) == []
    assert everything(tmp_path / "missing", 500) == []


def test_looking_does_not_move(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"abc", (1.0, 0, 1, TIME, 0))
    cursor = Cursor(str(tmp_path), "stdout")
    assert cursor.peek() == cursor.peek()
    found = cursor.peek(2)
    assert isinstance(found, Chunk)
    assert found.data == b"ab"
    cursor.advance(found.cut(1))
    assert cursor.offset == 1


def test_times_and_lives_within_a_segment(tmp_path: Path) -> None:
    records = [(1.0, 0, 1, EPOCH, 0), (1.0, 0, 1, TIME, 0), (2.0, 3, 1, TIME, 0), (5.0, 6, 2, EPOCH, 0)]
    segment(tmp_path, 0, b"onetwosix", *records)
    assert everything(tmp_path) == [
        Chunk(0, 1, b"onetwo", ((0, 1.0), (3, 2.0))),
        Chunk(6, 2, b"six", ((0, 5.0),)),
    ]


def test_of_several_records_at_one_place_the_last_counts(tmp_path: Path) -> None:
    segment(
        tmp_path, 0, b"abcdef", (1.0, 0, 1, TIME, 0), (2.0, 0, 1, TIME, 0), (3.0, 3, 1, TIME, 0), (4.0, 3, 1, TIME, 0)
    )
    (chunk,) = everything(tmp_path)
    assert isinstance(chunk, Chunk)
    assert chunk.marks[0] == (0, 2.0)
    assert chunk.marks[-1] == (3, 4.0)


def test_times_go_on_over_segments_without_an_index(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"abc", (1.0, 0, 7, TIME, 0))
    (tmp_path / segment_name("stdout", 3)).write_bytes(b"def")
    assert [(part.epoch, part.at) for part in everything(tmp_path)] == [(7, 1.0), (7, 1.0)]


def test_without_any_index_the_file_tells_the_time(tmp_path: Path) -> None:
    path = tmp_path / segment_name("stdout", 0)
    path.write_bytes(b"abc")
    os.utime(path, (1234.0, 1234.0))
    assert [(part.epoch, part.at) for part in everything(tmp_path)] == [(0, 1234.0)]


def test_a_torn_last_record_is_ignored(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"abc", (1.0, 0, 1, TIME, 0))
    index = Path(index_path(str(tmp_path / segment_name("stdout", 0))))
    index.write_bytes(index.read_bytes() + RECORD.pack(9_000_000_000, 1, 9, TIME, 0)[:20])
    assert everything(tmp_path) == [Chunk(0, 1, b"abc", ((0, 1.0),))]


def test_more_records_than_are_looked_at_at_once(tmp_path: Path) -> None:
    count = 3 * LOOKAHEAD
    segment(tmp_path, 0, b"x" * count, *((float(n), n, 1, TIME, 0) for n in range(count)))
    found = everything(tmp_path)
    assert data(found) == b"x" * count
    marks = [(part.offset + place, at) for part in found if isinstance(part, Chunk) for place, at in part.marks]
    assert marks == [(n, float(n)) for n in range(count)]


def test_dropped_bytes_are_told_once_in_their_place(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"abcdef", (1.0, 0, 1, TIME, 0), (2.0, 3, 1, GAP, 99), (3.0, 3, 1, TIME, 0))
    found = everything(tmp_path)
    assert [part.data if isinstance(part, Chunk) else part.bytes for part in found] == [b"abc", 99, b"def"]
    assert isinstance(found[2], Chunk)
    assert found[2].at == 3.0


def test_dropped_bytes_at_the_very_end_of_a_segment_are_not_passed_over(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"abc", (1.0, 0, 1, TIME, 0), (2.0, 3, 1, GAP, 7))
    cursor = Cursor(str(tmp_path), "stdout")
    first = cursor.peek()
    assert isinstance(first, Chunk)
    cursor.advance(first)
    segment(tmp_path, 3, b"def", (3.0, 3, 1, TIME, 0))
    gap = cursor.peek()
    assert isinstance(gap, Gap)
    assert gap.bytes == 7
    cursor.advance(gap)
    last = cursor.peek()
    assert isinstance(last, Chunk)
    assert last.data == b"def"


def test_what_retention_took(tmp_path: Path) -> None:
    segment(tmp_path, 100, b"abc", (1.0, 100, 1, TIME, 0))
    found = everything(tmp_path, 40)
    assert gaps(found) == [(40, 100, 60)]
    assert data(found) == b"abc"


def test_a_segment_missing_in_the_middle(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"abc", (1.0, 0, 1, TIME, 0))
    segment(tmp_path, 10, b"xyz", (1.0, 10, 1, TIME, 0))
    found = everything(tmp_path)
    assert (data(found), gaps(found)) == (b"abcxyz", [(3, 10, 7)])


def test_a_cut_newest_segment_is_waited_for(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"ab", (1.0, 0, 1, TIME, 0), (2.0, 50, 1, TIME, 0))
    assert everything(tmp_path, 60) == []
    segment(tmp_path, 70, b"new", (3.0, 70, 1, TIME, 0))
    found = everything(tmp_path, 60)
    assert (data(found), gaps(found)) == (b"new", [(60, 70, 10)])


def test_an_end_is_kept_to(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"abc", (1.0, 0, 1, TIME, 0))
    segment(tmp_path, 3, b"def", (1.0, 3, 1, TIME, 0))
    assert data(everything(tmp_path, 1, end=5)) == b"bcde"
    assert everything(tmp_path, 5, end=5) == []


def test_a_pipe_or_a_link_in_the_place_of_a_segment_gives_nothing_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / segment_name("stdout", 0))
    assert data(everything(tmp_path)) == b""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / segment_name("stderr", 0)).symlink_to(tmp_path / "secret")
    cursor = Cursor(str(tmp_path), "stderr")
    assert cursor.peek() is None


def test_a_part_of_a_chunk(tmp_path: Path) -> None:
    chunk = Chunk(10, 1, b"abcdef", ((0, 1.0), (3, 2.0)))
    assert chunk.cut(3) == Chunk(10, 1, b"abc", ((0, 1.0),))
    assert chunk.cut(4) == Chunk(10, 1, b"abcd", ((0, 1.0), (3, 2.0)))
    assert chunk.cut(99) is chunk
    assert (chunk.at, chunk.next) == (1.0, 16)


@pytest.mark.parametrize("seed", range(40))
def test_fuzz_damaged_files_never_break_or_stall_the_reader(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    base = 0
    for _ in range(dice.randint(1, 4)):
        size = dice.randint(0, 3000)
        records = [
            (
                dice.uniform(0, 100),
                dice.randint(0, base + size),
                dice.randint(0, 4),
                dice.choice([TIME, EPOCH, GAP, 9]),
                5,
            )
            for _ in range(dice.randint(0, 700))
        ]
        if dice.random() < 0.7:
            records.sort(key=lambda record: record[1])
        segment(tmp_path, base, dice.randbytes(size), *records)
        base += size + dice.choice([0, 0, 0, 17])
    files = sorted(tmp_path.iterdir())
    for _ in range(dice.randint(0, 4)):
        victim = dice.choice(files)
        content = victim.read_bytes() if victim.exists() else b""
        dice.choice(
            [
                lambda victim=victim: victim.unlink(missing_ok=True),
                lambda victim=victim, content=content: victim.write_bytes(content[: len(content) // 2]),
                lambda victim=victim, content=content: victim.write_bytes(content + dice.randbytes(33)),
                lambda victim=victim, content=content: victim.write_bytes(dice.randbytes(len(content))),
            ]
        )()
    began = time.monotonic()
    for start in (0, dice.randint(0, base + 100)):
        cursor = Cursor(str(tmp_path), "stdout", start)
        taken = 0
        while (part := cursor.peek(dice.choice([1, 7, 65536]))) and taken < 20_000:
            cursor.advance(part)
            taken += 1
        segments = list_segments(str(tmp_path), "stdout")
        if segments and taken < 20_000:
            assert cursor.peek() is None
    assert time.monotonic() - began < 5.0


def test_while_the_newest_segment_is_gone_its_reader_waits_for_what_comes_after_it(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"older", (1.0, 0, 1, TIME, 0))
    segment(tmp_path, 5, b"newest", (2.0, 5, 1, TIME, 0))
    cursor = Cursor(str(tmp_path), "stdout")
    while part := cursor.peek():
        cursor.advance(part)
    for path in tmp_path.glob(f"*{5:020d}*"):
        path.unlink()
    assert cursor.peek() is None, "what is there was read already"
    segment(tmp_path, 11, b"later", (3.0, 11, 1, TIME, 0))
    found = cursor.peek()
    assert isinstance(found, Chunk)
    assert (found.offset, found.data) == (11, b"later")


def test_what_is_newer_than_all_that_was_read_is_a_log_begun_anew(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"of old", (1.0, 0, 1, TIME, 0))
    cursor = Cursor(str(tmp_path), "stdout")
    while part := cursor.peek():
        cursor.advance(part)
    for path in tmp_path.iterdir():
        path.unlink()
    segment(tmp_path, 0, b"new", (2.0, 0, 2, TIME, 0))
    found = cursor.peek()
    assert isinstance(found, Gap)
    assert (found.offset, found.next) == (6, 0)
