"""harness under measurement: a state directory, a daemon, a keeper and a stack of its own, gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.measure import alive, until

__all__ = ["Ours", "ours"]

ROOT = Path(__file__).resolve().parents[2]


class Ours:
    """The command line as a person uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.ready = folder / "ready"
        self.ready.mkdir(parents=True)
        self.stack = folder / "stack.yaml"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HARNESS_STATE_DIR": str(self.state),
            "PYTHONPATH": str(ROOT),
        }

    def command(self, *args: str) -> list[str]:
        # as the installed console script does it, which need not exist for the Python that runs this
        entry = "import sys; from harness.entry import main; sys.exit(main())"
        return [sys.executable, "-c", entry, *args]

    def popen(self, *args: str, stdout: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*args), env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=stdout,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, *args: str) -> float:
        """Seconds from the exec of a command to its end, which must be a success."""
        began = time.monotonic()
        done = subprocess.run(
            self.command(*args), env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True
        )
        took = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{args} ended with {done.returncode}: {done.stdout[-2000:]!r} {done.stderr[-2000:]!r}")
        return took

    def define(self, services: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the stack file; JSON is YAML."""
        self.stack.write_text(json.dumps({"name": "bench", "services": services}))

    def define_many(self, count: int) -> None:
        """Services that leave a file with their pid in ``ready`` and sleep."""
        self.define({f"s{i}": shell(f"echo $$ >{self.ready}/{i}; exec sleep 1000000") for i in range(count)})

    @property
    def daemon(self) -> int:
        return int(json.loads((self.state / "daemon.json").read_text())["pid"])

    @property
    def keeper(self) -> int:
        return int(json.loads((self.state / "executors" / "process" / "keeper.lock").read_text())["pid"])

    @property
    def both(self) -> tuple[int, int]:
        return self.daemon, self.keeper

    def log(self, name: str, stream: str = "stdout") -> list[Path]:
        """The segments of a service's log, oldest first."""
        return sorted((self.state / "logs" / "bench" / name).glob(f"{stream}.*.log"))

    def stored(self, name: str) -> int:
        """Bytes of a service's output that are in its log."""
        return sum(path.stat().st_size for path in self.log(name))

    def close(self) -> None:
        pids = []
        with contextlib.suppress(OSError, ValueError):
            pids.append(self.daemon)
        with contextlib.suppress(OSError, ValueError):
            pids.append(self.keeper)
        with contextlib.suppress(RuntimeError):
            self.run("stop", "--all", "-y", "-q", "--kill")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in pids:
            until(lambda pid=pid: not alive(pid), f"pid {pid} to leave", within=20)  # type: ignore[misc]


def shell(script: str, **more: Any) -> dict[str, Any]:
    """A service that is a shell script."""
    return {"target": {"type": "process", "binary": "/bin/sh", "args": ["-c", script]}, **more}


@contextmanager
def ours(folder: Path) -> Iterator[Ours]:
    """With a daemon that runs already."""
    one = Ours(folder / "ours")
    try:
        one.run("daemon", "start")
        yield one
    finally:
        one.close()
