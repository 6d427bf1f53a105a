"""What services write must not be able to drive the terminal of whoever reads it."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.cli.render.escape import escape, escape_line, strip_colours

SGR = re.compile(r"\x1b\[[0-9;:]*m")
#: text in which controls are as likely as letters
HOSTILE = st.lists(
    st.one_of(
        st.characters(),
        st.sampled_from([chr(c) for c in (*range(0x20), *range(0x7F, 0xA0))]),
        st.sampled_from(
            ["\x1b[31m", "\x1b[0m", "\x1b[2J", "\x1b]0;t\x07", "\x1b]8;;http://x\x1b\\", "\x9b31m", "\u202e"]
        ),
        st.text(alphabet="\x1b[]0123456789;:mJKH\r\n", max_size=8),
    )
).map("".join)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain text, tabs\tand ümläute", "plain text, tabs\tand ümläute"),
        ("\x1b]0;title\x07", "^[]0;title^G"),
        ("\x1b[2J\x1b[H", "^[[2J^[[H"),
        ("\x1b]52;c;aGk=\x07", "^[]52;c;aGk=^G"),
        ("\x1bPq\x1b\\", "^[Pq^[\\"),
        ("\x9b2J", "<U+009B>2J"),
        ("safe\u202etxt.exe", "safe<U+202E>txt.exe"),
        ("a\u2028b\ufeff", "a<U+2028>b<U+FEFF>"),
        ("over\rwritten", "over^Mwritten"),
        ("\x7f\x00", "^?^@"),
        (b"\xff\xfe".decode("utf-8", "surrogateescape"), "\\xff\\xfe"),
        ("\ud800", "<U+D800>"),
    ],
)
def test_controls_are_shown(written: str, shown: str) -> None:
    assert escape(written) == shown


def test_colours_are_kept_where_wanted_and_end_with_the_text() -> None:
    assert escape("\x1b[1;31mred", colours=True) == "\x1b[1;31mred\x1b[0m"
    assert escape("\x1b[1;31mred") == "red"
    assert escape("\x1b[38:2::255:0:0mtrue colour\x1b[m", colours=True).startswith("\x1b[38:2::255:0:0m")


def test_a_colour_that_is_none_is_shown() -> None:
    assert escape("\x1b[31;\x1b[0m", colours=True) == "^[[31;\x1b[0m\x1b[0m"
    assert escape("\x1b[>4m", colours=True) == "^[[>4m"
    assert escape("\x1b[" + "1;" * 500 + "m", colours=True).startswith("^[[")


def test_a_line_ends_where_it_ends() -> None:
    assert escape_line("windows\r") == "windows"
    assert escape_line("two\nlines\r\r") == "two^Jlines^M"


@given(HOSTILE, st.booleans())
@example("\x1b\x1b[0m[2J", True)
@example("\x1b[\x1b[0m31m", False)
def test_nothing_that_a_terminal_obeys_is_left(text: str, colours: bool) -> None:
    escaped = escape(text, colours=colours)
    rest = SGR.sub("", escaped) if colours else escaped
    for character in rest:
        assert character in "\t\n" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp"), repr(character)
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
    escaped.encode()


@given(HOSTILE)
def test_escaping_again_changes_nothing(text: str) -> None:
    once = escape(text)
    assert escape(once) == once


@given(HOSTILE)
def test_a_line_stays_one_line(text: str) -> None:
    assert len(escape_line(text, colours=True).splitlines()) <= 1


@given(st.text(alphabet=st.characters(blacklist_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Cn"])))
def test_ordinary_text_is_untouched(text: str) -> None:
    assert escape(text, colours=True) == text


@given(HOSTILE)
def test_no_colour_survives_stripping(text: str) -> None:
    assert "\x1b" not in strip_colours(escape(text, colours=True))
