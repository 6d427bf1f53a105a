"""The bench on which one conformance test works: a state directory, an executor that may be replaced, its output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from harness_core.domain.executor import (
    Executor,
    ExecutorContext,
    ExecutorPlugin,
    Marker,
    Recovery,
    Running,
    StartSpec,
    StopReport,
)
from harness_core.domain.resolved import target_options
from harness_core.domain.states import Exit, Handle, Started
from harness_core.testing.conformance.program import Program
from harness_core.testing.logs import FileLogSink, read_stream

__all__ = ["PATIENCE", "Bench", "Hooks", "Instance", "processes_with"]

#: how long any one call to an executor may take before the test fails, in seconds
PATIENCE = 30.0
STACK = "conformance"


class Hooks(Protocol):
    """What the bench asks of the suite; see ``ExecutorConformance``."""

    def make_plugin(self) -> ExecutorPlugin: ...

    def target(self, program: Program) -> dict[str, Any]: ...

    def living(self, bench: Bench, program: Program) -> int: ...

    async def dispose(self, bench: Bench) -> None: ...


@dataclass(frozen=True, slots=True)
class Instance:
    """One started instance."""

    spec: StartSpec
    program: Program
    started: Started

    @property
    def marker(self) -> Marker:
        return self.spec.marker

    @property
    def handle(self) -> Handle:
        return self.started.handle


class Bench:
    """An open executor over a fresh state directory. Leaving it ends every instance that was asked for."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        self.plugin = hooks.make_plugin()
        self._folder = tempfile.TemporaryDirectory(prefix="harness-conformance-")
        self.root = Path(self._folder.name).resolve()
        #: the base directory of every start
        self.base = self.root / "a base 'dir'"
        self.logs = FileLogSink(self.root / "logs")
        self.context = ExecutorContext(self.root / "state", self.logs, f"conformance-{self.root.name}")
        self.executor: Executor = self.plugin.factory(self.context)
        self._asked: dict[Marker, tuple[StartSpec, Program]] = {}

    async def __aenter__(self) -> Self:
        self.base.mkdir()
        self.context.state_dir.mkdir(mode=0o700)
        async with asyncio.timeout(PATIENCE):
            await self.executor.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                for marker in self._asked:
                    await self._end(marker)
                await self.hooks.dispose(self)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self.executor.close()
            self._folder.cleanup()

    async def restart(self) -> None:
        """The daemon ends and a new one comes: another executor over the same state directory."""
        await self.leave()
        await self.come()

    async def leave(self) -> None:
        """The daemon ends."""
        async with asyncio.timeout(PATIENCE):
            await self.executor.close()

    async def come(self) -> None:
        """A new daemon comes."""
        self.executor = self.plugin.factory(self.context)
        async with asyncio.timeout(PATIENCE):
            await self.executor.open()

    def spec(
        self, program: Program, *, name: str = "one", epoch: int = 1, env: Mapping[str, str] | None = None
    ) -> StartSpec:
        marker = Marker(STACK, name, epoch)
        if marker not in self._asked:  # a target may be there from the moment on at which it is asked for
            self._asked[marker] = self._spec(marker, program, env or {}), program
        return self._asked[marker][0]

    def _spec(self, marker: Marker, program: Program, env: Mapping[str, str]) -> StartSpec:
        options = target_options(self.plugin.options, self.hooks.target(program))
        path = {"PATH": os.environ.get("PATH", os.defpath)}
        return StartSpec(marker, options, env={**path, **env}, base_dir=self.base)

    async def start(
        self, program: Program, *, name: str = "one", epoch: int = 1, env: Mapping[str, str] | None = None
    ) -> Instance:
        spec = self.spec(program, name=name, epoch=epoch, env=env)
        async with asyncio.timeout(PATIENCE):
            return Instance(spec, program, await self.executor.start(spec))

    async def wait(self, instance: Instance) -> Exit:
        async with asyncio.timeout(PATIENCE):
            return await self.executor.wait(instance.marker, instance.handle)

    async def stop(
        self, instance: Instance, *, signum: int = signal.SIGTERM, grace: float = PATIENCE - 10
    ) -> StopReport:
        async with asyncio.timeout(PATIENCE):
            return await self.executor.stop(instance.marker, stored(instance.handle), signal=signum, grace=grace)

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        """Ask with the handle as a store gives it back."""
        async with asyncio.timeout(PATIENCE):
            return await self.executor.recover(marker, None if handle is None else stored(handle))

    async def run(self, program: Program, **more: Any) -> Exit:
        """Start it and wait for its end."""
        return await self.wait(await self.start(program, **more))

    def output(self, stream: str = "stdout", name: str = "one") -> bytes:
        """All that is stored of a service's stream now."""
        return read_stream(self.logs.directory(f"{STACK}/{name}"), stream)

    def living(self, program: Program) -> int:
        """How many processes of a staying program live."""
        return self.hooks.living(self, program)

    async def reaches(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition()`` is true; fails with ``TimeoutError``."""
        async with asyncio.timeout(PATIENCE):
            async for _ in _ticks():
                if condition():
                    return

    async def _end(self, marker: Marker) -> None:
        found = await self.executor.recover(marker, None)
        if isinstance(found, Running) and self.executor.capabilities.stop:
            await self.executor.stop(marker, found.started.handle, signal=signal.SIGKILL, grace=0)


def stored(handle: Handle) -> Handle:
    """The handle as it comes back from the disk: JSON there and back."""
    return Handle(handle.kind, json.loads(json.dumps(dict(handle.data))), handle.version)


def processes_with(word: str) -> list[int]:
    """The living processes of this machine with an argument that begins with ``word``; those in containers too."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                # gone meanwhile
                continue
            if any(argument.startswith(word.encode()) for argument in arguments):
                found.append(int(entry.name))
    return found


async def _ticks() -> AsyncIterator[float]:
    while True:
        yield time.monotonic()
        await asyncio.sleep(0.01)
