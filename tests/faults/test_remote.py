"""Cuts between the daemon and a machine, and the daemon killed: nothing is lost, repeated, or started twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from executors.remote.command import run_of
from executors.remote.executor import RemoteExecutor
from harness_core.domain.executor import Ended, Lost, Recovery, Running, StartFailed, StartSpec, Unknown
from harness_core.domain.states import Handle, Started
from harness_core.testing.conformance import processes_with
from tests.executors.remote.conftest import Bench
from tests.sshd import Sshd

#: numbers the lines that it writes, as quickly as a tenth of a millisecond each lets it; then ends with 7
_COUNT = "i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo $i; [ $((i % 200)) != 0 ] || sleep 0.02; done; exit 7"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _expected(lines: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(1, lines + 1))


async def _found(executor: RemoteExecutor, spec: StartSpec, started: Started | None) -> Running | Ended:
    """Ask as the daemon does until the truth can be had."""
    async with asyncio.timeout(30):
        while True:
            found: Recovery = await executor.recover(spec.marker, None if started is None else started.handle)
            if not isinstance(found, Unknown):
                assert isinstance(found, Running | Ended), found
                return found
            await asyncio.sleep(0.1)


async def _exit_code(executor: RemoteExecutor, spec: StartSpec, started: Started) -> int | None:
    while True:
        found = await _found(executor, spec, started)
        if isinstance(found, Ended):
            return found.exit.code
        try:
            return (await executor.wait(spec.marker, found.started.handle)).code
        except Lost:
            continue


async def test_cuts_lose_and_repeat_nothing(sshd: Sshd, bench: Bench) -> None:
    """The link is cut again and again while output comes: by the death of what serves it, and by a server's restart."""
    lines, dice = 20_000, random.Random(7)
    spec = bench.spec("sh", "-c", _COUNT.format(lines=lines))
    started = await bench.executor.start(spec)
    ending = asyncio.create_task(_exit_code(bench.executor, spec, started))
    cuts = 0
    while not ending.done() and cuts < 12:
        await asyncio.sleep(dice.uniform(0.05, 0.4))
        if cuts % 4 == 3:
            sshd.stop()
            sshd.start()
        else:
            sshd.cut()
        cuts += 1
    assert await ending == 7
    assert cuts >= 3
    assert bench.output() == _expected(lines)
    await bench.executor.close()


async def test_a_link_that_falls_silent_is_missed_in_time(sshd: Sshd, bench: Bench) -> None:
    """Nothing is closed and nothing is refused: there is just no answer any more."""
    spec = bench.spec("sh", "-c", "sleep 3600.25 & wait; exit 7")
    started = await bench.executor.start(spec)
    waiting = asyncio.create_task(bench.executor.wait(spec.marker, started.handle))
    for pid in sshd.connections():
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Lost) as lost:
        async with asyncio.timeout(20):
            await waiting
    assert "box" in str(lost.value)
    found = await _found(bench.executor, spec, started)
    assert isinstance(found, Running)
    assert found.started.pid == started.pid
    report = await bench.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5.0)
    assert report.leftovers == ()
    await bench.executor.close()


async def test_a_start_that_is_cut_is_never_a_second_one(sshd: Sshd, bench: Bench) -> None:
    """Cut at any moment of a start: either nothing came to life, or one did, which is found."""
    for number in range(16):
        token = f"3600.{random.randrange(10**9, 10**10)}"
        spec = bench.spec("sleep", token, name=f"n{number}")
        starting = asyncio.create_task(bench.executor.start(spec))
        await asyncio.sleep(number * 0.006)
        sshd.cut()
        with contextlib.suppress(Lost, StartFailed):
            await starting
        async with asyncio.timeout(30):
            while True:
                try:
                    started = await bench.executor.start(spec)
                    break
                except (Lost, StartFailed):
                    await asyncio.sleep(0.1)
        await bench.reaches(lambda token=token: len(processes_with(token)) == 1)  # type: ignore[misc]
        report = await bench.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=0.0)
        assert report.leftovers == ()
        assert processes_with(token) == []
    await bench.executor.close()


#: a daemon that starts one service, follows it, and is killed
_DAEMON = """
import asyncio, json, sys
from pathlib import Path
from tests.executors.remote.conftest import Bench
async def main():
    bench = Bench(Path(sys.argv[1]))
    spec = bench.spec("sh", "-c", sys.argv[2])
    started = await bench.executor.start(spec)
    print(json.dumps(dict(started.handle.data)), flush=True)
    await bench.executor.wait(spec.marker, started.handle)
asyncio.run(main())
"""


async def test_the_daemon_killed_again_and_again(sshd: Sshd, bench: Bench) -> None:
    """Each next one starts the same life again, takes it back, and goes on with the log at the right byte."""
    lines, dice, seen = 20_000, random.Random(11), set()
    argv = [sys.executable, "-c", _DAEMON, str(bench.root), _COUNT.format(lines=lines)]
    for _ in range(6):
        daemon = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])  # noqa: ASYNC220 - a spawn of a millisecond
        assert daemon.stdout is not None
        handle = json.loads(await asyncio.to_thread(daemon.stdout.readline))
        seen.add((handle["pid"], handle["start"]))
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        daemon.kill()
        daemon.wait(10)
        daemon.stdout.close()
    assert len(seen) == 1
    executor = bench.come()
    spec = bench.spec("sh", "-c", _COUNT.format(lines=lines))
    started = Started(Handle("remote", handle))
    assert await _exit_code(executor, spec, started) == 7
    assert bench.output() == _expected(lines)
    assert (sshd.state / "harness/runs/tests" / run_of(spec.marker)).is_dir()
    await executor.close()


async def test_without_setsid_it_works_and_is_told(sshd: Sshd, bench: Bench, tmp_path: Path) -> None:
    """What a machine with fewer programs has: a PATH with just the ones that are needed."""
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("sh", "mkdir", "rmdir", "rm", "ls", "dd", "date", "sleep"):
        # busybox as the shell would find all that it is without any PATH
        (folder / name).symlink_to("/bin/dash" if name == "sh" else "/bin/busybox")
    sshd.stop()
    sshd.start(ForceCommand=f'PATH={folder}; export PATH; eval "$SSH_ORIGINAL_COMMAND"')
    spec = bench.spec("sleep", "3600.5")
    started = await bench.executor.start(spec)
    inspection = await bench.executor.inspect(spec.marker, started.handle)
    assert "no setsid" in inspection.details["session"]
    assert started.pid in inspection.pids
    report = await bench.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5.0)
    assert report.leftovers == ()
    assert report.exit is not None
    assert report.exit.signal == signal.SIGTERM
    await bench.executor.close()
