"""The process kit on real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness_core.runtime.keeper.procfs import MARKER
from harness_core.runtime.processes import ProcessIdentity, ProcessTable, Scanner, wait_pidfd


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], env={MARKER: "m:s/a#1"}, start_new_session=True) as process:
        yield process
        process.kill()


def identity(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    found = ProcessIdentity.of(process.pid)
    assert found is not None
    return found


def test_identity_survives_json_and_knows_its_own(sleeper: subprocess.Popen[bytes]) -> None:
    one = identity(sleeper)
    assert ProcessIdentity.from_data(one.to_data()) == one
    assert one.alive()
    for other in (
        replace(one, start=one.start + 1),
        replace(one, boot_id="another"),
        replace(one, inode=one.inode + 1),
    ):
        assert other.open() is None
        assert not other.signal(signal.SIGKILL)
    assert one.alive()


def test_a_zombie_is_dead_but_tells_its_exit(sleeper: subprocess.Popen[bytes]) -> None:
    one = identity(sleeper)
    assert one.signal(signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not one.alive()
    assert ProcessIdentity.of(sleeper.pid) is None
    assert one.exit_status() == signal.SIGKILL
    sleeper.wait()
    assert not one.signal(signal.SIGKILL)
    assert one.exit_status() is None


def test_a_group_is_signalled_only_by_its_leader() -> None:
    with subprocess.Popen(["sleep", "60"]) as member:  # in the group of the tests themselves
        assert identity(member).signal(signal.SIGTERM, group=True)
        assert member.wait() == -signal.SIGTERM


def test_markers_are_found(sleeper: subprocess.Popen[bytes]) -> None:
    table = ProcessTable.read()
    assert [stat.pid for stat in table.marked("m:s/a#1")] == [sleeper.pid]
    assert table.marked("m:s/a#11") == []
    assert sleeper.pid in table.descendants([os.getpid()])


async def test_those_who_ask_together_share_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    scans = []
    monkeypatch.setattr(ProcessTable, "read", classmethod(lambda cls, _before: scans.append(1) or cls([], {})))
    scanner = Scanner()
    first = asyncio.gather(*(scanner.table() for _ in range(50)))
    await asyncio.sleep(0)
    await first
    assert len(scans) == 1
    await scanner.table()
    assert len(scans) == 2


def test_markers_are_read_once_for_each_exec() -> None:
    """A scan after another one reads only what is new; who calls exec has another environment, also under its pid."""
    script = "read line; exec env HARNESS_INSTANCE=other sleep 60"
    pipe = subprocess.PIPE
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=pipe, env={"HARNESS_INSTANCE": "one"}) as shell:
        assert shell.stdin is not None
        first = ProcessTable.read()
        while shell.pid not in first.markers:  # the kernel tells of an exec before its environment is in place
            first = ProcessTable.read()
        again = ProcessTable.read(first)
        assert first.markers[shell.pid] == again.markers[shell.pid] == "one"
        assert first.has_not_changed(again.stats[shell.pid])
        shell.stdin.write(b"go\n")
        shell.stdin.flush()
        now = again
        while now.stats[shell.pid].name != "sleep":
            now = ProcessTable.read(now)
        assert now.markers[shell.pid] == "other"
        assert not again.has_not_changed(now.stats[shell.pid])
        shell.kill()


async def test_waiting_for_the_end(sleeper: subprocess.Popen[bytes]) -> None:
    fd = identity(sleeper).open()
    assert fd is not None
    waiting = asyncio.create_task(wait_pidfd(fd))
    sleeper.kill()
    async with asyncio.timeout(5):
        await waiting
    os.close(fd)
