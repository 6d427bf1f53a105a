"""A real executor over a real keeper, and what tests of processes need around it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from executors.process.executor import ProcessExecutor
from executors.process.options import ProcessOptions
from harness_core.domain.executor import ExecutorContext, Marker, StartSpec
from harness_core.domain.spec import LimitsSpec, LogsSpec
from harness_core.domain.states import Started
from harness_core.runtime.keeper.segments import list_segments

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nowhere", "LANG": "C.UTF-8"}


class Sink:
    """Folders for output, and the growth that was told of."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: list[str] = []
        self.wake = asyncio.Event()

    def directory(self, key: str) -> Path:
        folder = self.root / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def grew(self, key: str) -> None:
        self.told.append(key)
        self.wake.set()

    def awaited(self, key: str) -> bool:
        return True

    def on_awaited(self, callback: Callable[[str], None]) -> None:
        pass


class Kit:
    """One state directory: its executor, which may be replaced as a daemon is, and its output."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sink = Sink(root / "logs")
        self.started: list[tuple[Marker, Started]] = []
        self.executor = self._new()

    def _new(self) -> ProcessExecutor:
        return ProcessExecutor(ExecutorContext(self.root / "process", self.sink, "test"))

    @property
    def keeper(self) -> int:
        identity = self.executor._link.keeper
        assert identity is not None
        return identity.pid

    async def replace_daemon(self) -> None:
        """What a new daemon starts with: nothing but the state directory."""
        await self.executor.close()
        self.executor = self._new()
        await self.executor.open()

    def kill_keeper(self) -> None:
        os.kill(self.keeper, signal.SIGKILL)

    def forget_records(self) -> None:
        shutil.rmtree(self.root / "process" / "instances")

    def spec(self, name: str = "a", epoch: int = 1, **more: Any) -> StartSpec:
        fields = {"base_dir", "ports", "schemes", "limits", "logs", "user", "env"}
        given = {key: more.pop(key) for key in fields & more.keys()}
        return StartSpec(
            marker=Marker("s", name, epoch),
            options=ProcessOptions(**more),
            env=given.pop("env", ENV),
            base_dir=given.pop("base_dir", self.root),
            limits=given.pop("limits", LimitsSpec()),
            logs=given.pop("logs", LogsSpec()),
            **given,
        )

    async def start(self, name: str = "a", epoch: int = 1, **more: Any) -> Started:
        spec = self.spec(name, epoch, **more)
        started = await self.executor.start(spec)
        self.started.append((spec.marker, started))
        return started

    async def python(self, code: str, name: str = "a", epoch: int = 1, **more: Any) -> Started:
        return await self.start(name, epoch, binary=sys.executable, args=["-u", "-c", code], **more)

    @staticmethod
    async def until(condition: Callable[[], Any], timeout: float = 10.0) -> Any:
        return await until(condition, timeout)

    def output(self, name: str = "a", stream: str = "stdout") -> bytes:
        segments = list_segments(str(self.sink.root / "s" / name), stream)
        return b"".join(Path(segment.path).read_bytes() for segment in segments)

    async def until_output(self, wanted: bytes, name: str = "a", stream: str = "stdout") -> bytes:
        return await until(lambda: (data := self.output(name, stream)) and wanted in data and data)

    async def close(self) -> None:
        for marker, started in self.started:
            await self.executor.stop(marker, started.handle, signal=signal.SIGKILL, grace=0)
        keeper = self.executor._link.keeper
        fd = None if keeper is None else keeper.open()
        await self.executor.close()
        if keeper is not None and fd is not None:
            keeper.signal(signal.SIGTERM)
            await until(lambda: not keeper.alive())
            os.close(fd)


async def until(condition: Callable[[], Any], timeout: float = 10.0) -> Any:
    """The first true value of a condition, looked at again and again."""
    async with asyncio.timeout(timeout):
        while not (value := condition()):  # another process makes it true
            await asyncio.sleep(0.005)
    return value


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    kit = Kit(tmp_path)
    await kit.executor.open()
    try:
        yield kit
    finally:
        await kit.close()
