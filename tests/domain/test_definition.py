"""What a stack knows of its secrets."""

from __future__ import annotations

from harness_core.domain.definition import StackDefinition
from tests.domain.stackkit import good

TEXT = """
name: shop
settings: {env: {SHARED_TOKEN: shared-secret-1}}
services:
  a:
    target: {type: process, binary: x, args: ["${LOGIN_PASSWORD}", "${MODE}"], env: {API_KEY: "own-secret-22"}}
"""


def test_a_stack_knows_the_values_of_its_secrets_the_longest_first() -> None:
    stack = good(
        TEXT, env={"LOGIN_PASSWORD": "hunter2-hunter2", "MODE": "not-a-secret-9", "OTHER_TOKEN": "unused-secret-3"}
    )
    outputs = {"shop/t": {"GIVEN_TOKEN": "given-secret-4444", "NAME": "not-a-secret-5"}}
    assert stack.hidden(outputs) == ["given-secret-4444", "hunter2-hunter2", "shared-secret-1", "own-secret-22"]


def test_it_still_knows_them_when_it_comes_back_from_the_registry() -> None:
    stack = good(TEXT, env={"LOGIN_PASSWORD": "hunter2-hunter2", "MODE": "fast"})
    again = StackDefinition.model_validate_json(stack.model_dump_json())
    assert again == stack
    assert "hunter2-hunter2" in again.hidden()
