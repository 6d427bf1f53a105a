from __future__ import annotations

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from harness_core.runtime.logs.cursor import Chunk, Gap
from harness_core.runtime.logs.lines import MAX_LINE, Line, split_lines, time_of


def chunk(data: bytes, offset: int = 0, epoch: int = 1, marks: tuple[tuple[int, float], ...] = ((0, 1.0),)) -> Chunk:
    return Chunk(offset, epoch, data, marks)


def lines(*found: Chunk | Gap) -> list[tuple[bytes, bool]]:
    return [(line.data, line.partial) for line in split_lines(found) if isinstance(line, Line)]


def test_lines_of_one_chunk() -> None:
    assert lines(chunk(b"a\n\nb\r\nc")) == [(b"a", False), (b"", False), (b"b\r", False), (b"c", True)]
    assert lines() == []


def test_a_line_over_two_chunks_has_the_place_and_time_of_its_beginning() -> None:
    first = chunk(b"one\ntw", marks=((0, 1.0), (4, 2.0)))
    second = chunk(b"o\nthree\n", offset=6, marks=((0, 3.0), (2, 4.0)))
    assert [(line.offset, line.at, line.data) for line in split_lines([first, second]) if isinstance(line, Line)] == [
        (0, 1.0, b"one"),
        (4, 2.0, b"two"),
        (8, 4.0, b"three"),
    ]


def test_another_life_and_a_gap_end_a_line() -> None:
    gap = Gap(2, 10, 8, "x", 1.0, 1)
    assert lines(chunk(b"a"), chunk(b"b\n", 1, epoch=2)) == [(b"a", True), (b"b", False)]
    assert lines(chunk(b"ab"), gap, chunk(b"c\n", 10)) == [(b"ab", True), (b"c", False)]
    assert gap in list(split_lines([chunk(b"ab"), gap]))


def test_a_line_of_exactly_the_longest_length_is_whole() -> None:
    assert lines(chunk(b"x" * MAX_LINE + b"\n")) == [(b"x" * MAX_LINE, False)]


def test_a_longer_line_comes_in_pieces() -> None:
    found = lines(*(chunk(b"x" * 50_000, at * 50_000) for at in range(4)), chunk(b"\n", 200_000))
    assert [len(data) for data, _ in found] == [MAX_LINE, MAX_LINE, MAX_LINE, 200_000 - 3 * MAX_LINE]
    assert [partial for _, partial in found] == [True, True, True, False]


def test_the_time_of_a_byte_is_that_of_the_last_mark_before_it() -> None:
    marked = chunk(b"abcdef", marks=((0, 1.0), (2, 2.0), (4, 3.0)))
    assert [time_of(marked, place) for place in range(6)] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]


@given(data=st.binary(max_size=300), seed=st.integers(0, 1000))
def test_however_bytes_are_cut_the_lines_are_the_same(data: bytes, seed: int) -> None:
    pieces, at, dice = [], 0, random.Random(seed)
    while at < len(data):
        size = dice.randint(1, 40)
        pieces.append(chunk(data[at : at + size], at))
        at += size
    found = list(split_lines(pieces))
    whole = data.split(b"\n")
    expected = whole if whole[-1] else whole[:-1]
    assert [line.data for line in found if isinstance(line, Line)] == expected


def test_fuzz_every_byte_is_in_one_line_and_quickly() -> None:
    dice = random.Random(20)
    for _ in range(60):
        began = time.monotonic()
        data = b"".join(
            dice.choice([b"\n", b"\x00", b"\xff\xfe", b"\r\n", b"\x1b[2J", dice.randbytes(dice.randint(0, 400))])
            * dice.choice([1, 1, 1, 3000])
            for _ in range(dice.randint(0, 6))
        )
        pieces = [chunk(data[at : at + 65536], at) for at in range(0, len(data), 65536)]
        found = [line for line in split_lines(pieces) if isinstance(line, Line)]
        assert b"".join(line.data + (b"" if line.partial else b"\n") for line in found) == data
        assert all(len(line.data) <= MAX_LINE for line in found)
        assert time.monotonic() - began < 1.0
