"""The daemon's own log: one private file, text for people or JSON for machines, bounded."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.runtime import daemonlog
from harness_core.runtime.clock import SystemClock, boot_id
from harness_core.runtime.daemonlog import configure


@pytest.fixture(autouse=True)
def ordinary_logging() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = handlers, level


def test_text_says_when_how_bad_who_and_what(tmp_path: Path) -> None:
    configure(tmp_path / "daemon.log")
    logging.getLogger("harness.x").warning("port %d is taken \udcff", 80)
    logging.getLogger("harness.x").debug("not at this level")
    text = (tmp_path / "daemon.log").read_text()
    assert "WARNING harness.x: port 80 is taken \\udcff" in text
    assert text.count("\n") == 1


def test_json_is_one_object_a_line_with_the_traceback_in_it(tmp_path: Path) -> None:
    configure(tmp_path / "daemon.log", style="json", level="debug")
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        logging.getLogger("harness.x").exception("failed")
    logging.getLogger("harness.x").debug("and on")
    first, second = map(json.loads, (tmp_path / "daemon.log").read_text().splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("error", "harness.x", "failed")
    assert "ValueError: bad\nvalue" in first["exception"]
    assert "exception" not in second


def test_the_file_is_private_whatever_the_umask_also_after_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemonlog, "_MAX_BYTES", 200)
    before = os.umask(0)
    try:
        configure(tmp_path / "daemon.log")
        for n in range(50):
            logging.getLogger("harness.x").info("line %d", n)
    finally:
        os.umask(before)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["daemon.log", *(f"daemon.log.{n}" for n in range(1, 6))]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_in_the_foreground_it_is_shown_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path / "daemon.log", foreground=True)
    logging.getLogger("harness.x").info("ready")
    assert "ready" in capsys.readouterr().err
    assert "ready" in (tmp_path / "daemon.log").read_text()


def test_the_clock_shows_both_times_and_the_boot_has_a_name() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall() > 1_700_000_000
    assert boot_id() == boot_id()


def test_a_machine_that_does_not_name_its_boots_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert boot_id() == ""
