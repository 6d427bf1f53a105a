"""The journal of a project's output: whatever moment a daemon dies at, the log is made whole by the next one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from executors.compose.journal import Journal
from executors.compose.logs import ProjectLog
from harness_core.domain.executor import Marker
from harness_core.domain.spec import LogsSpec
from harness_core.testing.logs import FileLogSink, read_stream

MARKS = {"c1": {"stdout": ("2026-01-01T00:00:00.000000001Z", 2)}}


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def log_of(folder: Path, epoch: int, pool: ThreadPoolExecutor) -> ProjectLog:
    sink = FileLogSink(folder / "logs")
    return ProjectLog(None, Marker("s", "n", epoch), folder / "j.log", sink, LogsSpec(), pool)  # type: ignore[arg-type]


def stored(folder: Path) -> bytes:
    return read_stream(FileLogSink(folder / "logs").directory("s/n"), "stdout")


@pytest.mark.parametrize("already", [b"", b"web-1 | ha", b"web-1 | half\n"])
def test_what_was_about_to_be_stored_is_stored_once(tmp_path: Path, pool: ThreadPoolExecutor, already: bytes) -> None:
    first = log_of(tmp_path, 1, pool)
    first._append(first._writers["stdout"], b"web-1 | before\n")
    offsets = {"stdout": 15, "stderr": 0}
    Journal(tmp_path / "j.log", 1, MARKS, 5, offsets, {"stdout": b"web-1 | half\n", "stderr": b""}).write()
    first._append(first._writers["stdout"], already)
    first._close()

    for _ in range(2):  # a second daemon may die as well
        later = log_of(tmp_path, 1, pool)
        assert later._known().marks == MARKS
        later._close()
        assert stored(tmp_path) == b"web-1 | before\nweb-1 | half\n"


def test_a_new_life_goes_on_behind_the_old_one(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    Journal(tmp_path / "j.log", 1, MARKS, 5, {"stdout": 0, "stderr": 0}, {"stdout": b"old\n", "stderr": b""}).write()
    later = log_of(tmp_path, 2, pool)
    known = later._known()
    later._close()
    assert stored(tmp_path) == b"old\n"
    assert (known.epoch, known.marks, known.data) == (2, {}, {})


def test_a_damaged_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "j.log"
    assert Journal.read(path, 3) == Journal(path, 3)
    for text in ("", "{", '{"epoch": 1}', '{"epoch": 1, "marks": 7, "offsets": {}, "sizes": [], "clock": 0}\n'):
        path.write_text(text)
        assert Journal.read(path, 3) == Journal(path, 3)
