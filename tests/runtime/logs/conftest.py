from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from harness_core.runtime.keeper.segments import EPOCH, RECORD, TIME, index_path, segment_name
from harness_core.runtime.logs import LogStore
from harness_core.runtime.logs.follow import Follower
from harness_core.runtime.logs.frames import Frame
from harness_core.runtime.logs.writer import SegmentWriter

KEY = "shop/api"
#: makes a writer for (key, stream) that tells the store when it has stored something
Writers = Callable[..., SegmentWriter]


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path / "logs")
    yield store
    await store.close()


@pytest.fixture
def folder(logs: LogStore) -> Path:
    return logs.directory(KEY)


@pytest.fixture
def writer(logs: LogStore) -> Iterator[Writers]:
    with ExitStack() as opened:

        def make(key: str = KEY, stream: str = "stdout", **options: Any) -> SegmentWriter:
            return opened.enter_context(
                SegmentWriter(logs.directory(key), stream, grew=lambda: logs.grew(key), **options)
            )

        yield make


def segment(
    folder: Path, base: int, data: bytes, *records: tuple[float, int, int, int, int], stream: str = "stdout"
) -> None:
    """Write one segment by hand; records are (wall seconds, offset, epoch, kind, value)."""
    path = folder / segment_name(stream, base)
    path.write_bytes(data)
    index = b"".join(
        RECORD.pack(int(at * 1e9), offset, epoch, kind, value) for at, offset, epoch, kind, value in records
    )
    Path(index_path(str(path))).write_bytes(index)


def timed(folder: Path, lines: list[tuple[float, bytes]], *, stream: str = "stdout", epoch: int = 1) -> None:
    """One segment whose lines came at the given times."""
    at, records, data = 0, [(lines[0][0], 0, epoch, EPOCH, 0)], b""
    for when, line in lines:
        records.append((when, at, epoch, TIME, 0))
        data += line
        at += len(line)
    segment(folder, 0, data, *records, stream=stream)


class Listener:
    """Takes frames from a follower as they come."""

    def __init__(self, follower: Follower) -> None:
        self.frames: list[Frame] = []
        self._follower = follower
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._take())

    async def _take(self) -> None:
        async with aclosing(self._follower.frames()) as frames:
            async for frame in frames:
                self.frames.append(frame)
                self._changed.set()

    async def __aenter__(self) -> Listener:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, reached: Callable[[Listener], object], within: float = 20.0) -> None:
        async with asyncio.timeout(within):
            while not reached(self):
                self._changed.clear()
                await self._changed.wait()

    async def ended(self) -> None:
        async with asyncio.timeout(20.0):
            await self._task

    def text(self, key: str = KEY, stream: str = "stdout") -> bytes:
        return b"".join(
            payload for header, payload in self.frames if (header["service"], header["stream"]) == (key, stream)
        )

    @property
    def gaps(self) -> list[dict[str, Any]]:
        return [header for header, _ in self.frames if "gap" in header]

    @property
    def cursors(self) -> dict[str, int]:
        return {f"{header['service']}:{header['stream']}": header["next"] for header, _ in self.frames}
