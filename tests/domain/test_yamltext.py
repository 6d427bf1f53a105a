from __future__ import annotations

import pytest
import yaml

from harness_core.domain.diagnostics import Diagnostics
from harness_core.domain.protocol import Diagnostic
from harness_core.domain.yamltext import MAX_BYTES, decode, explain
from harness_core.domain.yamltree import read_tree


def only(source: str | bytes) -> Diagnostic:
    d = Diagnostics("a.yaml")
    assert read_tree(source, d) is None
    (finding,) = d.report()
    return finding


def test_clean_text_is_given_on() -> None:
    d = Diagnostics("a.yaml")
    assert decode("ä: ✓\r\n".encode(), d) == "ä: ✓\r\n"
    assert decode("a: 😀", d) == "a: 😀"
    assert d.line(1) == "a: 😀"


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        (b"\xef\xbb\xbfa: 1", "not-utf8", "begins with a byte order mark (offset 0)"),
        ("a: 1".encode("utf-16"), "not-utf8", "begins with UTF-16 (offset 0)"),
        (b"\xfe\xff\0a", "not-utf8", "begins with UTF-16 (offset 0)"),
        ("\ufeffa: 1", "not-utf8", "begins with a byte order mark (offset 0)"),
        (b"ab\xc3(", "not-utf8", "wrong byte at offset 2"),
        ("ab\ud800", "not-utf8", "wrong byte at offset 2"),
        (b"a: 1\nb: \0", "control-character", "a NUL character cannot stand in the file (offset 8)"),
        ("ä: \x07", "control-character", "the control character U+0007 cannot stand in the file (offset 4)"),
        ("a: \x9f", "control-character", "U+009F"),
        (b"x" * (MAX_BYTES + 1), "too-large", "larger than 1 MiB (1,048,577 bytes)"),
        ("ä" * (MAX_BYTES // 2 + 1), "too-large", "larger than 1 MiB"),
    ],
)
def test_what_is_not_clean_utf8_is_named_with_its_offset(source: str | bytes, code: str, words: str) -> None:
    finding = only(source)
    assert finding["code"] == code
    assert words in finding["message"]


def test_a_control_character_is_pointed_at() -> None:
    finding = only("a: 1\nbcd: \x01\n")
    assert (finding["line"], finding["column"], finding["end_column"]) == (2, 6, 7)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: b: c", (1, 5), "a ':' cannot stand here"),
        ("a:\n\tb: 1", (2, 1), "a tab cannot stand here: use spaces"),
        ("a: 1\n  b: 2", (2, 4), "a ':' cannot stand here"),
        ("a: @x", (1, 4), "'@' cannot begin a value: quote it"),
        ("a: 'x", (1, 4), "the quote that begins here is never closed"),
        ('a: "\\q"', (1, 5), "this escape is not known"),
        ("a: [1, 2\nb: 3", (2, 2), "a ',' or the closing ']' is missing"),
        ("a: {b: 1\nc: 3", (2, 2), "a ',' or the closing '}' is missing"),
        ("a: 1\nb", (3, 1), "a ':' is missing after this key"),
        ("- a\nb: 1", (2, 1), "a '- ' was expected here"),
        ("a: 1\n- b", (2, 1), "a key was expected here"),
        ("'a' 'b'", (1, 5), "this does not belong to the document"),
        ("%YAML 9.9\n---\n", (1, 1), "found incompatible YAML document"),
    ],
)
def test_the_parser_speaks_plainly(text: str, place: tuple[int, int], words: str) -> None:
    finding = only(text)
    assert finding["code"] == "bad-yaml"
    assert words in finding["message"], finding
    assert (finding["line"], finding["column"]) == place


def test_where_a_broken_part_began_is_noted() -> None:
    assert only("a: [1,\n 2\nb: 3")["notes"] == ["it belongs to what begins in line 1"]


def test_unquoted_references_in_braces_are_explained() -> None:
    assert only("a: {b: ${X}}")["notes"] == ["inside {…} and […], a text with ${…} needs quotes"]


def test_an_error_without_a_place_is_told_at_the_top() -> None:
    d = Diagnostics("a.yaml")
    explain(yaml.YAMLError("odd"), d)
    assert [(x["line"], x["message"]) for x in d.report()] == [(1, "the file is not YAML: odd")]
