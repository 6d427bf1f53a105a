from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest

from harness_core.runtime.logs import LogStore
from harness_core.runtime.logs.cursor import Chunk, Cursor

from .conftest import KEY, Writers


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_folders_are_private(logs: LogStore) -> None:
    old = os.umask(0)
    try:
        folder = logs.directory(KEY)
    finally:
        os.umask(old)
    for made in (folder, folder.parent, logs.root):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert logs.directory(KEY) == folder


@pytest.mark.parametrize(
    "key",
    [
        "",
        "shop",
        "/api",
        "shop/",
        "../x",
        "shop/..",
        "shop/.",
        "shop/a/b",
        "/etc/passwd",
        "shop/a\0b",
        "a\n/b",
        "s/" + "x" * 200,
    ],
)
async def test_keys_that_would_lead_elsewhere(logs: LogStore, key: str) -> None:
    with pytest.raises(ValueError, match="names no unit"):
        logs.path(key)


async def test_streams_segments_and_ends(logs: LogStore, writer: Writers) -> None:
    assert logs.streams(KEY) == []
    assert logs.end(KEY, "stdout") == logs.start(KEY, "stdout") == 0
    stdout = writer(max_size=4, max_files=2)
    stdout.append(b"abcdefghij")
    assert logs.streams(KEY) == ["stdout"]
    assert [segment.base for segment in logs.segments(KEY, "stdout")] == [4, 8]
    assert (logs.start(KEY, "stdout"), logs.end(KEY, "stdout")) == (4, 10)


async def test_clearing_drops_what_is_there_and_keeps_what_comes(logs: LogStore, writer: Writers, folder: Path) -> None:
    stdout = writer(max_size=100)
    stdout.append(b"secret" * 30)
    assert logs.clear(KEY) == 180
    assert (logs.start(KEY, "stdout"), logs.end(KEY, "stdout")) == (180, 180)
    assert logs.clear(KEY) == 0
    stdout.append(b"new\n")
    found = Cursor(str(folder), "stdout", 180).peek()
    assert isinstance(found, Chunk)
    assert found.data == b"new\n"
    assert b"secret" not in on_disk(folder)


async def test_clearing_what_was_never_written(logs: LogStore) -> None:
    assert logs.clear("shop/none") == 0


async def test_forgetting_leaves_nothing_and_others_alone(logs: LogStore, writer: Writers) -> None:
    writer().append(b"x")
    writer("shop/db").append(b"y")
    logs.forget(KEY)
    assert logs.streams(KEY) == []
    assert logs.streams("shop/db") == ["stdout"]
    logs.forget("shop/db")
    logs.forget("shop/db")
    assert list(logs.root.iterdir()) == []


async def test_growth_is_told_from_any_thread_and_together(logs: LogStore) -> None:
    told: list[int] = []
    event = asyncio.Event()

    def callback() -> None:
        told.append(1)
        event.set()

    end = logs.watch(KEY, callback)
    for _ in range(100):
        logs.grew(KEY)
    logs.grew("shop/other")
    await event.wait()
    assert told == [1]
    event.clear()
    thread = threading.Thread(target=logs.grew, args=(KEY,))
    thread.start()
    await event.wait()
    thread.join()
    logs.grew(KEY)
    end()
    logs.grew(KEY)
    await asyncio.sleep(0)
    assert len(told) == 2


async def test_several_may_watch_one_unit(logs: LogStore) -> None:
    seen: set[str] = set()
    first = logs.watch(KEY, lambda: seen.add("first"))
    second = logs.watch(KEY, lambda: seen.add("second"))
    first()
    logs.grew(KEY)
    await asyncio.sleep(0)
    assert seen == {"second"}
    second()


def test_growth_after_the_loop_has_ended_is_no_error(tmp_path: Path) -> None:
    store = LogStore(tmp_path)

    async def watch() -> None:
        store.watch(KEY, lambda: None)

    asyncio.run(watch())
    store.grew(KEY)
    asyncio.run(store.close())


async def test_reading_happens_beside_the_loop(logs: LogStore) -> None:
    assert await logs.in_thread(threading.current_thread) is not threading.main_thread()
