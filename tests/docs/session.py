"""A reader with an empty home who types what a document says: a folder with the examples, and a daemon of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["ROOT", "Session"]

ROOT = Path(__file__).resolve().parents[2]
#: a command of a document that takes longer is not one to put into a document
DEADLINE = 90.0


class Session:
    """Runs command lines one after another in one folder. ``close`` stops everything that they started."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "checkout"
        self.state = home / "state"
        self.folder.mkdir(parents=True)
        copy_examples(self.folder / "examples")
        programs = home / "bin"
        programs.mkdir()
        harness = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m harness "$@"\n'
        for place in (programs / "harness", self.folder / "run"):
            place.write_text(harness)
            place.chmod(0o755)
        self.env = {
            "PATH": f"{programs}:{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin",
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "HARNESS_STATE_DIR": str(self.state),
            "COLUMNS": "100",
            "TERM": "dumb",
            "LANG": "C.UTF-8",
        }

    def run(self, line: str, timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """The ended command with its output, both streams together. Raises ``TimeoutExpired`` after killing it."""
        output = self.folder.parent / "output"
        with output.open("wb") as stream:
            # a file, not a pipe: a daemon that the command starts in the background must not keep us reading
            process = subprocess.Popen(
                ["/bin/sh", "-c", line],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        return subprocess.CompletedProcess(line, code, output.read_text(encoding="utf-8", errors="replace"))

    def close(self) -> None:
        """Stop what is left. Raises ``AssertionError`` when something would not go."""
        if (self.state / "daemon.json").exists():
            daemon = json.loads((self.state / "daemon.json").read_text())["pid"]
            told = self.run("harness stop --all --yes; harness daemon stop").stdout
            _wait_for_end(daemon, f"the daemon {daemon} is still there:\n{told}")
        for keeper in self._keepers():
            # it would leave by itself after half a minute with nothing to keep; its death is harmless
            os.kill(keeper, signal.SIGKILL)
            _wait_for_end(keeper, f"the keeper {keeper} cannot be killed")

    def _keepers(self) -> list[int]:
        directory = str(self.state / "executors" / "process").encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended in the meantime
                if directory in (process / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found


def copy_examples(to: Path) -> None:
    """The examples as they are in the repository: nothing that an earlier run left beside them."""
    shutil.copytree(ROOT / "examples", to, ignore=shutil.ignore_patterns(".harness", "__pycache__"))


def _wait_for_end(pid: int, otherwise: str) -> None:
    deadline = time.monotonic() + 15
    while _lives(pid):
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
