"""Units are checked against each other even where one of them is broken."""

from __future__ import annotations

from tests.domain.stackkit import found


def test_a_dependency_on_a_broken_unit_adds_no_finding_of_its_own() -> None:
    text = """name: shop
services:
  db:
    target: {type: process, binary: db}
    restart: sometimes
  api:
    target: {type: process, binary: api}
    dependencies: [{service: db, condition: healthy}]
"""
    assert found(text) == ["5:14 wrong-value"]
