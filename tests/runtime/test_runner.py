"""Executors are foreign code: whatever one does, each effect is answered, and the daemon goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from harness_core.domain import news
from harness_core.domain.errors import ExecNotStarted
from harness_core.domain.executor import (
    Capabilities,
    ExecRequest,
    ExecutorPlugin,
    Gone,
    Lost,
    Marker,
    Running,
    StartFailed,
    StopReport,
)
from harness_core.domain.spec import RestartSpec, StopSpec
from harness_core.domain.states import Exit, Handle, Phase, Started
from harness_core.domain.stimuli import Give, WantDown, WantUp
from harness_core.runtime import ending, runner
from harness_core.runtime.manager import Manager
from harness_core.runtime.plugins import Plugins
from harness_core.testing.executor import MockExecResult, MockExecutor, MockOptions, MockWorld
from harness_core.testing.store import MemoryStore
from tests.domain.build import service, task
from tests.runtime.rig import PATIENCE, reach, start, until

ONCE = RestartSpec(policy="no")


@pytest.fixture(autouse=True)
def looks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "RECOVER_RETRY", 0.02)


class Rogue(MockExecutor):
    """A mock executor of which single methods can be replaced by a misdeed."""


@asynccontextmanager
async def daemon(
    tmp_path: Path, world: MockWorld, /, capabilities: Capabilities | None = None, **misdeeds: Any
) -> AsyncIterator[Manager]:
    def make(context: Any) -> MockExecutor:
        executor = Rogue(context, world, capabilities or Capabilities(adopt=True))
        for name, deed in misdeeds.items():
            setattr(executor, name, deed)
        return executor

    manager = Manager(
        tmp_path, MemoryStore(), Plugins({"mock": ExecutorPlugin("mock", MockOptions, make)}, []), instance="test"
    )
    await manager.open()
    try:
        yield manager
    finally:
        await manager.close()


def raising(error: BaseException) -> Callable[..., Awaitable[Any]]:
    async def deed(*args: Any, **options: Any) -> NoReturn:
        raise error

    return deed


def answering(answer: Any) -> Callable[..., Awaitable[Any]]:
    async def deed(*args: Any, **options: Any) -> Any:
        return answer

    return deed


async def hanging(*args: Any, **options: Any) -> None:
    await asyncio.Event().wait()


MISDEEDS = [
    (raising(ZeroDivisionError("a defect")), "ZeroDivisionError: a defect"),
    (raising(SystemExit(1)), "SystemExit: 1"),
    (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    (raising(asyncio.CancelledError()), "BadAnswer: it was cancelled from within"),
    (answering(None), "BadAnswer: it answered with NoneType"),
]
NAMES = ["raises", "exits", "interrupts", "cancels itself", "answers nothing"]
misdeeds = pytest.mark.parametrize(("deed", "words"), MISDEEDS, ids=NAMES)


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@misdeeds
async def test_a_start_that_goes_astray_is_unknown_and_looked_for(
    tmp_path: Path, deed: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with daemon(tmp_path, MockWorld(), start=deed) as manager:
        await start(manager, service("a"))
        unit = await reach(manager, "a", Phase.UNKNOWN)
        assert unit.reason.sentence.startswith(f"its start gave no answer ({words}")


async def test_a_start_that_hangs_is_given_up_at_its_deadline(tmp_path: Path) -> None:
    hasty = Capabilities(adopt=True, start_deadline=0.05)
    async with daemon(tmp_path, MockWorld(), hasty, start=hanging) as manager:
        await start(manager, service("a"))
        unit = await reach(manager, "a", Phase.UNKNOWN)
        assert unit.reason.sentence == "its start gave no answer (TimeoutError)"


@pytest.mark.parametrize(
    "answer",
    [
        Started(Handle("mock", {"path": Path("/")})),
        Started(Handle("mock", {"share": float("nan")})),
        Started(None),  # type: ignore[arg-type]
    ],
    ids=["no JSON", "no number", "no handle"],
)
async def test_a_handle_that_cannot_be_stored_is_not_believed(tmp_path: Path, answer: Started) -> None:
    async with daemon(tmp_path, MockWorld(), start=answering(answer)) as manager:
        await start(manager, service("a"))
        unit = await reach(manager, "a", Phase.UNKNOWN)
        assert "its handle cannot be stored" in unit.reason.sentence


async def test_a_start_that_failed_says_why_and_what_to_do(tmp_path: Path) -> None:
    error = StartFailed("no such file: ./api", hint="build it first", permanent=True)
    async with daemon(tmp_path, MockWorld(), start=raising(error)) as manager:
        await start(manager, service("a"))
        unit = await reach(manager, "a", Phase.FAILED)
        assert unit.reason.sentence == "no such file: ./api; build it first"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ({"type": "nobody"}, "no executor for the target type 'nobody'"),
        ({"type": "mock", "no such knob": 1}, "cannot start a: target.no such knob: Extra inputs are not permitted"),
        ({"type": "mock", "lines": ["${b.port}"]}, "b is not defined"),
    ],
)
async def test_an_order_that_cannot_be_given_fails_for_good(
    tmp_path: Path, target: dict[str, Any], sentence: str
) -> None:
    async with daemon(tmp_path, MockWorld()) as manager:
        await start(manager, service("a", target=target))
        unit = await reach(manager, "a", Phase.FAILED)
        assert sentence in unit.reason.sentence


async def test_a_start_that_cannot_be_prepared_is_a_failed_start(tmp_path: Path) -> None:
    """Nothing was begun, so there is nothing to look for."""
    (tmp_path / "outputs").write_text("in the way of the folder for outputs")
    world = MockWorld()
    async with daemon(tmp_path, world) as manager:
        await start(manager, task("t"))
        unit = await reach(manager, "t", Phase.FAILED)
        assert unit.reason.sentence.startswith("cannot prepare its start: ")
    assert world.calls == []


# ── living ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@misdeeds
async def test_a_watch_that_breaks_is_a_lost_link_and_never_an_exit(tmp_path: Path, deed: Any, words: str) -> None:
    world = MockWorld()
    async with daemon(tmp_path, world, wait=deed) as manager:
        await start(manager, service("a"))
        unit = await reach(manager, "a", Phase.UNKNOWN)
        assert unit.reason.sentence.startswith(f"watching it broke: {words}")
    assert len(world.living()) == 1


async def test_a_link_that_the_executor_calls_lost_is_told_in_its_words(tmp_path: Path) -> None:
    async with daemon(tmp_path, MockWorld(), wait=raising(Lost("the host is down"))) as manager:
        await start(manager, service("a"))
        assert (await reach(manager, "a", Phase.UNKNOWN)).reason.sentence == "the host is down"


@misdeeds
async def test_a_search_that_breaks_leaves_it_unknown(tmp_path: Path, deed: Any, words: str) -> None:
    async with daemon(tmp_path, MockWorld(), wait=raising(Lost("away")), recover=deed) as manager:
        await start(manager, service("a"))
        told = f"looking for it broke: {words}"
        await until(lambda: manager.world.units["s/a"].reason.sentence.startswith(told), manager.engine)
        assert manager.world.units["s/a"].phase is Phase.UNKNOWN


async def test_a_search_that_hangs_leaves_it_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RECOVER_DEADLINE", 0.05)
    async with daemon(tmp_path, MockWorld(), wait=raising(Lost("away")), recover=hanging) as manager:
        await start(manager, service("a"))
        await until(lambda: manager.world.units["s/a"].reason.sentence == "no answer within 0.05 s", manager.engine)


@pytest.mark.parametrize("found", [Running(None), Running(Started(Handle("mock", {"x": b""})))])  # type: ignore[arg-type]
async def test_a_search_that_finds_nonsense_leaves_it_unknown(tmp_path: Path, found: Running) -> None:
    async with daemon(tmp_path, MockWorld(), wait=raising(Lost("away")), recover=answering(found)) as manager:
        await start(manager, service("a"))
        await until(lambda: "looking for it broke" in manager.world.units["s/a"].reason.sentence, manager.engine)


async def test_a_kind_that_is_out_of_order_leaves_its_services_unknown(tmp_path: Path) -> None:
    """The plugin could not be opened in the new daemon."""
    world, store = MockWorld(), MemoryStore()
    plugin = ExecutorPlugin("mock", MockOptions, lambda context: MockExecutor(context, world, Capabilities()))
    broken = ExecutorPlugin("mock", MockOptions, lambda context: pytest.fail("cannot be made"))
    for each, phase in ((plugin, Phase.RUNNING), (broken, Phase.UNKNOWN)):
        manager = Manager(tmp_path, store, Plugins({"mock": each}, []), instance="test")
        await manager.open()
        if phase is Phase.RUNNING:
            await start(manager, service("a"))
        await reach(manager, "a", phase)
        if phase is Phase.UNKNOWN:
            assert manager.problems == ["the executor for mock cannot be opened: cannot be made"]
            assert manager.world.units["s/a"].reason.sentence == "no executor for the target type 'mock'"
        await manager.close()
    assert len(world.living()) == 1


async def test_the_places_of_one_kind_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_PLACES", 3)
    at_once, most = 0, 0
    world = MockWorld()

    async def slow(spec: Any) -> Started:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        return Started(Handle("mock", {}))

    async with daemon(tmp_path, world, start=slow, wait=hanging) as manager:
        await start(manager, *(service(f"u{n}") for n in range(12)))
        for n in range(12):
            await reach(manager, f"u{n}", Phase.RUNNING)
    assert most == 3


# ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@misdeeds
async def test_a_stop_that_breaks_has_ended_nothing(tmp_path: Path, deed: Any, words: str) -> None:
    async with daemon(tmp_path, MockWorld(), stop=deed) as manager:
        await start(manager, service("a"))
        await reach(manager, "a", Phase.RUNNING)
        await manager.engine.submit(WantDown(("s/a",)))
        told = f"cannot be ended: {words}"
        await until(lambda: manager.world.units["s/a"].reason.sentence.startswith(told), manager.engine)
        assert manager.world.units["s/a"].phase is Phase.STOPPING


async def test_a_stop_that_hangs_is_said_to_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "STOP_DEADLINE", 0.05)
    async with daemon(tmp_path, MockWorld(), stop=hanging) as manager:
        await start(manager, service("a", stop=StopSpec(timeout=0)))
        await reach(manager, "a", Phase.RUNNING)
        await manager.engine.submit(WantDown(("s/a",)))
        told = "cannot be ended: no answer within 0.05 s"
        await until(lambda: manager.world.units["s/a"].reason.sentence == told, manager.engine)
        assert manager.world.units["s/a"].deadline is not None


class Commands:
    """What a service's own stop command does, and the calls that the executor saw."""

    def __init__(self, world: MockWorld, result: MockExecResult | Exception, ends: bool = True) -> None:
        self.world, self.result, self.ends = world, result, ends
        self.asked: list[list[str]] = []
        world.on_exec = self

    def __call__(self, marker: Marker, request: ExecRequest) -> MockExecResult:
        self.asked.append(list(request.argv))
        if isinstance(self.result, Exception):
            raise self.result
        if self.ends:
            self.world.end(marker.key)
        return self.result


async def stopped(tmp_path: Path, world: MockWorld, **stop: Any) -> list[int]:
    """Stop a service with these settings; returns the signals that it was sent."""
    async with daemon(tmp_path, world) as manager:
        await start(manager, service("a", stop=StopSpec(**stop)))
        await reach(manager, "a", Phase.RUNNING)
        await manager.engine.submit(WantDown(("s/a",)))
        await reach(manager, "a", Phase.STOPPED)
    return world.instance("s/a").signals


@pytest.mark.parametrize(
    ("command", "argv"),
    [("quit now", ["/bin/sh", "-c", "quit now"]), (["quit", "${self.host}"], ["quit", "127.0.0.1"])],
)
async def test_a_stop_command_takes_the_place_of_the_signal(
    tmp_path: Path, command: str | list[str], argv: list[str]
) -> None:
    world = MockWorld()
    commands = Commands(world, MockExecResult())
    assert await stopped(tmp_path, world, command=command) == []
    assert commands.asked == [argv]


@pytest.mark.parametrize(
    "result",
    [MockExecResult(exit=Exit(code=1)), ExecNotStarted("no such file"), ZeroDivisionError("a defect")],
    ids=["failed", "not started", "broke"],
)
async def test_when_the_stop_command_fails_the_signal_is_sent_after_all(
    tmp_path: Path, result: MockExecResult | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world = MockWorld()
    Commands(world, result, ends=False)
    with caplog.at_level(logging.WARNING):
        assert await stopped(tmp_path, world, command="quit", signal="INT") == [2]
    assert "the stop command of s/a" in caplog.text


async def test_what_outlives_its_stop_command_is_killed(tmp_path: Path) -> None:
    world = MockWorld()
    Commands(world, MockExecResult(), ends=False)
    assert await stopped(tmp_path, world, command="quit", timeout=0.05) == [9]


async def test_a_kill_runs_no_stop_command(tmp_path: Path) -> None:
    world = MockWorld()
    commands = Commands(world, MockExecResult())
    assert await stopped(tmp_path, world, command="quit", timeout=0) == [9]
    assert commands.asked == []


def write_output(world: MockWorld, key: str, text: str) -> None:
    Path(world.instance(key).spec.env["HARNESS_OUTPUT"]).write_text(text)


async def test_a_task_hands_over_what_it_wrote(tmp_path: Path) -> None:
    world = MockWorld()
    async with daemon(tmp_path, world) as manager:
        await start(manager, task("t"))
        await reach(manager, "t", Phase.RUNNING)
        write_output(world, "s/t", "revision=abc\n")
        world.end("s/t")
        unit = await reach(manager, "t", Phase.COMPLETED)
        assert unit.outputs == {"revision": "abc"}


# ── forgetting, leaving ──────────────────────────────────────────────────────────────────────────────────────────────


@misdeeds
async def test_forgetting_that_breaks_leaves_only_clutter(tmp_path: Path, deed: Any, words: str) -> None:
    world = MockWorld()
    async with daemon(tmp_path, world, forget=deed) as manager:
        await start(manager, service("a"))
        await reach(manager, "a", Phase.RUNNING)
        await manager.engine.submit(Give("s/a"))
        await manager.engine.submit(WantUp(("s/a",)))
        assert (await reach(manager, "a", Phase.RUNNING)).epoch == 3


async def test_a_stack_that_is_forgotten_takes_its_output_with_it(tmp_path: Path) -> None:
    world = MockWorld()
    async with daemon(tmp_path, world) as manager:
        await start(manager, service("a", target={"type": "mock", "lines": ["hello"]}, restart=ONCE))
        await reach(manager, "a", Phase.RUNNING)
        folder = manager.logs.path("s/a")
        assert folder.exists()
        world.end("s/a")
        await reach(manager, "a", Phase.COMPLETED)
        await manager.engine.submit(Give("s"))
        async with asyncio.timeout(PATIENCE):
            while folder.exists() or not world.count("forget", "s/a"):
                await asyncio.sleep(0.005)


async def test_a_daemon_leaves_in_time_although_executors_hang(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), daemon(tmp_path, MockWorld(), start=hanging) as manager:
        await start(manager, service("a"))


@pytest.mark.parametrize("deed", [raising(SystemExit(1)), raising(ZeroDivisionError("a defect"))])
async def test_an_executor_that_does_not_close_in_order_keeps_nobody(tmp_path: Path, deed: Any) -> None:
    async with daemon(tmp_path, MockWorld(), close=deed):
        pass


async def test_an_executor_that_cannot_stop_is_not_an_executor_that_lies(tmp_path: Path) -> None:
    """Gone means that nothing is left that could tell of it: an end of unknown manner."""
    world = MockWorld()
    async with daemon(tmp_path, world, wait=raising(Lost("away")), recover=answering(Gone())) as manager:
        await start(manager, service("a", restart=ONCE))
        unit = await reach(manager, "a", Phase.FAILED)
        assert unit.reason.sentence == "exit code unknown"


async def test_what_is_left_by_a_stop_is_named(tmp_path: Path) -> None:
    report = StopReport(None, leftovers=("pid 7 (stubborn)",))
    async with daemon(tmp_path, MockWorld(), stop=answering(report)) as manager:
        await start(manager, service("a"))
        await reach(manager, "a", Phase.RUNNING)
        await manager.engine.submit(WantDown(("s/a",)))
        told = "cannot be ended: pid 7 (stubborn)"
        await until(lambda: manager.world.units["s/a"].reason.sentence == told, manager.engine)
