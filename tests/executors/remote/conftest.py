"""A real executor, and what its tests need around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from executors.remote.executor import RemoteExecutor
from executors.remote.options import RemoteOptions
from harness_core.domain.executor import ExecutorContext, Marker, StartSpec
from harness_core.domain.spec import HostSpec
from harness_core.testing.logs import FileLogSink, read_stream


class Bench:
    """One state directory, over which daemons come and go."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sink = FileLogSink(root / "logs")
        (root / "state").mkdir(exist_ok=True)
        self.executor = self.come()

    def come(self) -> RemoteExecutor:
        """A new daemon's executor."""
        self.executor = RemoteExecutor(ExecutorContext(self.root / "state", self.sink, "tests"))
        return self.executor

    def spec(self, *argv: str, name: str = "one", host: HostSpec | None = None, **more: object) -> StartSpec:
        options = RemoteOptions.model_validate({"host": "box", "binary": argv[0], "args": list(argv[1:]), **more})
        hosts = {} if host is None else {"box": host}
        return StartSpec(Marker("shop", name, 1), options, {}, self.root, hosts=hosts)

    def output(self, name: str = "one", stream: str = "stdout") -> bytes:
        return read_stream(self.sink.directory(f"shop/{name}"), stream)

    async def reaches(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Closed at the end; what a test started it ends itself."""
    one = Bench(tmp_path)
    yield one
    await one.executor.close()
