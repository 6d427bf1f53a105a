from __future__ import annotations

import pytest

from harness_core.domain.diagnostics import Diagnostics
from harness_core.domain.yamlscalar import MAX_DIGITS, Scalar
from harness_core.domain.yamltree import read_tree


def read(text: str) -> tuple[Scalar, list[str]]:
    d = Diagnostics("a.yaml")
    tree = read_tree(f"- {text}\n", d)
    assert tree is not None
    node = tree.find((0,))
    assert node is not None
    assert node.scalar is not None
    return node.scalar, [x["code"] for x in d.report()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.10", 1.1),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("'true'", "true"),
        ('"1"', "1"),
        ("2026-01-01", "2026-01-01"),
        ("1.2.3", "1.2.3"),
        ("!!str 5", "5"),
        ("! 5", "5"),
        ("!!int 5", 5),
        ("!!float 5", 5),
        ("!!bool true", True),
        ("!!null ~", None),
    ],
)
def test_values_by_the_rules_of_yaml_1_2(text: str, value: object) -> None:
    scalar, findings = read(text)
    assert scalar.value == value
    assert type(scalar.value) is type(value)
    assert findings == []


@pytest.mark.parametrize("text", ["yes", "No", "ON", "off", "22:22", "-1:30", "017", "-01", "1_000", "0b11", "00"])
def test_what_other_tools_read_otherwise_is_text_with_a_warning(text: str) -> None:
    assert read(text) == (Scalar(text, text, True), ["yaml-1.1"])
    assert read(f"'{text}'") == (Scalar(text, text), [])


@pytest.mark.parametrize("text", ["08:30:00x", "ono", "1.0.0", "0", "y", "n"])
def test_what_no_tool_reads_otherwise_has_no_warning(text: str) -> None:
    assert read(text)[1] == []


def test_the_text_is_kept_as_written() -> None:
    assert read("1.10")[0].text == "1.10"
    assert read("0x1F")[0].text == "0x1F"


@pytest.mark.parametrize("text", ["9" * (MAX_DIGITS + 1), "0x" + "f" * MAX_DIGITS, "-" + "1" * 5000])
def test_a_huge_number_is_an_error_and_stays_text(text: str) -> None:
    scalar, findings = read(text)
    assert scalar.value == text
    assert findings == ["huge-number"]


@pytest.mark.parametrize("text", ["!!int x", "!!bool 1", "!!null x", "!!int true"])
def test_a_tag_that_does_not_fit_is_an_error(text: str) -> None:
    assert read(text)[1] == ["bad-tag"]


@pytest.mark.parametrize("text", ["!!binary aGk=", "!!timestamp 2026-01-01", "!mine x", "!!python/none x"])
def test_other_tags_are_refused(text: str) -> None:
    assert read(text)[1] == ["unsafe-tag"]
