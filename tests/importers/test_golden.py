"""Whole files of every format: the stack file that they become, what is told besides, and that it is valid.

Each folder of ``tests/golden/importers`` is imported as it lies there; ``HARNESS_UPDATE_GOLDEN=1`` writes the answers
anew.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.loading import load_stack
from harness_core.domain.protocol import StackSource
from harness_core.runtime.plugins import load_plugins
from tests.cli.kit import line

CORPUS = Path(__file__).parents[1] / "golden" / "importers"
CASES = sorted(path for path in CORPUS.iterdir() if path.is_dir())
ENV = {"HOME": "/home/me", "WEB_PORT": "18600", "DB_PASSWORD": "x", "TAG": "1"}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_what_becomes_of(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(case, folder, ignore=shutil.ignore_patterns("expected.*"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    ran = line(capfd, "import")
    assert ran.code == 0, ran.err
    for name, found in (("expected.yaml", ran.out), ("expected.err", ran.err)):
        if os.environ.get("HARNESS_UPDATE_GOLDEN"):
            (case / name).write_text(found)
        assert found == (case / name).read_text(), f"{case.name}/{name}: HARNESS_UPDATE_GOLDEN=1 writes it anew"

    options = {kind: plugin.options for kind, plugin in load_plugins().executors.items()}
    source = StackSource(text=ran.out, filename="harness.yaml", base_dir=str(folder), env=ENV)
    loaded = load_stack(source, options, read=lambda path: Path(path).read_bytes(), strict=True)
    assert loaded.diagnostics == []
