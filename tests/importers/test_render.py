"""What is written is read back as it was, whatever it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.importers.draft import Block, Draft
from harness.importers.items import read_yaml
from harness.importers.render import render, scalar

#: what cannot stand in a file at all is no text of one
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)
SCALARS = st.one_of(TEXT, st.booleans(), st.integers(-(10**9), 10**9), st.floats(0, 1000).map(lambda x: round(x, 3)))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4),
        st.dictionaries(TEXT.filter(lambda key: key not in ("", "<<")), inner, min_size=1, max_size=4),
    ),
    max_leaves=12,
)


@given(VALUES)
def test_values_come_back(value: Any) -> None:
    draft = Draft("shop", ["a remark that is long enough to be broken into more lines than one " * 3])
    draft.services["a"] = Block(target=value)
    draft.remark("a", "remarks\nare one line: #, ' and \" included")
    assert read_yaml("x", render(draft, "s")).plain()["services"]["a"]["target"] == value


@given(TEXT)
def test_texts_come_back_inside_of_brackets(text: str) -> None:
    assert read_yaml("x", f"[{scalar(text, True)}]\n").plain() == [text]


SPECIAL = [
    *("no", "on", "1", "1.0", "22:22", "0755", "~", "null", "-", "?", "*a", "&a", "!a", "%a", "@a", "`a", "{a", "[a"),
    *("2001-01-01", "1e3", ".5", "0x1f", "=", "<<", "a:", "${X}", "---", "...", "#a", "", " a", "a ", "a: b", "a #b"),
]


@pytest.mark.parametrize("text", SPECIAL)
def test_texts_that_mean_something_else_are_quoted(text: str) -> None:
    item = read_yaml("x", f"a: {scalar(text)}\nb: [{scalar(text, True)}]\n")
    assert item.plain() == {"a": text, "b": [text]}


@pytest.mark.parametrize("text", ["postgres:16", "./data:/data", "30s", "512MiB", "a-b_c.d", "/bin/sh", "it's", "a=b"])
def test_harmless_texts_are_not(text: str) -> None:
    assert scalar(text) == text


def test_a_script_stays_readable() -> None:
    draft = Draft("shop")
    draft.services["a"] = Block(target=Block(type="process", shell="set -e\n\nexec ./serve"))
    assert "      shell: |-\n        set -e\n\n        exec ./serve\n" in render(draft, "s")
