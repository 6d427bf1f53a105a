from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field, RootModel, ValidationError, field_validator

from harness_core.domain.complaints import complain, keys_at
from harness_core.domain.diagnostics import Diagnostics
from harness_core.domain.document import Document
from harness_core.domain.spec import StackFile
from harness_core.domain.yamltree import read_tree


class Part(BaseModel):
    size: int = Field(gt=0, lt=10, default=1)
    name: str = Field(min_length=2, max_length=3, pattern="^[a-z]*$", default="ab")
    alias: int = Field(alias="other", default=0)
    words: tuple[str, ...] = ()
    odd: bool = False

    @field_validator("odd")
    @classmethod
    def _never(cls, value: bool) -> bool:
        assert not value, "must be even"
        return value


def said(model: type[BaseModel], text: str) -> list[str]:
    diagnostics = Diagnostics("a.yaml")
    tree = read_tree(text, diagnostics)
    assert tree is not None
    document = Document(tree, diagnostics)
    try:
        model.model_validate(document.data)
    except ValidationError as error:
        complain(document, (), model, error.errors())
    return [finding["message"] for finding in diagnostics.report()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: 0", "'size' must be more than 0"),
        ("size: 10", "'size' must be less than 10"),
        ("name: a", "'name': must have at least 2 characters"),
        ("name: abcd", "'name': must have at most 3 characters"),
        ("name: ABC", "'name': must match pattern '^[a-z]*$'"),
        ("other: x", "'other' must be a whole number"),
        ("words: 5", "'words' must be a list"),
        ("words: [[]]", "item 1 of 'words' must be text"),
        ("odd: true", "'odd': must be even"),
    ],
)
def test_wrong_values_in_plain_words(text: str, message: str) -> None:
    assert said(Part, text) == [message]


def test_a_whole_file_of_the_wrong_shape() -> None:
    assert said(RootModel[list[int]], "a: 1") == ["the file must be a list"]


@pytest.mark.parametrize(
    ("location", "known"),
    [
        ((), ["name", "description", "settings", "services", "tasks", "hosts"]),
        (("services", "a", "ports", "http"), ["port", "scheme"]),
        (("services", "a", "health_check", "http"), ["path", "port", "status", "headers", "body", "verify_tls"]),
        (("services", "a", "dependencies", 0), ["service", "task", "condition", "required", "restart"]),
        (("services", "a", "health_check", "any", 0, "file"), ["path", "max_age"]),
        (("hosts", "a"), ["address", "port", "user", "identity_file", "known_hosts", "jump", "labels"]),
    ],
)
def test_known_keys_are_found_along_the_annotations(location: Any, known: list[str]) -> None:
    assert keys_at(StackFile, location) == known


def test_keys_go_by_their_alias() -> None:
    assert keys_at(Part, ()) == ["size", "name", "other", "words", "odd"]
