from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.cli.output import MAX_LINE, Assembler, Written, cursor_of


def header(at: float = 1.0, epoch: int = 1, **more: Any) -> dict[str, Any]:
    return {"service": "shop/db", "stream": "stdout", "at": at, "epoch": epoch, **more}


def fed(assembler: Assembler, payload: bytes, **more: Any) -> list[tuple[float, str]]:
    return [(line.at, line.text) for line in assembler.feed(header(**more), payload)]


@given(st.lists(st.binary(max_size=30), max_size=12))
def test_lines_are_what_was_written_however_it_is_cut(pieces: list[bytes]) -> None:
    assembler = Assembler()
    lines = [line for piece in pieces for line in assembler.feed(header(), piece)] + list(assembler.rest())
    written = b"".join(pieces)
    assert b"\n".join(line.text.encode("utf-8", "surrogateescape") for line in lines) == written.removesuffix(b"\n")


def test_a_line_has_the_time_of_its_first_byte() -> None:
    assembler = Assembler()
    assert fed(assembler, b"a\nbb\nc", at=1.0, marks=[[2, 2.0], [5, 3.0]]) == [(1.0, "a"), (2.0, "bb")]
    assert fed(assembler, b"c\nd\n", at=4.0, marks=[[1, 5.0]]) == [(3.0, "cc"), (5.0, "d")]


def test_streams_do_not_mix() -> None:
    assembler = Assembler()
    assert not list(assembler.feed(header(), b"out"))
    assert [w.text for w in assembler.feed({**header(), "stream": "stderr"}, b"err\n")] == ["err"]
    assert list(assembler.rest()) == [Written("shop/db", "stdout", 1.0, 1, "out")]


def test_lives_do_not_mix() -> None:
    assembler = Assembler()
    fed(assembler, b"cut short")
    assert fed(assembler, b"new\n", at=2.0, epoch=2) == [(1.0, "cut short"), (2.0, "new")]


def test_a_line_without_end_is_shown_in_parts() -> None:
    assembler = Assembler()
    shown = fed(assembler, b"x" * (2 * MAX_LINE + 5))
    assert [len(text) for _, text in shown] == [MAX_LINE, MAX_LINE]
    assert [len(line.text) for line in assembler.rest()] == [5]


def test_a_character_cut_in_two_is_one_again() -> None:
    assembler = Assembler()
    fed(assembler, "ü".encode()[:1])
    assert fed(assembler, "ü".encode()[1:] + b"\n") == [(1.0, "ü")]


def test_cursors() -> None:
    assert cursor_of(header(next=7)) == ("shop/db:stdout", 7)
    assert cursor_of(header()) is None
