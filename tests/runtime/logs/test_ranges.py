from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from harness_core.runtime.keeper.segments import EPOCH, TIME
from harness_core.runtime.logs.ranges import Span, Window, previous_epoch, span_of, tail_start, window_before

from .conftest import segment


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Ten bytes a second over three segments; the lives 1, 2 and 4."""
    for base, epoch in ((0, 1), (100, 2), (200, 4)):
        records = [(1000.0 + (base + at) / 10, base + at, epoch, TIME, 0) for at in range(0, 100, 10)]
        segment(tmp_path, base, b"123456789\n" * 10, (records[0][0], base, epoch, EPOCH, 0), *records)
    return str(tmp_path)


def bounds(folder: str, **wanted: float) -> tuple[int, int]:
    span = span_of(folder, "stdout", **wanted)  # type: ignore[arg-type]
    return span.start, span.end


def test_all_of_it(folder: str) -> None:
    assert bounds(folder) == (0, 300)
    assert bounds(folder + "/missing") == (0, 0)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (1005.0, None, (50, 300)),
        (None, 1005.0, (0, 60)),
        (1005.0, 1025.0, (50, 260)),
        (0.0, 5000.0, (0, 300)),
        (5000.0, None, (300, 300)),
        (None, 1.0, (0, 0)),
        (1020.0, 1005.0, (200, 200)),
        (1009.99, 1010.01, (100, 110)),
    ],
)
def test_by_time(folder: str, since: float | None, until: float | None, expected: tuple[int, int]) -> None:
    span = span_of(folder, "stdout", since=since, until=until)
    assert (span.start, span.end) == expected


@pytest.mark.parametrize(
    ("epoch", "expected"), [(1, (0, 100)), (2, (100, 200)), (3, (200, 200)), (4, (200, 300)), (5, (300, 300))]
)
def test_by_life(folder: str, epoch: int, expected: tuple[int, int]) -> None:
    assert bounds(folder, epoch=epoch) == expected


@pytest.mark.parametrize(("present", "expected"), [(None, 2), (9, 4), (4, 2), (3, 2), (2, 1), (1, None)])
def test_the_life_before(folder: str, present: int | None, expected: int | None) -> None:
    assert previous_epoch(folder, present) == expected


def test_no_life_before_where_nothing_is_stored(tmp_path: Path) -> None:
    assert previous_epoch(str(tmp_path)) is None


@pytest.mark.parametrize(("count", "expected"), [(0, 300), (1, 290), (10, 200), (11, 190), (30, 0), (1000, 0)])
def test_the_last_lines(folder: str, count: int, expected: int) -> None:
    assert tail_start(span_of(folder, "stdout"), count) == expected


def test_the_last_lines_within_a_range(folder: str) -> None:
    assert tail_start(span_of(folder, "stdout", epoch=2), 1000) == 100
    assert tail_start(span_of(folder, "stdout", epoch=2), 3) == 170


def test_the_last_line_may_be_unfinished(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"one\ntwo\nthr", (1.0, 0, 1, TIME, 0))
    assert tail_start(span_of(str(tmp_path), "stdout"), 1) == 8
    assert tail_start(span_of(str(tmp_path), "stdout"), 2) == 4


def windows(span: Span, size: int) -> list[Window]:
    """All windows from the end to the start."""
    found, end = list[Window](), span.end
    while end > span.start:
        window = window_before(span, end, size)
        assert window.start < end
        found.append(window)
        end = window.start
    return found


@pytest.mark.parametrize("seed", range(25))
def test_fuzz_going_back_in_windows_finds_what_going_forward_does(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    data = b"".join(
        dice.choice([b"x" * dice.randint(0, 300), dice.randbytes(dice.randint(0, 50)), b"y" * dice.choice([0, 70_000])])
        + b"\n"
        for _ in range(dice.randint(0, 60))
    ) + dice.choice([b"", b"unfinished"])
    at = 0
    while at < len(data):
        size = dice.randint(1, 40_000)
        segment(tmp_path, at, data[at : at + size], (1.0, at, 1, TIME, 0))
        at += size
    span = span_of(str(tmp_path), "stdout")
    began = time.monotonic()
    found = windows(span, dice.choice([1, 50, 1000, 65_536]) if len(data) < 20_000 else 65_536)
    lines = [line for window in reversed(found) for line in window.lines]
    assert b"".join(line.data + (b"" if line.partial else b"\n") for line in lines) == data
    assert time.monotonic() - began < 10.0


def test_a_very_long_line_is_gone_through_in_pieces(tmp_path: Path) -> None:
    segment(tmp_path, 0, b"x" * 1_000_000, (1.0, 0, 1, TIME, 0))
    span = span_of(str(tmp_path), "stdout")
    assert tail_start(span, 1) > 900_000
    assert sum(len(line.data) for window in windows(span, 65_536) for line in window.lines) == 1_000_000
