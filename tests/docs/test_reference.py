"""The parts of the documents that are taken from the code are current."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _script()


@pytest.mark.parametrize("name", sorted(reference.PARTS))
def test_generated_parts_are_current(name: str) -> None:
    document, make = reference.PARTS[name]
    text = document.read_text(encoding="utf-8")
    assert reference.with_part(text, name, make()) == text, "run: python scripts/reference.py"


def test_every_key_of_a_stack_file_is_described() -> None:
    bare = [
        f"{model.__name__}.{name}"
        for model in reference.TABLES
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert bare == []
