"""Going on in a container's output exactly where it was left, whenever that was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executors.docker.frames import Piece, Resume, cut, since_of
from executors.docker.records import Mark

PIECE = 16 * 1024


def frame(stream: int, stamp: str, data: bytes) -> bytes:
    body = stamp.encode() + b" " + data
    return bytes([stream, 0, 0, 0]) + len(body).to_bytes(4, "big") + body


def stamp(number: int) -> str:
    return f"2026-11-21T12:03:28.{number:09d}Z"


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_records_are_cut_out_wherever_the_bytes_were_split() -> None:
    whole = frame(1, stamp(1), b"a\n") + frame(2, stamp(2), b"\xff\0\n") + frame(1, stamp(3), b"")
    for at in range(len(whole) + 1):
        first, rest = cut(whole[:at])
        second, left = cut(rest + whole[at:])
        assert left == b""
        assert [*first, *second] == [
            Piece("stdout", stamp(1), b"a\n"),
            Piece("stderr", stamp(2), b"\xff\0\n"),
            Piece("stdout", stamp(3), b""),
        ]


@pytest.mark.parametrize(
    "bytes_", [b"HTTP/1.1 500", frame(7, stamp(1), b"x"), b"\1\0\0\0\0\0\0\3abc", b"\1\0\0\0\xff\0\0\0"]
)
def test_what_is_no_log_is_refused(bytes_: bytes) -> None:
    with pytest.raises(ValueError, match="no log"):
        cut(bytes_)


def test_the_time_to_begin_at() -> None:
    assert since_of("1970-01-02T00:00:01.000000042Z") == "86401.000000042"


def test_the_newline_of_a_line_in_pieces_is_put_back() -> None:
    pieces = [
        Piece("stdout", stamp(1), b"x" * PIECE),
        Piece("stdout", stamp(1), b"end"),
        Piece("stdout", stamp(2), b"y" * PIECE),
        Piece("stdout", stamp(2), b""),
        Piece("stdout", stamp(3), b"with its own\n"),
        Piece("stdout", stamp(4), b"no newline at all"),
    ]
    resume = Resume(Mark(), 0)
    told = b"".join(resume.take(piece) for piece in pieces)
    assert told == b"x" * PIECE + b"end\n" + b"y" * PIECE + b"\nwith its own\nno newline at all"


# ── going on ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#: records of one stream: times that never go back and often repeat, and anything as content
histories = st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=6)), min_size=1, max_size=30).map(
    lambda steps: [
        Piece("stdout", stamp(sum(step for step, _ in steps[: number + 1])), data)
        for number, (_, data) in enumerate(steps)
    ]
)


@given(histories, st.data())
def test_nothing_is_lost_or_repeated_wherever_the_daemon_died(history: list[Piece], data: st.DataObject) -> None:
    """It marks at any place, dies at any later one, in the middle of a record too, and comes back."""
    first, stored = Resume(Mark(), 0), b""
    marked = data.draw(st.integers(0, len(history)), "records read when the mark was written")
    for piece in history[:marked]:
        stored += first.take(piece)
    mark = Mark(len(stored), first.stamp, first.count)
    died = data.draw(st.integers(marked, len(history)), "records read when it died")
    tail = b"".join(first.take(piece) for piece in history[marked:died])
    stored += tail[: data.draw(st.integers(0, len(tail)), "of the rest, bytes that reached the file")]

    again = Resume(mark, len(stored) - mark.offset)
    for piece in history:
        if piece.stamp >= mark.stamp:  # what the engine is asked for
            stored += again.take(piece)
    assert stored == b"".join(piece.data for piece in history)
    assert not again.gap
    assert again.settled


def test_a_clock_that_was_set_back_since_is_no_harm_when_all_is_read() -> None:
    history = [Piece("stdout", stamp(t), f"{n}\n".encode()) for n, t in enumerate((5, 6, 7, 2, 3))]
    resume = Resume(Mark(6, stamp(7), 1), 0)
    assert b"".join(resume.take(piece) for piece in history) == b"3\n4\n"


def test_what_the_engine_dropped_before_it_was_read_is_a_gap() -> None:
    resume = Resume(Mark(100, stamp(3), 2), 7)
    assert resume.take(Piece("stdout", stamp(3), b"only one of two is left")) == b""
    assert resume.take(Piece("stdout", stamp(9), b"new")) == b"new"
    assert resume.gap
