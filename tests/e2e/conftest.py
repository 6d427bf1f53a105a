"""A whole harness of its own for each test: state directory, daemon, keeper, command line; gone at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, timeout: float = 20.0) -> T:
    """The first true value of a condition, looked at until the deadline."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s for: {what}"
        time.sleep(0.01)
    return value


@dataclass
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Harness:
    """The command line as a person uses it, from inside ``folder``."""

    folder: Path
    state: Path
    env: dict[str, str] = field(default_factory=dict)
    keepers: set[int] = field(default_factory=set)

    def environment(self) -> dict[str, str]:
        base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return base | {"HARNESS_STATE_DIR": str(self.state), "PYTHONPATH": str(ROOT), "COLUMNS": "120"} | self.env

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "harness", *args]

    def run(self, *args: str, stdin: str | None = None, timeout: float = 60.0, cwd: Path | None = None) -> Ran:
        done = subprocess.run(
            self.command(*args),
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd or self.folder,
            env=self.environment(),
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *args: str, **more: Any) -> Ran:
        """Run a command that must succeed."""
        ran = self.run(*args, **more)
        assert ran.code == 0, f"{args} ended with {ran.code}\n{ran.out}\n{ran.err}"
        return ran

    def popen(self, *args: str, **more: Any) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(
            self.command(*args), text=True, cwd=self.folder, env=self.environment(), **(pipes | more)
        )

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def rows(self, *args: str) -> dict[str, dict[str, Any]]:
        """Status by service name."""
        return {row["name"]: row for row in self.ok("status", *args, "-o", "json").json["services"]}

    def daemon(self) -> dict[str, Any]:
        status: dict[str, Any] = self.ok("daemon", "status", "-o", "json").json
        if status["keeper_pid"]:
            self.keepers.add(status["keeper_pid"])
        return status

    def kill_daemon(self) -> int:
        """SIGKILL, and wait until it is really gone."""
        pid = int(self.daemon()["pid"])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), "the daemon to be gone")
        return pid

    def close(self) -> None:
        if (self.state / "daemon.json").exists() or (self.state / "registry.db").exists():
            self.run("daemon", "start")
            self.daemon()
            self.run("stop", "--all", "-y", "--grace", "1s")
            pid = int(self.daemon()["pid"])
            self.run("daemon", "stop")
            until(lambda: not alive(pid), "the daemon to leave")
        for keeper in self.keepers:
            if alive(keeper):
                os.kill(keeper, signal.SIGTERM)
                until(lambda keeper=keeper: not alive(keeper), "the keeper to leave")  # type: ignore[misc]


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    folder = tmp_path / "project"
    folder.mkdir()
    one = Harness(folder, tmp_path / "state")
    yield one
    one.close()
