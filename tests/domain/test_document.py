from __future__ import annotations

import pytest

from harness_core.domain.diagnostics import Diagnostics, Place
from harness_core.domain.document import Document, dotted
from harness_core.domain.yamltree import Path, read_tree


def document(text: str, **env: str) -> Document:
    diagnostics = Diagnostics("a.yaml")
    tree = read_tree(text, diagnostics)
    assert tree is not None
    made = Document(tree, diagnostics)
    made.put_in_variables(env)
    return made


@pytest.mark.parametrize(("path", "text"), [((), "the file"), (("a",), "a"), (("a", 2, "b"), "a[2].b"), ((1,), "[1]")])
def test_paths_as_people_write_them(path: Path, text: str) -> None:
    assert dotted(path) == text


def test_variables_are_put_in_and_can_be_hidden_again() -> None:
    doc = document("a: {b: ['x${LONG}', '${S}']}\nc: plain\n", LONG="a-long-value", S="s")
    assert doc.data == {"a": {"b": ["xa-long-value", "s"]}, "c": "plain"}
    assert doc.mask(("a", "b", 0), "it is xa-long-value") == "it is x${LONG}"
    assert doc.mask(("a",), "it is a-long-value") == "it is ${LONG}"
    assert doc.mask(("c",), "it is a-long-value") == "it is a-long-value"
    assert doc.written(("a", "b", 0), "xa-long-value") == "'x${LONG}'"
    assert doc.written(("z",), "y" * 100) == f"'{'y' * 80}…'"


def test_values_that_are_not_there_are_none() -> None:
    doc = document("a: [1]\n")
    assert [doc.value(path) for path in (("b",), ("a", 5), ("a", "x"), ("a", 0, "y"))] == [None] * 4


def test_references_to_units_with_their_paths() -> None:
    doc = document("a: ['${db.host}', '${', 5, {b: '${UNSET}${x.url}'}]\nc: '${y.ip}'\n")
    assert [(path, str(reference)) for path, reference in doc.unit_references(())] == [
        (("a", 0), "${db.host}"),
        (("c",), "${y.ip}"),
    ]
    assert doc.unresolved == {("a", 1), ("a", 3, "b")}


def test_a_part_of_a_scalar_is_found_where_it_stands() -> None:
    doc = document('a: "x ${b.c}"\nt: |\n  one\n  two ${d.e}\nh: "\\x24{f.g}"\n')
    assert doc.place_of_text(("a",), "${b.c}") == Place(1, 7, 13)
    assert doc.place_of_text(("t",), "${d.e}") == Place(4, 7, 13)
    assert doc.place_of_text(("h",), "${f.g}") == Place(5, 4, 15)
    assert doc.place_of_text(("a",), "") == doc.place_of_value(("a",))
    assert doc.place_of_text(("z",), "x") == doc.place_of_value(("z",))


@pytest.mark.parametrize(
    ("text", "location", "path"),
    [
        ("a: {b: 1}", ("a", "b", "int"), ("a", "b")),
        ("a: {b: 1}", ("a", "Model", "b"), ("a", "b")),
        ("a: short", ("a", "policy"), ("a",)),
        ("a: {x: 1, y: 2}", ("a", 1, "name"), ("a", "y")),
        ("a: {x: 1}", ("a", 5), ("a",)),
        ("a: [[1], 80, auto]", ("a", "80", "port"), ("a", 1)),
        ("a: [[1], 80, auto]", ("a", "port2"), ("a", 2)),
        ("a: [80]", ("a", "81"), ("a",)),
    ],
)
def test_locations_of_models_lead_into_the_file(text: str, location: tuple[str | int, ...], path: Path) -> None:
    assert document(text).trace((), location) == path
