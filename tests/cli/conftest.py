from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.cli.kit import Canned


class MakeDaemon(Protocol):
    def __call__(self, **handlers: Any) -> Canned: ...


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's daemon, contexts, settings or directory."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HARNESS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HARNESS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    """Makes a daemon with canned answers in this test's state directory."""
    with ExitStack() as stack:

        def make(**handlers: Any) -> Canned:
            return stack.enter_context(Canned(tmp_path / "state", **handlers))

        yield make
