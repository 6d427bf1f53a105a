from __future__ import annotations

import os
import time
from pathlib import Path

from .conftest import Look


async def test_there_and_not_there(tmp_path: Path, look: Look) -> None:
    missing = await look({"file": "run/alive"}, base_dir=tmp_path)
    assert (missing.ok, missing.detail) == (False, "file run/alive is missing")
    (tmp_path / "alive").touch()
    assert (await look({"file": "alive"}, base_dir=tmp_path)).ok


async def test_the_working_directory_comes_first(tmp_path: Path, look: Look) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "alive").touch()
    assert (await look({"file": "alive"}, base_dir=tmp_path, working_dir=tmp_path / "work")).ok


async def test_a_heartbeat_that_has_stopped(tmp_path: Path, look: Look) -> None:
    file = tmp_path / "beat"
    file.touch()
    check = {"file": {"path": str(file), "max_age": "30s"}}
    assert (await look(check)).ok
    os.utime(file, (time.time() - 90, time.time() - 90))
    outcome = await look(check)
    assert outcome.ok is False
    assert outcome.detail.endswith("ago, at most 30 s are allowed")


async def test_a_file_touched_in_the_future_is_fresh(tmp_path: Path, look: Look) -> None:
    file = tmp_path / "beat"
    file.touch()
    os.utime(file, (time.time() + 3600, time.time() + 3600))
    assert (await look({"file": {"path": str(file), "max_age": "1s"}})).ok


async def test_paths_that_cannot_be_looked_at(tmp_path: Path, look: Look) -> None:
    (tmp_path / "plain").touch()
    for path in ("plain/below", "x" * 300, "a\0b"):
        outcome = await look({"file": path}, base_dir=tmp_path)
        assert outcome.ok is False
        assert "cannot be looked at" in outcome.detail
