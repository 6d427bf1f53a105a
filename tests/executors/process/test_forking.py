"""Programs that go into the background by themselves, and what claims to be one."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from executors.process import forking
from harness_core.domain.executor import Ended, Marker, Running, StartFailed, Unknown
from harness_core.domain.states import Exit
from harness_core.testing.conformance.bench import processes_with

MARKER = Marker("s", "a", 1)
#: leaves a process in a session of its own, and its pid in a file
SELF = "echo starting; (exec setsid sleep 3600.{n}) </dev/null >/dev/null 2>&1 & echo $! >x.pid"
#: one that writes over its environment, as servers do to show a title
BARE = "env -i setsid sleep 3600.{n} </dev/null >/dev/null 2>&1 & echo $! >x.pid; sleep 0.1"


@pytest.mark.parametrize("line", [SELF, BARE])
async def test_what_stays_is_the_service(kit: Any, line: str) -> None:
    started = await kit.start(shell=line.format(n=71), pid_file="x.pid")
    assert started.pid == int((kit.root / "x.pid").read_text())
    await kit.until(lambda: processes_with("3600.71") == [started.pid])
    if line is SELF:
        assert kit.output() == b"starting\n"
    again = await kit.start(shell=line.format(n=71), pid_file="x.pid")
    assert again.pid == started.pid, "the same life is not started twice"
    report = await kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=5)
    assert (report.exit.signal, report.forced, report.leftovers) == (signal.SIGTERM, False, ())
    assert processes_with("3600.71") == []


async def test_its_exit_code_is_true_and_comes_through_a_later_keeper_and_daemon(kit: Any) -> None:
    line = "(while [ ! -e end ]; do sleep 0.02; done; exit 7) </dev/null >/dev/null 2>&1 & echo $! >x.pid"
    started = await kit.start(shell=line, pid_file="x.pid")
    kit.kill_keeper()
    await kit.replace_daemon()
    found = await kit.executor.recover(MARKER, started.handle)
    assert isinstance(found, Running)
    assert found.started.pid == started.pid
    (kit.root / "end").touch()
    assert (await kit.executor.wait(MARKER, started.handle)).code == 7
    await kit.replace_daemon()
    found = await kit.executor.recover(MARKER, None)
    assert isinstance(found, Ended)
    assert found.exit.code == 7


async def test_a_start_command_that_fails_is_told_by_its_exit_code(kit: Any) -> None:
    started = await kit.start(shell="echo no such configuration >&2; exit 3", pid_file="x.pid")
    assert (await kit.executor.wait(MARKER, started.handle)).code == 3
    assert kit.output(stream="stderr") == b"no such configuration\n"


async def test_without_a_pid_file_it_was_no_start_and_nothing_is_left(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "_PID_FILE", 0.2)
    with pytest.raises(StartFailed, match="its start command has ended, and there is no pid file"):
        await kit.start(shell="setsid sleep 3600.72 </dev/null >/dev/null 2>&1 & true", pid_file="x.pid")
    assert processes_with("3600.72") == []
    started = await kit.start(epoch=2, shell=SELF.format(n=72), pid_file="x.pid")
    await kit.until(lambda: processes_with("3600.72") == [started.pid])


async def test_one_that_stays_in_the_foreground_needs_no_pid_file(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_COMMAND", 0.3)
    with pytest.raises(StartFailed, match="one that stays in the foreground needs no pid_file"):
        await kit.start(shell="exec sleep 3600.73", pid_file="x.pid")
    assert processes_with("3600.73") == []


@pytest.fixture
def strangers() -> Iterator[Callable[[], int]]:
    """Starts processes of nobody's, and tells their pids."""
    with ExitStack() as begun:

        def begin() -> int:
            one = begun.enter_context(subprocess.Popen(["sleep", "3600.74"]))
            begun.callback(one.kill)
            return one.pid

        yield begin


async def test_a_pid_file_that_names_somebody_else_is_not_believed(
    kit: Any, strangers: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "_PID_FILE", 0.2)
    line = "touch born; while [ ! -e go ]; do sleep 0.02; done"
    older = strangers()
    starting = asyncio.create_task(kit.start(shell=line, pid_file="x.pid"))
    await kit.until((kit.root / "born").exists)
    younger = strangers()
    (kit.root / "x.pid").write_text(str(younger))
    (kit.root / "go").touch()
    with pytest.raises(StartFailed, match=f"names pid {younger}, which its start command did not start"):
        await starting
    (kit.root / "x.pid").write_text(str(older))
    with pytest.raises(StartFailed, match=f"names pid {older}, which ran before its start command"):
        await kit.start("b", shell=line, pid_file="x.pid")
    assert len(processes_with("3600.74")) == 2


async def test_what_a_start_command_left_while_no_daemon_lived_is_found(kit: Any) -> None:
    starting = asyncio.create_task(kit.start(shell="sleep 0.5; " + SELF.format(n=76), pid_file="x.pid"))
    await kit.until(lambda: processes_with("0.5"))
    starting.cancel()
    await asyncio.wait([starting])
    await kit.replace_daemon()
    assert isinstance(await kit.executor.recover(MARKER, None), Unknown), "its start command has not ended yet"
    await kit.until(lambda: processes_with("3600.76"))
    found: Any = None
    while not isinstance(found, Running):
        found = await kit.executor.recover(MARKER, None)
    await kit.until(lambda: processes_with("3600.76") == [found.started.pid])
    kit.started.append((MARKER, found.started))


async def test_a_start_command_that_left_nothing_while_no_daemon_lived_has_ended(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "_PID_FILE", 0.1)
    starting = asyncio.create_task(kit.start(shell="sleep 0.5", pid_file="x.pid"))
    await kit.until(lambda: processes_with("0.5"))
    starting.cancel()
    await asyncio.wait([starting])
    await kit.replace_daemon()
    await kit.until(lambda: not processes_with("0.5"))
    found = await kit.executor.recover(MARKER, None)
    while isinstance(found, Unknown):
        found = await kit.executor.recover(MARKER, None)
    assert found == Ended(Exit(at=found.exit.at)), "how is not known, and it is no success"
