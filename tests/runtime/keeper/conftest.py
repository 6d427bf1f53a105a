"""A keeper as a process of its own, spoken to over its socket, and killed without ceremony."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness_core.runtime.keeper import segments, wire

MAIN = Path(wire.__file__).with_name("__main__.py")


class Keeper:
    """Starts keepers of one directory, one after the other, and speaks to the present one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dir = root / "keeper"
        self.events: list[dict[str, Any]] = []
        self.pids: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ids = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *options: str) -> dict[str, Any]:
        """Start one; returns what it said about itself."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(MAIN), "--dir", str(self.dir), *options], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline() or b"{}")
        process.stdout.close()
        if "pid" in said:
            self._process = process
        else:
            said["exit"] = process.wait(10)
        return said

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self.hang_up()

    def leave(self) -> int:
        """Ask it to go, as for an upgrade; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        self.hang_up()
        return self._process.wait(10)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(10)

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        fd, path = wire.short_path(str(self.dir))
        try:
            sock.connect(path)
        finally:
            os.close(fd)
        return sock

    def hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._file.close()
            self._socket = None

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """One request and its answer; events on the way are collected."""
        if self._socket is None:
            self._socket = self.connect()
            self._file = self._socket.makefile("rb")
        self._ids += 1
        self._socket.sendall(wire.encode({"id": self._ids, "op": op, **arguments}))
        while (message := wire.decode(self._file.readline())).get("id") != self._ids:
            self.events.append(message)
        return message

    def logs(self, name: str = "a", **more: Any) -> dict[str, Any]:
        directory = str(self.root / "logs" / name)
        return {"directory": directory, "max_size": 50_000_000, "max_files": 1000, "on_full": "block", **more}

    def spawn(self, argv: list[str], name: str = "a", epoch: int = 1, **more: Any) -> dict[str, Any]:
        """The instance, or the error."""
        request: dict[str, Any] = {
            "key": f"s/{name}",
            "epoch": epoch,
            "marker": f"test:s/{name}#{epoch}",
            "argv": argv,
            "executable": argv[0],
            "env": {"PATH": "/usr/bin:/bin"},
            "cwd": "/",
            "logs": self.logs(name),
        }
        answer = self.ask("spawn", **{**request, **more})
        if "instance" in answer:
            self.pids.add(answer["instance"]["pid"])
        return dict(answer.get("instance") or answer["error"])

    def sh(self, script: str, name: str = "a", epoch: int = 1, **more: Any) -> dict[str, Any]:
        return self.spawn(["/bin/sh", "-c", script], name, epoch, **more)

    def python(self, code: str, name: str = "a", epoch: int = 1, **more: Any) -> dict[str, Any]:
        return self.spawn(["/usr/bin/python3", "-I", "-S", "-c", code], name, epoch, **more)

    def instance(self, name: str = "a", epoch: int = 1) -> dict[str, Any] | None:
        found = self.ask("list", key=f"s/{name}")["instances"]
        return next((one for one in found if one["epoch"] == epoch), None)

    def until_exit(self, name: str = "a", epoch: int = 1) -> dict[str, Any]:
        return dict(until(lambda: (one := self.instance(name, epoch)) and one["exit"]))

    def output(self, name: str = "a", stream: str = "stdout") -> bytes:
        found = segments.list_segments(str(self.root / "logs" / name), stream)
        return b"".join(Path(segment.path).read_bytes() for segment in found)

    def until_output(self, wanted: bytes, name: str = "a") -> bytes:
        return bytes(until(lambda: (data := self.output(name)) and wanted in data and data))

    def close(self) -> None:
        self.hang_up()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        for pid in self.pids:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def until(condition: Callable[[], Any], timeout: float = 10.0) -> Any:
    """The first true value of a condition, looked at again and again."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come to be"
        select.select([], [], [], 0.005)
    return value


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path)
    try:
        yield keeper
    finally:
        keeper.close()
