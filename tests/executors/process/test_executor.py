"""The executor with a real keeper and real processes: start, recover, wait, stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

from harness_core.domain.executor import Ended, Gone, Marker, Running
from harness_core.domain.states import Exit

MARKER = Marker("s", "a", 1)


async def test_starts_waits_and_keeps_output(kit: Any) -> None:
    started = await kit.start(shell="echo out; echo err >&2; exit 3")
    exit = await kit.executor.wait(MARKER, started.handle)
    assert (exit.code, exit.signal) == (3, None)
    assert kit.output() == b"out\n"
    assert kit.output(stream="stderr") == b"err\n"


async def test_own_session_and_clean_birth(kit: Any) -> None:
    code = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps({
    "leads": os.getsid(0) == os.getpid() == os.getpgrp(),
    "fds": sorted(os.listdir("/proc/self/fd")),
    "umask": os.umask(0),
    "blocked": int(status["SigBlk"], 16),
    "ignored": int(status["SigIgn"], 16),
    "environment": dict(os.environ),
    "cwd": os.getcwd(),
}))
"""
    started = await kit.start(binary="/usr/bin/python3", args=["-I", "-S", "-c", code], env={"A": "1"})
    await kit.executor.wait(MARKER, started.handle)
    seen = json.loads(kit.output())
    # python ignores these two itself; 32 and 33 are the C library's own
    assert seen.pop("ignored") & ~(_bit(32) | _bit(33)) == _bit(signal.SIGPIPE) | _bit(signal.SIGXFSZ)
    assert seen == {
        "leads": True,
        "fds": ["0", "1", "2", "3"],  # the last is the listing itself
        "umask": 0o022,
        "blocked": 0,
        "environment": {"A": "1", "HARNESS_INSTANCE": "test:s/a#1", "LC_CTYPE": "C.UTF-8"},
        "cwd": str(kit.root),
    }


def _bit(signum: int) -> int:
    return 1 << (signum - 1)


async def test_start_is_idempotent(kit: Any) -> None:
    first = await kit.start(binary="sleep", args=["60"])
    second = await kit.executor.start(kit.spec(binary="sleep", args=["60"]))
    assert first.pid == second.pid


async def test_a_new_daemon_takes_everything_back(kit: Any) -> None:
    fifo = kit.root / "go"
    os.mkfifo(fifo)
    running = await kit.start("a", binary="sleep", args=["60"])
    short = await kit.start("b", stdin="go", shell="read line; exit 7")
    await kit.executor.close()
    fifo.write_text("\n")
    kit.executor = kit._new()
    await kit.executor.open()
    found = await kit.executor.recover(MARKER, running.handle)
    assert isinstance(found, Running)
    assert found.started.pid == running.pid
    assert (await kit.executor.wait(Marker("s", "b", 1), short.handle)).code == 7
    assert isinstance(await kit.executor.recover(Marker("s", "never", 1), None), Gone)
    # without the handle, as if the daemon had died before it could store it
    assert isinstance(await kit.executor.recover(MARKER, None), Running)
    ended = await kit.executor.recover(Marker("s", "b", 1), None)
    assert isinstance(ended, Ended)
    assert ended.exit.code == 7


async def test_stop_ends_everything(kit: Any) -> None:
    code = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "71"])                              # same group
subprocess.Popen(["sleep", "72"], start_new_session=True)      # its own session
subprocess.Popen(["sh", "-c", "setsid sleep 73 & exit 0"]).wait()   # double fork
stopped = subprocess.Popen(["sleep", "74"]); stopped.send_signal(signal.SIGSTOP)
print("ready"); time.sleep(60)
"""
    started = await kit.python(code)
    await kit.until_output(b"ready")
    report = await kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=0.2)
    assert report.forced
    assert report.leftovers == ()
    assert report.exit == Exit(signal=9, at=report.exit.at)
    assert await kit.executor.recover(MARKER, started.handle) == Ended(report.exit)


async def test_gentle_stop_needs_no_force(kit: Any) -> None:
    started = await kit.start(shell="trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    await kit.until_output(b"ready")
    report = await kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=5)
    assert (report.forced, report.leftovers, report.exit.code) == (False, (), 4)
    assert kit.output() == b"ready\nbye\n"


async def test_a_shorter_grace_overtakes(kit: Any) -> None:
    started = await kit.start(shell="trap '' TERM; echo ready; while :; do sleep 0.05; done")
    await kit.until_output(b"ready")
    patient = asyncio.create_task(kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=60))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        report = await kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=0)
        assert await patient == report
    assert report.forced


async def test_a_dead_keeper_is_replaced_and_nothing_is_lost(kit: Any) -> None:
    code = "for i in range(300000): print('%08d' % i)"
    started = await kit.python(code)
    waiting = asyncio.create_task(kit.executor.wait(MARKER, started.handle))
    for _ in range(5):
        old = kit.keeper
        kit.kill_keeper()
        await kit.until(lambda old=old: kit.keeper != old)
    exit = await waiting
    assert exit.code == 0
    assert kit.output() == b"".join(b"%08d\n" % i for i in range(300000))


async def test_growth_is_told(kit: Any) -> None:
    await kit.start(shell="echo one; sleep 60")
    await kit.until_output(b"one")
    async with asyncio.timeout(5):
        await kit.sink.wake.wait()
    assert kit.sink.told[0] == "s/a"
