from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_core.domain.references import (
    MAX_NESTING,
    BadReference,
    EnvReference,
    Template,
    UnitReference,
    escape,
    holds_reference,
    parse,
    variables_in,
    write,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("$HOME and $$ and {x}", ("$HOME and $$ and {x}",)),
        ("${A}", (EnvReference("A", start=0, end=4),)),
        ("x${A}y", ("x", EnvReference("A", start=1, end=5), "y")),
        ("${A:-}", (EnvReference("A", Template(()), start=0, end=6),)),
        ("${A:-b c}", (EnvReference("A", Template(("b c",)), start=0, end=9),)),
        ("${A:?set it}", (EnvReference("A", None, "set it", 0, 12),)),
        ("${db.host}", (UnitReference("db", "host", 0, 10),)),
        ("${my-db.port}", (UnitReference("my-db", "port", 0, 13),)),
        ("${a.b.url}", (UnitReference("a.b", "url", 0, 10),)),
        ("${db.ports.http-2}", (UnitReference("db", "ports.http-2", 0, 18),)),
        ("${self.ip}", (UnitReference("self", "ip", 0, 10),)),
        ("${migrate.REVISION}", (UnitReference("migrate", "REVISION", 0, 19),)),
        ("$${A}", ("${A}",)),
        ("a$${", ("a${",)),
        ("$$${A}", ("$", EnvReference("A", start=2, end=6))),
        ("$$$${A}", ("$${A}",)),
    ],
)
def test_the_grammar(text: str, parts: tuple[object, ...]) -> None:
    assert parse(text).parts == parts


def test_a_default_may_hold_references_and_balanced_braces() -> None:
    inner = EnvReference("B", Template(("c",)), start=5, end=12)
    assert parse("${A:-${B:-c}}").parts == (EnvReference("A", Template((inner,)), start=0, end=13),)
    assert parse('${A:-{"k": {}}}').parts == (EnvReference("A", Template(('{"k": {}}',)), start=0, end=15),)
    assert parse("${A:-$${b}c}d").parts == (EnvReference("A", Template(("${b}c",)), start=0, end=12), "d")


def test_all_references_are_found_those_in_defaults_too() -> None:
    names = [r.name if isinstance(r, EnvReference) else str(r) for r in parse("${A:-${B}${c.url}} ${d.X}").references()]
    assert names == ["A", "B", "${c.url}", "${d.X}"]


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("x${A", (1, 3), "never closed"),
        ("${", (0, 2), "never closed"),
        ("${A:-b", (0, 2), "never closed"),
        ("${A:-${B:-c}", (0, 2), "never closed"),
        ("${A:-${B", (5, 7), "never closed"),
        ("${A:?m", (0, 2), "never closed"),
        ("${}", (0, 3), "without a name"),
        ("${1A}", (0, 5), "'1A' is not the name of a variable"),
        ("${my-db}", (0, 8), "ask for example ${my-db.host}"),
        ("${.x}", (0, 5), "is not a reference"),
        ("${a.}", (0, 5), "is not a reference"),
        ("${a.b-c}", (0, 8), "is not a reference"),
        ("${A-x}", (0, 6), "'A-x' is not the name of a variable"),
        ("${A:+x}", (0, 7), "write ${A:-default} or ${A:?message}"),
        ("${A?x}", (0, 6), "write ${A:-default}"),
        ("${A=x}", (0, 6), "write ${A:-default}"),
        ("${db.port:-1}", (0, 13), "only variables have one"),
        ("${1:-x}", (0, 7), "'1' is not the name"),
        ("${A b}", (0, 6), "' ' cannot stand in a reference"),
        ("${A\n", (0, 4), r"'\n' cannot stand"),
        ("${ä}", (0, 4), "'ä' cannot stand"),
    ],
)
def test_mistakes_are_named_with_their_place(text: str, span: tuple[int, int], words: str) -> None:
    with pytest.raises(BadReference) as caught:
        parse(text)
    assert (caught.value.start, caught.value.end) == span
    assert words in caught.value.message


def test_nesting_is_bounded() -> None:
    deep = "${A:-" * MAX_NESTING + "x" + "}" * MAX_NESTING
    assert len(list(parse(deep).references())) == MAX_NESTING
    with pytest.raises(BadReference, match="nested more than 16 deep"):
        parse("${A:-" + deep + "}")
    with pytest.raises(BadReference, match="nested more than 16 deep"):
        parse("${A:-" * 200_000)


@pytest.mark.parametrize(("text", "written"), [("a", "a"), ("${x}", "$${x}"), ("$$${", "$$$$$${"), ("$", "$")])
def test_escaping(text: str, written: str) -> None:
    assert escape(text) == written
    assert "".join(str(part) for part in parse(written).parts) == text


def test_what_holds_a_reference() -> None:
    assert holds_reference("a${b}")
    assert not holds_reference("a$b")
    assert not holds_reference(5)


def test_names_of_variables_are_gathered_without_parsing() -> None:
    text = "a: ${A} ${B:-${C}} ${D:?x} ${e.port} $${F} # ${G}\n${H"
    assert variables_in(text) == {"A", "B", "C", "D", "F", "G"}


# ── round trips ──────────────────────────────────────────────────────────────────────────────────────────────────────

literals = st.text(alphabet="$${}ab.\n:-", max_size=12)
units = st.builds(
    UnitReference,
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True),
    st.sampled_from(["host", "port", "url", "ip", "ports.http", "OUT_1"]),
).filter(lambda r: ".ports." not in f"{r.unit}." and not r.unit.endswith(".ports"))


@given(literals)
def test_an_escaped_text_means_itself(text: str) -> None:
    assert "".join(str(part) for part in parse(escape(text)).parts) == text


@given(st.lists(literals | units, max_size=8))
def test_what_is_written_is_read_back(parts: list[str | UnitReference]) -> None:
    def flat(values: list[object]) -> list[object]:
        joined: list[object] = []
        for value in values:
            if isinstance(value, UnitReference):
                joined.append((value.unit, value.attribute))
            elif joined and isinstance(joined[-1], str):
                joined[-1] += str(value)
            elif value:
                joined.append(value)
        return joined

    assert flat(list(parse(write(parts)).parts)) == flat(list(parts))


def template_text(template: Template) -> str:
    """A template in the spelling that people use."""
    text = ""
    for part in template.parts:
        if isinstance(part, EnvReference):
            default = "" if part.default is None else f":-{template_text(part.default)}"
            text += f"${{{part.name}{default}}}"
        else:
            text += str(part)
    return text


def without_places(template: Template) -> Template:
    def bare(part: str | EnvReference | UnitReference) -> str | EnvReference | UnitReference:
        if isinstance(part, EnvReference):
            return EnvReference(part.name, None if part.default is None else without_places(part.default), part.message)
        return UnitReference(part.unit, part.attribute) if isinstance(part, UnitReference) else part

    return Template(tuple(bare(part) for part in template.parts))


plain = st.text(alphabet="abc /:", min_size=1, max_size=6)
templates = st.recursive(
    st.builds(lambda text: Template((text,)), plain) | st.builds(lambda unit: Template((unit,)), units),
    lambda inner: st.builds(
        lambda name, default, tail: Template((EnvReference(name, default), tail)),
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True),
        inner | st.none(),
        plain,
    ),
    max_leaves=6,
)


@given(templates)
def test_nested_references_are_read_as_they_were_meant(template: Template) -> None:
    assert without_places(parse(template_text(template))) == template


@given(st.text(alphabet="${}:-?.aA1 ", max_size=40))
def test_any_text_parses_or_is_a_bad_reference_inside_it(text: str) -> None:
    with suppress(BadReference):
        parse(text)
        return
    with pytest.raises(BadReference) as caught:
        parse(text)
    assert 0 <= caught.value.start < caught.value.end <= len(text)
