"""A real executor over a real engine, and what tests of containers need around it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from executors.docker.executor import DockerExecutor
from executors.docker.options import DockerOptions
from harness_core.domain.executor import ExecRequest, ExecutorContext, Marker, Running, StartSpec
from harness_core.domain.states import Exit, Started
from harness_core.testing.logs import FileLogSink, read_stream
from tests.engine import IMAGE, Engine

PATIENCE = 30.0


class Harness:
    """An executor, the engine beside it, and whatever was started; all of it is gone at the end."""

    def __init__(self, root: Path, engine: Engine, instance: str = "0123456789abcdef") -> None:
        self.engine = engine
        self.base = root
        self.logs = FileLogSink(root / "logs")
        (root / "state").mkdir(exist_ok=True)
        #: what starts said of how far they were
        self.told: list[str] = []
        self.context = ExecutorContext(root / "state", self.logs, instance, lambda marker, said: self.told.append(said))
        self.executor = DockerExecutor(self.context)
        self._markers: set[Marker] = set()

    def spec(self, *, name: str = "web", stack: str = "shop", epoch: int = 1, **target: Any) -> StartSpec:
        more: Mapping[str, Any] = target.pop("more", {})
        marker = Marker(stack, name, epoch)
        self._markers.add(marker)
        target = {"image": IMAGE, "pull": "never", "command": ["sleep", "infinity"], "init": True} | target
        given: dict[str, Any] = {"env": {}, "base_dir": self.base} | dict(more)
        return StartSpec(marker, DockerOptions.model_validate(target), **given)

    async def start(self, **target: Any) -> tuple[StartSpec, Started]:
        spec = self.spec(**target)
        async with asyncio.timeout(PATIENCE):
            return spec, await self.executor.start(spec)

    async def run(self, *argv: str, **target: Any) -> Exit:
        """Start it and wait for its end."""
        spec, started = await self.start(command=list(argv), **target)
        async with asyncio.timeout(PATIENCE):
            return await self.executor.wait(spec.marker, started.handle)

    async def exec(self, spec: StartSpec, started: Started, *argv: str, **more: Any) -> tuple[Exit, dict[str, bytes]]:
        async with asyncio.timeout(PATIENCE):
            session = await self.executor.exec(spec.marker, started.handle, spec, ExecRequest(argv, **more))
            output: dict[str, bytes] = {}
            try:
                await session.write_eof()
                async for stream, data in session.output():
                    output[stream] = output.get(stream, b"") + data
                return await session.wait(), output
            finally:
                await session.close()

    def output(self, spec: StartSpec, stream: str = "stdout") -> bytes:
        return read_stream(self.logs.directory(spec.marker.key), stream)

    def inspect(self, started: Started) -> dict[str, Any]:
        assert started.container_id is not None
        return self.engine.inspect(started.container_id)

    async def reaches(self, condition: Any) -> None:
        """Wait until ``condition()`` is true; fails with ``TimeoutError``."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        try:
            for marker in self._markers:
                async with asyncio.timeout(PATIENCE):
                    found = await self.executor.recover(marker, None)
                    if isinstance(found, Running):
                        await self.executor.stop(marker, found.started.handle, signal=signal.SIGKILL, grace=0)
        finally:
            await self.executor.close()
            self.engine.clear()


@pytest.fixture
async def harness(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    one = Harness(tmp_path, engine)
    await one.executor.open()
    try:
        yield one
    finally:
        await one.close()
