"""Attachments to real processes, beside what the conformance suite asks of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from executors.process_attach.executor import ProcessAttachExecutor
from executors.process_attach.options import ProcessAttachOptions
from harness_core.domain.errors import ExecNotStarted, UsageError
from harness_core.domain.executor import (
    Ended,
    ExecRequest,
    ExecutorContext,
    Gone,
    Lost,
    Marker,
    Running,
    StartFailed,
    StartSpec,
    Unknown,
)
from harness_core.domain.states import Endpoint, Handle
from harness_core.runtime.processes import ProcessIdentity
from harness_core.testing.logs import FileLogSink, read_stream

ONE = Marker("shop", "one", 1)
Begin = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[subprocess.Popen[bytes]] = []

    def start(line: str) -> subprocess.Popen[bytes]:
        begun.append(subprocess.Popen(["sh", "-c", line], cwd=tmp_path, stdin=subprocess.DEVNULL))
        return begun[-1]

    yield start
    for one in begun:
        one.kill()
        one.wait(10)


class Kit:
    """An executor that may be replaced as a daemon is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sink = FileLogSink(root / "logs")
        self.executor = self._new()

    def _new(self) -> ProcessAttachExecutor:
        return ProcessAttachExecutor(ExecutorContext(self.root / "state", self.sink, "test"))

    async def restart(self) -> None:
        await self.executor.close()
        self.executor = self._new()

    def spec(self, marker: Marker = ONE, ports: dict[str, int] | None = None, **target: Any) -> StartSpec:
        return StartSpec(marker, ProcessAttachOptions.model_validate(target), {}, self.root, ports or {})

    def output(self, stream: str = "stdout") -> bytes:
        return read_stream(self.sink.directory("shop/one"), stream)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    kit = Kit(tmp_path)
    yield kit
    await kit.executor.close()


async def test_both_streams_are_followed_to_the_last_word(kit: Kit, begin: Begin) -> None:
    os.mkfifo(kit.root / "fifo")
    one = begin("read go <fifo; echo out >out.log; echo err >err.log; exit 5")
    spec = kit.spec(pid=one.pid, log_files={"stdout": "out.log", "stderr": "err.log"})
    started = await kit.executor.start(spec)
    (kit.root / "fifo").write_text("go\n")
    exit_ = await kit.executor.wait(ONE, started.handle)
    assert (exit_.code, kit.output(), kit.output("stderr")) == (5, b"out\n", b"err\n")
    await kit.restart()
    assert await kit.executor.recover(ONE, started.handle) == Ended(exit_), "a later daemon knows it, too"
    assert await kit.executor.recover(ONE, None) == Ended(exit_)


async def test_what_cannot_be_read_is_told_and_keeps_nobody_from_it(kit: Kit, begin: Begin) -> None:
    one = begin("exec sleep 1000")
    (kit.root / "folder").mkdir()
    started = await kit.executor.start(kit.spec(pid=one.pid, log_file="folder"))
    details: dict[str, Any] = {}

    async def told() -> bool:
        details.update((await kit.executor.inspect(ONE, started.handle)).details)
        return "not a regular file" in details["logs"]

    async with asyncio.timeout(10):
        while not await told():
            await asyncio.sleep(0.01)
    (kit.root / "folder").rmdir()
    (kit.root / "folder").write_text("said\n")
    await kit.until(lambda: kit.output() == b"said\n")
    assert details["attached"]


async def test_its_ports_are_those_that_it_listens_on_unless_the_stack_says(kit: Kit, begin: Begin) -> None:
    one = begin("exec python3 -m http.server 0 --bind 127.0.0.1 >out.log 2>&1")
    log = kit.root / "out.log"
    await kit.until(lambda: log.exists() and " port " in log.read_text())
    number = int(log.read_text().split(" port ")[1].split()[0])
    started = await kit.executor.start(kit.spec(port=number))
    assert (started.pid, started.endpoints) == (one.pid, {str(number): Endpoint("127.0.0.1", number)})
    other = Marker("shop", "two", 1)
    started = await kit.executor.start(kit.spec(other, {"web": 8000}, pid=one.pid))
    assert started.endpoints == {"web": Endpoint("127.0.0.1", 8000)}
    seen = await kit.executor.inspect(ONE, started.handle)
    assert seen.pids == (one.pid,)
    assert seen.listening == (f"127.0.0.1:{number}",)


async def test_a_number_that_went_to_another_process_is_not_taken_for_it(kit: Kit, begin: Begin) -> None:
    one = begin("exec sleep 1000")
    started = await kit.executor.start(kit.spec(pid=one.pid))
    record = kit.root / "state" / "shop" / "one" / "attached.json"
    start = ProcessIdentity.from_data(started.handle.data["identity"]).start  # type: ignore[arg-type]
    record.write_text(record.read_text().replace(f'"start": {start}', f'"start": {start - 1}'))
    with pytest.raises(StartFailed, match="is another process now") as failed:
        await kit.executor.start(kit.spec(Marker("shop", "one", 2), pid=one.pid))
    assert failed.value.permanent


async def test_a_new_life_goes_on_in_the_same_file(kit: Kit, begin: Begin) -> None:
    (kit.root / "one.log").write_text("before\n")
    for epoch, text in enumerate((b"first\n", b"second\n"), start=1):
        one = begin("echo $$ >pid; exec sleep 1000")
        await kit.until(lambda: (kit.root / "pid").exists() and (kit.root / "pid").read_text() == f"{one.pid}\n")  # noqa: B023
        await kit.executor.start(kit.spec(Marker("shop", "one", epoch), pid_file="pid", log_file="one.log"))
        with (kit.root / "one.log").open("ab") as log:
            log.write(text)
        await kit.until(lambda: kit.output().endswith(text))  # noqa: B023
        one.kill()
        one.wait(10)
    assert kit.output() == b"before\nfirst\nsecond\n"


async def test_nothing_is_done_to_it(kit: Kit, begin: Begin) -> None:
    one = begin("exec sleep 1000")
    started = await kit.executor.start(kit.spec(pid=one.pid))
    with pytest.raises(UsageError, match="only looks on"):
        await kit.executor.signal(ONE, started.handle, signal.SIGTERM)
    with pytest.raises(UsageError, match="it only attaches"):
        await kit.executor.adopt(kit.spec(pid=one.pid), {"pid": one.pid})
    waiting = asyncio.create_task(kit.executor.wait(ONE, started.handle))
    await asyncio.sleep(0)
    assert (await kit.executor.stop(ONE, started.handle, signal=9, grace=0)).released
    with pytest.raises(Lost):
        await waiting
    await kit.executor.forget(ONE, None)
    assert await kit.executor.recover(ONE, None) == Gone()
    with pytest.raises(Lost, match="damaged handle"):
        await kit.executor.wait(Marker("shop", "other", 1), Handle("process-attach", {}))
    assert one.poll() is None


async def test_commands_run_in_its_context_or_say_why_not(kit: Kit, begin: Begin) -> None:
    one = begin("COLOUR=red exec sleep 1000")
    spec = kit.spec(pid=one.pid)
    started = await kit.executor.start(spec)
    await kit.until(lambda: b"COLOUR" in Path(f"/proc/{one.pid}/environ").read_bytes())
    session = await kit.executor.exec(ONE, started.handle, spec, ExecRequest(["sh", "-c", 'echo "$COLOUR $(pwd)"']))
    try:
        said = b"".join([data async for _, data in session.output()])
        assert (await session.wait()).success
    finally:
        await session.close()
    assert said.decode() == f"red {kit.root}\n"
    for argv, handle in ((["no-such-program"], started.handle), ([], started.handle), (["true"], None)):
        with pytest.raises(ExecNotStarted):
            await kit.executor.exec(ONE, handle, spec, ExecRequest(argv))
    one.kill()
    one.wait(10)
    with pytest.raises(ExecNotStarted, match="not ours to see"):
        await kit.executor.exec(ONE, started.handle, spec, ExecRequest(["true"]))


async def test_a_handle_of_another_kind_is_not_believed(kit: Kit, begin: Begin) -> None:
    one = begin("exec sleep 1000")
    assert isinstance(await kit.executor.recover(ONE, Handle("process", {})), Unknown)
    started = await kit.executor.start(kit.spec(pid=one.pid))
    assert isinstance(await kit.executor.recover(ONE, started.handle), Running)


async def test_without_a_place_for_its_record_nothing_is_attached(kit: Kit, begin: Begin) -> None:
    one = begin("exec sleep 1000")
    (kit.root / "state").write_text("in the way")
    with pytest.raises(StartFailed, match="cannot keep a record"):
        await kit.executor.start(kit.spec(pid=one.pid))
