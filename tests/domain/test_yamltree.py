from __future__ import annotations

import time
from typing import Any

import pytest

from harness_core.domain.diagnostics import Diagnostics, Place
from harness_core.domain.yamltree import MAX_ALIASES, MAX_DEPTH, Tree, read_tree


def read(source: str | bytes) -> tuple[Tree | None, list[str]]:
    d = Diagnostics("a.yaml")
    tree = read_tree(source, d)
    return tree, [f"{x['line']}:{x['column']} {x['code']}" for x in d.report()]


def data(text: str) -> Any:
    tree, findings = read(text)
    assert tree is not None
    assert findings == []
    return tree.root.data()


def test_nested_values() -> None:
    assert data("a: 1\nb:\n  - x\n  - {c: true}\n") == {"a": 1, "b": ["x", {"c": True}]}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "~"])
def test_a_file_without_a_value_is_none(text: str) -> None:
    assert data(text) is None


def test_keys_are_text_as_written() -> None:
    assert data("8080: a\non: b\ntrue: c\n~: d\n'22:22': e\n") == {
        "8080": "a",
        "on": "b",
        "true": "c",
        "~": "d",
        "22:22": "e",
    }


def test_every_key_and_value_knows_its_place() -> None:
    tree, _ = read("a: 1\nlist:\n  - x\n  - {b: 'q'}\ntext: |\n  one\n  two\n")
    assert tree is not None
    assert tree.marks(("a",)).key == Place(1, 1, 2)
    assert tree.marks(("a",)).value == Place(1, 4, 5)
    assert tree.marks(("list", 1)).key is None
    assert tree.marks(("list", 1)).value == Place(4, 5, 13)
    assert tree.marks(("list", 1, "b")).key == Place(4, 6, 7)
    assert tree.marks(("list", 1, "b")).value == Place(4, 9, 12)
    assert tree.marks(("text",)).value == Place(5, 7, 8)
    text = tree.find(("text",))
    assert text is not None
    assert text.last_line >= 7


def test_a_path_that_leads_nowhere_is_marked_at_its_nearest_ancestor() -> None:
    tree, _ = read("a:\n  b: [1]\n")
    assert tree is not None
    assert tree.marks(("a", "b", 9, "z")) == tree.marks(("a", "b"))
    assert tree.marks(("a", 0)) == tree.marks(("a",))
    assert tree.find(("a", "z", "y")) is None
    assert tree.find(("a", "b", -1)) is None


def test_an_alias_repeats_a_value() -> None:
    assert data("a: &x [1, 2]\nb: *x\nc: &y v\nd: *y\n") == {"a": [1, 2], "b": [1, 2], "c": "v", "d": "v"}


def test_merge_keys_give_what_is_not_given() -> None:
    text = "base: &b {a: 1, b: 1}\nmore: &m {b: 2, c: 2}\nx:\n  <<: [*b, *m]\n  a: 0\ny: {<<: *m}\n"
    values = data(text)
    assert values["x"] == {"a": 0, "b": 1, "c": 2}
    assert values["y"] == {"b": 2, "c": 2}


def test_a_merge_of_something_else_is_refused() -> None:
    assert read("a: {<<: 5}\n")[1] == ["1:5 bad-merge"]
    assert read("b: &b [x]\na: {<<: *b}\n")[1] == ["2:5 bad-merge"]


def test_a_key_given_twice_is_an_error_at_the_second_and_reading_goes_on() -> None:
    d = Diagnostics("a.yaml")
    tree = read_tree("a: 1\nb: 2\na: 3\nb: 4\n", d)
    assert [(x["line"], x["notes"]) for x in d.report()] == [
        (3, ["the first one is in line 1"]),
        (4, ["the first one is in line 2"]),
    ]
    assert tree is not None
    assert tree.root.data() == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("--- 1\n--- 2\n", "2:1 one-document"),
        ("a: *x", "1:4 unknown-alias"),
        ("a: &x [*x]", "1:8 recursive-alias"),
        ("a: &x {b: *x}", "1:11 recursive-alias"),
        ("? [a]\n: b", "1:3 bad-key"),
        ("a: !!python/object:os.system x", "1:4 unsafe-tag"),
        ("a: !!set {x}", "1:4 unsafe-tag"),
        ("a: !mine [x]", "1:4 unsafe-tag"),
        ("!!python/name:a b: c", "1:1 unsafe-tag"),
    ],
)
def test_refused(text: str, finding: str) -> None:
    assert read(text)[1] == [finding]


def test_collections_may_be_tagged_as_what_they_are() -> None:
    assert data("a: !!map {b: 1}\nc: !!seq [1]\n") == {"a": {"b": 1}, "c": [1]}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_depth_is_bounded(opening: str) -> None:
    tree, findings = read(opening * (MAX_DEPTH + 1))
    assert tree is None
    assert findings == [f"1:{len(opening) * MAX_DEPTH + 1} too-deep"]


def test_depth_through_aliases_is_bounded() -> None:
    half = MAX_DEPTH // 2
    text = f"a: &x {'[' * half}1{']' * half}\nb: {'[' * half}*x{']' * half}\n"
    tree, findings = read(text)
    assert tree is None
    assert findings == [f"2:{4 + half} too-deep"]
    assert read(f"a: &x {'[' * half}1{']' * half}\nb: {'[' * (half - 2)}*x{']' * (half - 2)}\n")[1] == []


def test_aliases_are_bounded() -> None:
    assert read(f"a: &x 1\nb: [{', '.join(['*x'] * MAX_ALIASES)}]\n")[1] == []
    assert read(f"a: &x 1\nb: [{', '.join(['*x'] * (MAX_ALIASES + 1))}]\n")[1] == ["2:405 too-many-aliases"]


def _bomb(line: str) -> str:
    return "a0: &a0 {k: v}\n" + "".join(line.format(n=n, m=n - 1) for n in range(1, 25))


@pytest.mark.parametrize(
    "text",
    [
        _bomb("a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}]\n"),
        _bomb("a{n}: &a{n} {{<<: [*a{m}, *a{m}], k{n}: 1}}\n"),
        "[" + "a," * 120_000 + "]",
        "[" * 500_000,
        "{" * 500_000,
        "- " * 400_000,
        "? " * 400_000,
        "a: " + "9" * 500_000,
        "&a " * 1000,
        "!" * 100_000,
        "'" * 100_001,
        "x" * (1 << 20),
        "\n" * (1 << 20),
    ],
    ids=[
        "aliases",
        "merge",
        "list",
        "brackets",
        "braces",
        "dashes",
        "keys",
        "digits",
        "anchors",
        "tags",
        "quotes",
        "x",
        "nl",
    ],
)
def test_bombs_end_in_a_finding_soon(text: str) -> None:
    before = time.process_time()
    read(text)
    assert time.process_time() - before < 3


def test_too_many_values() -> None:
    assert read("[" + "a," * 120_000 + "]")[1] == ["1:200000 too-many-nodes"]
