from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_core.domain.references import BadReference, UnitReference, UnresolvedReference
from harness_core.domain.substitution import Found, MissingVariable, find, resolve, substitute_environment


def put(value: object, **env: str) -> object:
    result, missing = substitute_environment(value, env)
    assert missing == []
    return result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${SET}", "v"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", "d"),
        ("${UNSET:-d}", "d"),
        ("${UNSET:-}", ""),
        ("${SET:-d}", "v"),
        ("${SET:?m}", "v"),
        ("a-${SET}-${SET}", "a-v-v"),
        ("${UNSET:-${EMPTY:-${SET}}}", "v"),
        ("${UNSET:-${db.port}}", "${db.port}"),
        ("$${SET}", "$${SET}"),
        ("${db.host}:${SET}", "${db.host}:v"),
    ],
)
def test_variables(text: str, result: str) -> None:
    assert put(text, SET="v", EMPTY="") == result


def test_everywhere_a_string_stands() -> None:
    value = {"a": ["${X}", {"b": "${X}"}, 5, None, True], "${X}": ("${X}",)}
    assert put(value, X="1") == {"a": ["1", {"b": "1"}, 5, None, True], "${X}": ["1"]}


def test_all_missing_variables_are_named_with_their_place() -> None:
    value, missing = substitute_environment(
        {"a": "x${A}${B:?why}", "b": ["${C:-${D}}"], "c": "${E}"}, {"E": "1", "B": ""}
    )
    assert missing == [
        MissingVariable(("a",), "A", None, 1, 5),
        MissingVariable(("a",), "B", "why", 5, 14),
        MissingVariable(("b", 0), "D", None, 5, 9),
    ]
    assert value == {"a": "x${A}${B:?why}", "b": ["${C:-${D}}"], "c": "1"}


def test_a_value_that_looks_like_a_reference_is_never_read_as_one() -> None:
    template = put("${X}${db.port}{${X}", X="${db.port}$")
    assert resolve(template, lambda unit, attribute: "5432") == "${db.port}$5432{${db.port}$"


def test_a_mistake_is_passed_on() -> None:
    with pytest.raises(BadReference):
        substitute_environment(["${"], {})
    with pytest.raises(BadReference):
        find({"a": "${"})


def test_references_are_found_with_the_path_of_their_string() -> None:
    found = find({"a": ["x", "y${db.port}"], "b": 5, "c": {"d": "${self.url}"}})
    assert found == [
        Found(("a", 1), UnitReference("db", "port", 1, 11)),
        Found(("c", "d"), UnitReference("self", "url", 0, 11)),
    ]


def test_units_give_their_values() -> None:
    def lookup(unit: str, attribute: str) -> str:
        return f"<{unit}|{attribute}>"

    value = {"args": ["--db=${db.ports.pg}", "$${literal}"], "n": 1}
    assert resolve(value, lookup) == {"args": ["--db=<db|ports.pg>", "${literal}"], "n": 1}


def test_everything_that_is_missing_is_named_in_one_error() -> None:
    def lookup(unit: str, attribute: str) -> str:
        raise UnresolvedReference(f"{unit} has no {attribute} yet")

    with pytest.raises(UnresolvedReference) as caught:
        resolve(["${a.port}", "${b.url} ${a.port}", "${VAR}"], lookup)
    assert caught.value.message == "a has no port yet; b has no url yet; variable VAR is not set"
    assert caught.value.hint


@given(st.dictionaries(st.sampled_from(["A", "B", "C"]), st.text(alphabet="${}abAB.:-", max_size=8), min_size=3))
def test_values_come_out_as_they_went_in(env: dict[str, str]) -> None:
    value, missing = substitute_environment("[${A}|$${x}|${db.host}${B}|${C}{]", env)
    assert missing == []
    assert resolve(value, lambda unit, attribute: "$H") == f"[{env['A']}|${{x}}|$H{env['B']}|{env['C']}{{]"
