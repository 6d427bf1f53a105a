from __future__ import annotations

import pytest

from harness_core.domain.diagnostics import (
    MAX_DIAGNOSTICS,
    Diagnostics,
    Place,
    did_you_mean,
    nearest,
    split_lines,
)


def test_findings_come_in_the_order_of_lines_with_their_source_line() -> None:
    d = Diagnostics("a.yaml", "one\ntwo\n")
    d.error("b", "second", Place(2, 1, 4), label="here", notes=["n"])
    d.warning("a", "first", Place(1, 2, 3))
    first, second = d.report()
    assert (first["severity"], first["text"], first["line"]) == ("warning", "one", 1)
    assert second == {
        "code": "b",
        "severity": "error",
        "message": "second",
        "file": "a.yaml",
        "line": 2,
        "column": 1,
        "end_column": 4,
        "text": "two",
        "label": "here",
        "notes": ["n"],
    }
    assert d.failed


def test_a_warning_is_no_failure_unless_strict() -> None:
    d = Diagnostics("a.yaml", "x")
    d.warning("w", "odd", Place(1, 1, 2))
    assert not d.failed
    assert [x["severity"] for x in d.report()] == ["warning"]
    assert [x["severity"] for x in d.report(strict=True)] == ["error"]


def test_the_same_finding_is_told_once() -> None:
    d = Diagnostics("a.yaml", "x")
    for _ in range(3):
        d.error("e", "same", Place(1, 1, 2))
    assert len(d.report()) == 1


def test_a_flood_is_cut_and_counted() -> None:
    d = Diagnostics("a.yaml")
    for n in range(MAX_DIAGNOSTICS + 7):
        d.error("e", f"{n}", Place(n + 1, 1, 2))
    report = d.report()
    assert len(report) == MAX_DIAGNOSTICS
    assert report[-1]["notes"] == ["7 more findings are not shown; mend these first"]


def test_lines_of_other_files_are_never_shown() -> None:
    d = Diagnostics("a.yaml", "secret")
    d.error("e", "bad", Place(1, 1, 2), file=".env")
    d.error("e", "own", Place(1, 1, 2))
    own, other = d.report()
    assert (own["file"], own["text"]) == ("a.yaml", "secret")
    assert (other["file"], other["text"]) == (".env", "")


def test_a_caret_does_not_run_over_a_cut_line() -> None:
    d = Diagnostics("a.yaml", "x" * 5000)
    d.error("e", "long", Place(1, 3, 5000))
    d.error("e", "far", Place(1, 4500, 4900))
    long, far = d.report()
    assert len(long["text"]) == 400
    assert long["end_column"] == 401
    assert far["end_column"] == 4501


def test_a_warning_can_be_withdrawn_but_not_an_error() -> None:
    d = Diagnostics("a.yaml", "x")
    d.warning("w", "odd", Place(1, 1, 2))
    d.warning("w", "odd too", Place(1, 2, 3))
    d.error("w", "bad", Place(1, 1, 2))
    d.withdraw("w", Place(1, 1, 2))
    assert [x["message"] for x in d.report()] == ["bad", "odd too"]


def test_lines_outside_the_text_are_empty() -> None:
    d = Diagnostics("a.yaml")
    d.set_text("one")
    assert (d.line(0), d.line(1), d.line(2)) == ("", "one", "")


def test_lines_break_where_yaml_breaks_them() -> None:
    assert split_lines("a\r\nb\rc\x85d\u2028e\u2029f\n") == ["a", "b", "c", "d", "e", "f", ""]


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("proces", ["process", "docker"], "process"),
        ("HTTP", ["http"], "http"),
        ("zzz", ["process"], None),
        ("", ["a"], None),
        ("x" * 81, ["x" * 80], None),
    ],
)
def test_the_nearest_word(word: str, known: list[str], meant: str | None) -> None:
    assert nearest(word, known) == meant
    assert did_you_mean(word, known) == (f"did you mean '{meant}'?" if meant else "")
