"""The mock's knobs do what they say; that it keeps the contract is for the conformance suite to say."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.errors import ExecNotStarted
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
from harness_core.domain.states import Endpoint, Exit
from harness_core.testing.executor import MockExecResult, MockExecutor, MockOptions, MockWorld, mock_plugin
from harness_core.testing.logs import FileLogSink, read_stream


class Kit:
    def __init__(self, root: Path) -> None:
        self.world = MockWorld()
        self.logs = FileLogSink(root)
        self.plugin = mock_plugin(self.world)
        self.executor = self.another()

    def another(self) -> MockExecutor:
        executor = self.plugin.factory(ExecutorContext(self.logs.root, self.logs, "test"))
        assert isinstance(executor, MockExecutor)
        return executor

    def spec(self, epoch: int = 1, **knobs: Any) -> StartSpec:
        marker = Marker("shop", "db", epoch)
        return StartSpec(
            marker, MockOptions(**knobs), {}, self.logs.root, ports={"http": 80}, schemes={"http": "https"}
        )


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    kit = Kit(tmp_path)
    await kit.executor.open()
    yield kit
    await kit.executor.close()


async def test_it_stays_until_a_test_ends_it(kit: Kit) -> None:
    spec = kit.spec()
    started = await kit.executor.start(spec)
    assert started.endpoints == {"http": Endpoint("127.0.0.1", 80, "https")}
    waiting = asyncio.create_task(kit.executor.wait(spec.marker, started.handle))
    await asyncio.sleep(0)
    assert not waiting.done()
    kit.executor.end("shop/db", Exit(code=3))
    assert await waiting == Exit(code=3)
    kit.world.end("shop/db")
    assert kit.world.instance("shop/db").exit == Exit(code=3)


async def test_it_ends_by_itself(kit: Kit) -> None:
    spec = kit.spec(run_for="10ms", exit_signal=int(signal.SIGSEGV))
    started = await kit.executor.start(spec)
    assert await kit.executor.wait(spec.marker, started.handle) == Exit(signal=signal.SIGSEGV)


async def test_starts_fail_as_often_as_told(kit: Kit) -> None:
    for epoch in (1, 2):
        with pytest.raises(StartFailed, match="not today") as failed:
            await kit.executor.start(kit.spec(epoch, start_error="not today", start_errors=2))
        assert not failed.value.permanent
    await kit.executor.start(kit.spec(3, start_error="not today", start_errors=2))
    assert (kit.world.births, kit.world.count("start", "shop/db")) == ({"shop/db": 1}, 3)


async def test_a_failure_may_be_permanent(kit: Kit) -> None:
    with pytest.raises(StartFailed) as failed:
        await kit.executor.start(kit.spec(start_error="no binary", start_error_permanent=True))
    assert failed.value.permanent


async def test_lines_go_to_the_log(kit: Kit) -> None:
    await kit.executor.start(kit.spec(lines=["one", "tow ✓"], error_lines=["bad"]))
    folder = kit.logs.directory("shop/db")
    assert read_stream(folder, "stdout") == "one\ntow ✓\n".encode()
    assert read_stream(folder, "stderr") == b"bad\n"
    assert kit.logs.grown == ["shop/db", "shop/db"]


async def test_a_stop_in_vain_names_what_is_left(kit: Kit) -> None:
    spec = kit.spec(kill_fails=True, ignore_term=True)
    started = await kit.executor.start(spec)
    report = await kit.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=0.01)
    assert report.leftovers == (f"pid {started.pid}",)
    assert kit.world.living("shop/db")[0].signals == [signal.SIGTERM, signal.SIGKILL]
    kit.world.end("shop/db")


async def test_it_may_take_its_time_and_choose_its_code(kit: Kit) -> None:
    spec = kit.spec(stop_delay=0.02, term_code=143, run_for=60)
    started = await kit.executor.start(spec)
    report = await kit.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5)
    assert (report.exit, report.forced) == (Exit(code=143), False)


async def test_harmless_signals_end_nothing(kit: Kit) -> None:
    spec = kit.spec()
    started = await kit.executor.start(spec)
    for signum in (signal.SIGCONT, signal.SIGWINCH):
        await kit.executor.signal(spec.marker, started.handle, signum)
    assert len(kit.world.living()) == 1


async def test_after_a_restart_the_truth_may_take_a_while(kit: Kit) -> None:
    spec = kit.spec(unknown_for="50ms")
    started = await kit.executor.start(spec)
    assert isinstance(await kit.executor.recover(spec.marker, started.handle), Running)
    await kit.executor.close()
    await asyncio.sleep(0.001)
    second = kit.another()
    await second.open()
    assert isinstance(await second.recover(spec.marker, started.handle), Unknown)
    with pytest.raises(Lost):
        await second.wait(spec.marker, started.handle)
    await asyncio.sleep(0.06)
    assert isinstance(await second.recover(spec.marker, started.handle), Running)
    await second.close()


async def test_a_service_may_be_out_of_reach(kit: Kit) -> None:
    spec = kit.spec()
    started = await kit.executor.start(spec)
    kit.world.unreachable.add("shop/db")
    assert isinstance(await kit.executor.recover(spec.marker, started.handle), Unknown)
    kit.world.unreachable.clear()
    assert isinstance(await kit.executor.recover(spec.marker, started.handle), Running)


async def test_what_is_forgotten_lives_on(kit: Kit) -> None:
    spec = kit.spec()
    started = await kit.executor.start(spec)
    await kit.executor.forget(spec.marker, started.handle)
    assert await kit.executor.recover(spec.marker, started.handle) == Gone()
    assert len(kit.world.living("shop/db")) == 1


async def test_an_end_while_no_daemon_lives(kit: Kit) -> None:
    spec = kit.spec(run_for="10ms", exit_code=5)
    await kit.executor.start(spec)
    await kit.executor.close()
    await asyncio.sleep(0.02)
    second = kit.another()
    await second.open()
    assert await second.recover(spec.marker, None) == Ended(Exit(code=5))
    await second.close()


async def test_adopted_and_inspected(kit: Kit) -> None:
    spec = kit.spec()
    started = await kit.executor.adopt(spec, {"pid": 4})
    assert (await kit.executor.inspect(spec.marker, started.handle)).pids == (started.pid,)
    kit.world.end("shop/db")
    assert (await kit.executor.inspect(spec.marker, started.handle)).pids == ()


async def test_commands_are_answered_by_the_test(kit: Kit) -> None:
    spec = kit.spec()
    session = await kit.executor.exec(spec.marker, None, spec, ExecRequest(["echo", "it"]))
    assert [part async for part in session.output()] == [("stdout", b"echo it\n")]
    assert await session.wait() == Exit(code=0)
    kit.world.on_exec = lambda marker, request: MockExecResult(stderr=b"no\n", exit=Exit(code=9))
    session = await kit.executor.exec(spec.marker, None, spec, ExecRequest(["false"]))
    assert [part async for part in session.output()] == [("stderr", b"no\n")]
    assert await session.wait() == Exit(code=9)
    await session.signal(signal.SIGINT)
    assert await session.wait() == Exit(signal=signal.SIGINT)


async def test_a_command_may_be_refused(kit: Kit) -> None:
    spec = kit.spec()
    with pytest.raises(ExecNotStarted):
        await MockExecutor(ExecutorContext(kit.logs.root, kit.logs, "t"), MockWorld(), kit.executor.capabilities).exec(
            spec.marker, None, spec, ExecRequest([])
        )


def test_a_service_without_an_instance() -> None:
    with pytest.raises(KeyError):
        MockWorld().instance("shop/db")
