"""The diagram of the lifecycle in the documentation is the one that the exploration finds."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = str(ROOT / "scripts" / "lifecycle-diagram")
    loader = importlib.machinery.SourceFileLoader("lifecycle_diagram", path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


def test_the_diagram_in_the_documentation_is_up_to_date(script: ModuleType) -> None:
    assert script.main(["--check"]) == 0, "run scripts/lifecycle-diagram"


def test_a_stale_page_is_told(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "lifecycle.md"
    page.write_text(f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n")
    monkeypatch.setattr(script, "PAGE", page)
    monkeypatch.setattr(script, "explored_edges", lambda: [(script.Phase.WAITING, "wish", script.Phase.STARTING)])
    assert script.main(["--check"]) == 1
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
    text = page.read_text()
    assert "waiting --> starting: wish" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


def test_a_page_without_the_marks_is_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="marks of the diagram are missing"):
        script.with_diagram("no marks here", "drawn")


def test_every_cause_that_the_explorer_knows_has_a_kind(script: ModuleType) -> None:
    with pytest.raises(StopIteration):
        script.kind_of("something that nobody knows")
