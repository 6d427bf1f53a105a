"""What ``plan`` and ``validate`` say before anything is started."""

from __future__ import annotations

from pathlib import Path

from executors.process.diagnose import check
from executors.process.options import ProcessOptions

ENV = {"PATH": "/usr/bin:/bin"}


def test_nothing_to_say(tmp_path: Path) -> None:
    assert check(ProcessOptions(binary="sleep"), tmp_path, ENV) == []
    assert check(ProcessOptions(shell="whatever | it is"), tmp_path, ENV) == []


def test_problems_are_sentences_with_the_next_step(tmp_path: Path) -> None:
    assert check(ProcessOptions(binary="sleeep"), tmp_path, ENV) == [
        "cannot start sleeep: it is not on the PATH of the stack; did you mean sleep?"
    ]
    (tmp_path / "api").mkdir()
    assert check(ProcessOptions(binary="sleep", working_dir="apj"), tmp_path, ENV) == [
        f"cannot start sleep: its working_dir {tmp_path}/apj does not exist; did you mean api?"
    ]
    (tmp_path / "tool").touch()
    assert check(ProcessOptions(binary="./tool"), tmp_path, ENV) == [
        f"cannot start {tmp_path}/tool: not executable; chmod +x {tmp_path}/tool"
    ]


def test_what_is_only_known_later_is_not_judged(tmp_path: Path) -> None:
    assert check(ProcessOptions(binary="${build.tool}"), tmp_path, ENV) == []
    assert check(ProcessOptions(binary="x", working_dir="${build.folder}"), tmp_path, ENV) == []


def test_its_own_path_counts(tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.touch(0o755)
    assert check(ProcessOptions(binary="tool", env={"PATH": str(tool.parent)}), tmp_path, ENV) == []
    assert check(ProcessOptions(binary="tool", env={"PATH": ""}), tmp_path, {}) != []
