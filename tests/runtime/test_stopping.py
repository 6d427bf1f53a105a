"""Who belongs to a tree, and how all of it is ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.runtime.keeper.procfs import MARKER, Stat, read_stat
from harness_core.runtime.processes import ProcessIdentity, ProcessTable, Scanner
from harness_core.runtime.stopping import Grace, Tree, stop_tree


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], env={MARKER: "m:s/a#1"}, start_new_session=True) as process:
        yield process
        process.kill()


def identity(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    found = ProcessIdentity.of(process.pid)
    assert found is not None
    return found


def stat(pid: int, *, ppid: int = 1, session: int, start: int = 100) -> Stat:
    return Stat(pid, "x", "S", ppid, session, session, start, 0)


def members(tree: Tree, *stats: Stat, markers: dict[int, str] | None = None) -> set[int]:
    return {one.pid for one in tree.members(ProcessTable(stats, markers or {}))}


def test_who_belongs_to_a_tree() -> None:
    boot = identity_of_self().boot_id
    tree = Tree(ProcessIdentity(10, 100, boot), "m:s/a#1", spared=frozenset({5}))
    leader, child = stat(10, session=10), stat(11, ppid=10, session=10)
    away = stat(12, ppid=11, session=12)
    orphan, stranger = stat(13, ppid=5, session=13), stat(20, session=20)
    keeper = stat(5, session=5)
    marks = {13: "m:s/a#1", 20: "m:s/a#12", 5: "m:s/a#1"}
    assert members(tree, leader, child, away, orphan, stranger, keeper, markers=marks) == {10, 11, 12, 13}
    # the leader has gone, what it left moves to the keeper; who was seen before is still known
    assert members(tree, child._replace(ppid=5), away._replace(ppid=5), stranger, keeper) == {11, 12}
    # the leader's number is another's now, and so is a session of that number
    assert members(tree, stat(10, session=10, start=900), stat(30, ppid=10, session=10, start=901)) == set()


def test_a_process_that_is_not_ours_brings_no_session() -> None:
    boot = identity_of_self().boot_id
    shell, job = stat(9, session=9), stat(10, ppid=9, session=9)
    tree = Tree(ProcessIdentity(10, 100, boot))
    assert members(tree, shell, job, stat(11, ppid=10, session=9), stat(12, ppid=9, session=9)) == {10, 11}
    other = Tree(ProcessIdentity(10, 100, "another boot"))
    assert members(other, job) == set()


def identity_of_self() -> ProcessIdentity:
    found = ProcessIdentity.of(os.getpid())
    assert found is not None
    return found


async def test_grace_may_be_shortened_but_not_lengthened() -> None:
    grace = Grace(60)
    waiting = asyncio.create_task(grace.wait(None))
    await asyncio.sleep(0)
    grace.shorten(0)
    async with asyncio.timeout(5):
        await waiting
    grace.shorten(60)
    assert grace.left == 0


async def test_a_stopped_process_ends_gently(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.send_signal(signal.SIGSTOP)
    outcome = await stop_tree(Tree(identity(sleeper)), signal.SIGTERM, Grace(10), Scanner())
    assert (outcome.forced, outcome.leftovers) == (False, ())
    assert sleeper.wait() == -signal.SIGTERM


PARENT = """
import os, signal, subprocess, sys, time
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), os._exit(0)))
    print("ready", flush=True); time.sleep(60)
subprocess.Popen([sys.executable, "-I", "-S", __file__, "child"], start_new_session=True)
time.sleep(60)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One that ends at once, with a child in a session of its own that takes its time."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    argv = [sys.executable, "-I", "-S", str(script)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


async def test_children_get_the_rest_of_the_grace(parent: subprocess.Popen[bytes]) -> None:
    outcome = await stop_tree(Tree(identity(parent), "m"), signal.SIGTERM, Grace(10), Scanner())
    assert (outcome.forced, outcome.leftovers) == (False, ())


@pytest.mark.skipif(
    not os.access("/sys/fs/cgroup/freezer", os.W_OK) or read_stat(1) is None, reason="no writable freezer cgroup (v1)"
)
async def test_a_frozen_process_is_thawed_and_ended(sleeper: subprocess.Popen[bytes]) -> None:
    folder = f"/sys/fs/cgroup/freezer/harness-test-{os.getpid()}"
    os.mkdir(folder)
    try:
        _write(f"{folder}/cgroup.procs", str(sleeper.pid))
        _write(f"{folder}/freezer.state", "FROZEN")
        outcome = await stop_tree(Tree(identity(sleeper)), signal.SIGTERM, Grace(0.05), Scanner())
        assert outcome.leftovers == ()
        sleeper.wait()
    finally:
        _write(f"{folder}/freezer.state", "THAWED")
        os.rmdir(folder)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
