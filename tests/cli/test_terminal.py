from __future__ import annotations

import io
import os
import pty

import pytest

from harness.cli.terminal import Output, style_of


class Screen(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("color", "environ", "terminal", "coloured"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, False, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colours(color: str, environ: dict[str, str], terminal: bool, coloured: bool) -> None:
    stream = Screen() if terminal else io.StringIO()
    assert style_of(stream, color, environ).colour is coloured


@pytest.mark.parametrize(
    ("encoding", "environ", "unicode"),
    [
        ("utf-8", {}, True),
        ("utf-8", {"LANG": "de_DE.UTF-8"}, True),
        ("utf-8", {"LANG": "ca_ES.utf8@valencia"}, True),
        ("utf-8", {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, False),
        ("utf-8", {"LC_ALL": "POSIX"}, False),
        ("utf-8", {"LANG": "de_DE.ISO-8859-1"}, False),
        ("ascii", {"LANG": "C.UTF-8"}, False),
    ],
)
def test_letters_beyond_ascii(encoding: str, environ: dict[str, str], unicode: bool) -> None:
    assert style_of(Screen(encoding), "auto", environ).unicode is unicode


def test_width_is_that_of_the_terminal_or_unbounded() -> None:
    assert style_of(io.StringIO(), "auto", {"COLUMNS": "50"}).width == 0
    assert style_of(Screen(), "auto", {"COLUMNS": "50"}).width == 50
    assert style_of(Screen(), "auto", {"COLUMNS": "wide"}).width == 80
    master, slave = pty.openpty()
    os.close(master)
    with open(slave, "w", encoding="utf-8") as stream:
        assert style_of(stream, "auto", {}).width in (0, 80)


def test_a_closed_stream_is_no_terminal() -> None:
    stream = io.StringIO()
    stream.close()
    assert style_of(stream, "auto", {}).terminal is False


def test_bytes_come_behind_the_text_that_was_written_before() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    output = Output(stream, style_of(stream, "auto", {}))
    stream.write("before ")
    output.bytes(b"\xff")
    output.line("after")
    assert stream.buffer.getvalue() == b"before \xffafter\n"  # type: ignore[attr-defined]
