"""A daemon of its own that may be killed at any moment, and the means to see from outside what became of its services.

Nothing here asks the daemon for the truth about processes: copies are counted in ``/proc`` by a variable that each
service carries, births are counted in files that the services write themselves, and output is compared with what the
programs are known to have written.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from harness_core.client import locate
from harness_core.client.api import Client
from harness_core.client.stream import Stream
from harness_core.domain.errors import DaemonUnreachable, HarnessError, InvalidConfiguration
from harness_core.domain.protocol import StackSource
from harness_core.runtime.keeper.procfs import environment_value, read_stat
from harness_core.runtime.keeper.segments import list_segments

__all__ = ["LONG", "ROOT", "Lab", "alive", "until"]

ROOT = Path(__file__).resolve().parents[2]
#: the long tier: many more kills, every fail point, slower faults
LONG = os.environ.get("HARNESS_FAULTS") == "long"
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, timeout: float = 20.0) -> T:
    """The first true value of a condition, looked at until the deadline."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s for: {what}"
        time.sleep(0.01)
    return value


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    stat = read_stat(pid)
    return stat is not None and not stat.dead


class Lab:
    """One state directory, one daemon at a time, and a stack named ``s`` in ``folder``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "project"
        self.folder.mkdir()
        self.state = root / "state"
        self.env: dict[str, str] = {}
        #: wrapped around the daemon's command line, as its parent
        self.wrapper: list[str] = []
        #: put before the command line of the next daemon, which replaces it in its own process
        self.tracer: list[str] = []
        #: what the daemon takes for its Python, with which it starts its keeper
        self.python = sys.executable
        self.process: subprocess.Popen[bytes] | None = None
        self.keepers: set[int] = set()
        #: every daemon that there was
        self.launched: list[subprocess.Popen[bytes]] = []
        self._text = ""

    # ── the daemon ───────────────────────────────────────────────────────────────────────────────────────────────────

    def environment(self) -> dict[str, str]:
        base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return base | {"HARNESS_STATE_DIR": str(self.state), "PYTHONPATH": str(ROOT)} | self.env

    def launch(self, **more: Any) -> subprocess.Popen[bytes]:
        """Start a daemon and do not wait for it; what it says goes to ``daemon.out``."""
        tracer, self.tracer = self.tracer, []
        with (self.root / "daemon.out").open("ab") as out:
            pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
            self.process = subprocess.Popen(
                [*self.wrapper, *tracer, sys.executable, *self._program(), "daemon", "run"],
                env=self.environment(),
                **(pipes | more),
            )
        self.launched.append(self.process)
        return self.process

    def _program(self) -> list[str]:
        if self.python == sys.executable:
            return ["-m", "harness"]
        disguised = f"import runpy, sys; sys.executable = {self.python!r}; "
        return ["-c", disguised + "runpy.run_module('harness', run_name='__main__', alter_sys=True)"]

    def install_plugin(self, body: str, name: str = "bad") -> None:
        """A distribution of its own on the import path, as a package manager would leave it."""
        place = self.root / "plugins"
        info = place / f"{name}_plugin-1.0.dist-info"
        info.mkdir(parents=True)
        (place / f"{name}_plugin.py").write_text(body)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[harness.executors]\n{name} = {name}_plugin\n")
        self.env["PYTHONPATH"] = f"{self.environment()['PYTHONPATH']}:{place}"

    def boot(self, **more: Any) -> float:
        """Start a daemon; returns when it answers, with the seconds that took."""
        began = time.monotonic()
        process = self.launch(**more)
        until(lambda: self._answers(process), "the daemon to answer")
        return time.monotonic() - began

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        code = process.poll()
        assert code is None, f"the daemon ended with {code}:\n{self.daemon_log()[-3000:]}"
        try:
            if locate.local_endpoint(str(self.state)) and self.card()["pid"] not in self._pids(process):
                return False
            self.client.call("hello")
        except (HarnessError, OSError, KeyError, TypeError, ValueError):
            return False
        return True

    def _pids(self, process: subprocess.Popen[bytes]) -> set[int]:
        """Of the daemon: its own, or below the wrapper."""
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            return {process.pid, *map(int, children)} if self.wrapper else {process.pid}
        return {process.pid}

    def card(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "daemon.json").read_bytes()))

    def kill(self) -> None:
        """SIGKILL; gone when this returns."""
        assert self.process is not None
        for pid in self._pids(self.process) - {self.process.pid}:
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(10)

    def leave(self) -> None:
        """End the daemon in order."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def daemon_log(self) -> str:
        parts = [self.root / "daemon.out", self.state / "daemon.log"]
        return "\n".join(part.read_text("utf-8", "replace") for part in parts if part.exists())

    @property
    def keeper(self) -> int:
        """The pid of the keeper that holds the lock now."""
        pid = int(json.loads((self.state / "executors/process/keeper.lock").read_bytes())["pid"])
        self.keepers.add(pid)
        return pid

    def kill_keeper(self, signum: int = signal.SIGKILL) -> int:
        """Signal the present keeper; after a SIGKILL it is gone when this returns."""
        pid = until(lambda: self.living_keeper(), "a keeper")
        os.kill(pid, signum)
        if signum == signal.SIGKILL:
            until(lambda: not alive(pid), "the keeper to be gone")
        return pid

    def living_keeper(self) -> int | None:
        """The same, or ``None`` while there is none."""
        try:
            pid = self.keeper
        except (OSError, ValueError, KeyError):
            return None
        return pid if alive(pid) else None

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def client(self) -> Client:
        return Client(lambda: locate.local_endpoint(str(self.state)), timeout=15.0)

    def stack(self, text: str, **settings: str) -> None:
        """The services of the stack file for ``start``; ``{actor}`` stands for the command line of ``actor.py``."""
        actor = f"exec {sys.executable} {ROOT}/tests/faults/actor.py"
        given = "".join(f", {key}: {value}" for key, value in settings.items())
        head = f"name: s\nsettings: {{env: {{LAB: '{self.root}'}}{given}}}\n"
        self._text = head + textwrap.dedent(text).replace("{actor}", actor)

    def start(self, *names: str, wait: bool = True, timeout: float | None = 30.0) -> dict[str, Any]:
        source = StackSource(text=self._text, filename="harness.yaml", base_dir=str(self.folder), env={})
        with self.client.stack_start(source=source, names=names, wait=wait, timeout=timeout) as stream:
            return self._result(stream)

    def stop(self, *names: str, wait: bool = True, **more: Any) -> dict[str, Any]:
        with self.client.service_stop(names=names, all=not names, wait=wait, **more) as stream:
            return dict(stream.result)

    def restart(self, *names: str, wait: bool = True) -> dict[str, Any]:
        with self.client.service_restart(names=names, wait=wait) as stream:
            return dict(stream.result)

    def _result(self, stream: Stream[Any, Any]) -> dict[str, Any]:
        try:
            return dict(stream.result)
        except InvalidConfiguration as error:
            raise AssertionError(f"{error}: {error.data}") from error

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: dict(row) for row in self.client.status()["services"]}

    def row(self, name: str) -> dict[str, Any]:
        return self.rows()[name]

    def settled(self, *names: str, timeout: float = 20.0) -> dict[str, dict[str, Any]]:
        """The rows once nothing is being looked for, started or stopped any more."""

        def still() -> dict[str, dict[str, Any]] | None:
            rows = self.rows()
            moving = {"unknown", "starting", "stopping", "waiting"}
            chosen = [row for name, row in rows.items() if not names or name in names]
            return None if any(row["phase"] in moving for row in chosen) else rows

        return until(still, f"the rest of {self._phases()}", timeout)

    def _phases(self) -> dict[str, str]:
        with contextlib.suppress(HarnessError, OSError):
            return {name: row["phase"] for name, row in self.rows().items()}
        return {}

    def told(self, *types: str) -> list[dict[str, Any]]:
        """All events of these types."""
        return [dict(event) for event in self.client.events(types=types, limit=100_000)["events"]]

    # ── seeing for oneself ───────────────────────────────────────────────────────────────────────────────────────────

    def copies(self, name: str) -> list[int]:
        """Leaders of living instances of a service, of whichever life, proven by the marker they carry."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or not self._is_of(int(entry), name):
                continue
            stat = read_stat(int(entry))
            if stat is not None and not stat.dead and stat.session == stat.pid:
                found.append(stat.pid)
        return sorted(found)

    def carriers(self, name: str) -> list[int]:
        """Every living process of a service, leader or not."""
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        return sorted(pid for pid in pids if self._is_of(pid, name) and alive(pid))

    def _is_of(self, pid: int, name: str) -> bool:
        return environment_value(pid, "LAB") == str(self.root) and environment_value(pid, "HARNESS_SERVICE") == name

    def births(self, name: str) -> list[int]:
        """The pids of all its lives, as its program wrote them itself."""
        with contextlib.suppress(FileNotFoundError):
            return [int(line) for line in (self.folder / f"{name}.births").read_text().split()]
        return []

    def output(self, name: str, stream: str = "stdout") -> bytes:
        """All that is stored of a stream, its segments put together."""
        segments = list_segments(str(self.state / "logs" / "s" / name), stream)
        return b"".join(Path(segment.path).read_bytes() for segment in segments)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Stop everything, in order where there still is an order."""
        if (self.state / "registry.db").exists():
            self.env.clear()
            self.wrapper.clear()
            try:
                self._close_in_order()
            except (AssertionError, HarnessError, OSError, subprocess.TimeoutExpired):
                self._kill_all()
                raise
        self._kill_all()

    def _close_in_order(self) -> None:
        if not self.running:
            self.boot()
        with contextlib.suppress(DaemonUnreachable):
            self.stop(force=True, timeout=30.0)
        self.leave()

    def _kill_all(self) -> None:
        if self.running:
            self.kill()
        with contextlib.suppress(OSError, ValueError, KeyError):
            self.keepers.add(self.keeper)
        for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]:
            if environment_value(pid, "LAB") == str(self.root):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for keeper in self.keepers:
            if alive(keeper) and str(self.state).encode() in Path(f"/proc/{keeper}/cmdline").read_bytes():
                os.kill(keeper, signal.SIGKILL)
                until(lambda keeper=keeper: not alive(keeper), "the keeper to leave")  # type: ignore[misc]
