"""The registry damaged, cut short, newer, locked, removed or moved away: services live on, nothing is started twice."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness_core.domain.errors import ReadOnly
from tests.faults.lab import LONG, Lab, alive, until

pytestmark = pytest.mark.e2e

TWO = """
services:
  a: {target: {type: process, shell: '{actor} a'}, restart: {delay: 10ms}}
  b: {target: {type: process, shell: '{actor} b'}}
"""


def up(lab: Lab) -> dict[str, int]:
    lab.stack(TWO)
    lab.boot()
    lab.start()
    os.kill(lab.row("a")["pid"], 9)  # so that not all are in their first life
    until(lambda: len(lab.births("a")) == 2 and lab.row("a")["state"] == "ready", "its second life")
    return {name: row["pid"] for name, row in lab.rows().items()}


def database(lab: Lab) -> Path:
    return lab.state / "registry.db"


def zeros(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\0" * 5 * 4096)


def noise(path: Path) -> None:
    dice = random.Random(5)
    with path.open("r+b") as file:
        for _ in range(40):
            file.seek(dice.randrange(100, path.stat().st_size))
            file.write(dice.randbytes(8))


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.rindex(b'"phase"')
    data[at + 1] ^= 4
    path.write_bytes(bytes(data))


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def nothing(path: Path) -> None:
    os.truncate(path, 0)


def text(path: Path) -> None:
    path.write_text("this is no database\n" * 100)


DAMAGES = [zeros, noise, flipped, half, nothing, text, os.unlink]


@pytest.mark.parametrize(
    "damage", DAMAGES if LONG else [noise, flipped, nothing, os.unlink], ids=lambda damage: damage.__name__
)
def test_damaged_while_no_daemon_ran(lab: Lab, damage: Callable[[Path], None]) -> None:
    pids = up(lab)
    lab.leave()  # so that all is in the one file
    damage(database(lab))
    lab.boot()
    assert all(alive(pid) for pid in pids.values()), "a service was ended"
    lab.start()  # what a person does who finds something missing
    rows = lab.settled()
    assert {name: row["pid"] for name, row in rows.items()} == pids, "something was started twice or anew"
    assert all(row["phase"] == "running" for row in rows.values())
    assert all(len(lab.copies(name)) == 1 for name in pids)
    if damage not in (os.unlink, flipped):
        assert list(lab.state.glob("registry.db.damaged-*")), "the damaged file is kept"
    if damage is not os.unlink:
        assert any("damaged" in problem for problem in lab.client.daemon_status()["problems"])
    lab.stop()
    assert not any(alive(pid) for pid in pids.values())


def test_of_a_newer_version_nothing_is_changed(lab: Lab) -> None:
    pids = up(lab)
    lab.leave()
    with closing(sqlite3.connect(database(lab))) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
    before = database(lab).read_bytes()
    process = lab.launch()
    assert process.wait(15) != 0
    assert "newer" in lab.daemon_log()
    assert "Traceback" not in lab.daemon_log()
    assert database(lab).read_bytes() == before
    assert all(alive(pid) for pid in pids.values())
    with closing(sqlite3.connect(database(lab))) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    lab.boot()
    assert {name: row["pid"] for name, row in lab.settled().items()} == pids


def test_locked_by_another_program(lab: Lab) -> None:
    pids = up(lab)
    with closing(sqlite3.connect(database(lab), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(ReadOnly) as caught:
            lab.stop("b", wait=False)
        assert 3 < time.monotonic() - began < 12
        assert "lock" in str(caught.value)
        began = time.monotonic()
        assert lab.row("b")["pid"] == pids["b"]
        assert time.monotonic() - began < 1, "reading goes on"
        other.execute("ROLLBACK")
    until(lambda: not lab.client.daemon_status()["read_only"], "the daemon to go on by itself", 15)
    assert lab.stop("b")["ok"]


def test_removed_under_a_running_daemon_it_is_written_anew_by_itself(lab: Lab) -> None:
    pids = up(lab)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database(lab)}{suffix}").unlink()
    until(lambda: database(lab).exists(), "the registry to be there again, with nobody asking", 8)
    lab.kill()
    lab.boot()
    assert {name: row["pid"] for name, row in lab.settled().items()} == pids


def test_a_state_directory_that_is_moved_away_takes_its_daemon_along(lab: Lab) -> None:
    pids = up(lab)
    moved = lab.state.with_name("moved")
    lab.state.rename(moved)
    time.sleep(0.2)  # whatever it may do to a directory of that name
    assert lab.running
    lab.kill()
    moved.rename(lab.state)
    lab.boot()
    assert {name: row["pid"] for name, row in lab.settled().items()} == pids
    assert all(len(lab.copies(name)) == 1 for name in pids)


def test_another_directory_in_its_place_is_not_written_to(lab: Lab) -> None:
    pids = up(lab)
    moved = lab.state.with_name("moved")
    lab.state.rename(moved)
    lab.state.mkdir(mode=0o700)
    time.sleep(5)  # longer than any of its rounds
    strange = [path.name for path in lab.state.rglob("*") if path.is_file()]
    assert not [name for name in strange if name.startswith(("registry", "daemon", "token"))], strange
    shutil.rmtree(lab.state)
    moved.rename(lab.state)
    assert {name: row["pid"] for name, row in lab.rows().items()} == pids
    assert all(len(lab.copies(name)) == 1 for name in pids)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace")
@pytest.mark.parametrize("injection", ["fdatasync:error=EIO:when=2+", "fdatasync:delay_enter=300000"])
def test_a_disk_that_fails_or_is_slow_to_sync(lab: Lab, injection: str) -> None:
    lab.stack(TWO)
    lab.boot()
    assert lab.process is not None
    what = ["-e", f"trace={injection.split(':')[0]}", "-e", f"inject={injection}"]
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(lab.process.pid), *what])
    try:
        until(lambda: "TracerPid:\t0" not in Path(f"/proc/{lab.card()['pid']}/status").read_text(), "the tracer")
        acknowledged = []
        for turn in range(8 if LONG else 4):
            try:
                lab.start(wait=False) if turn % 2 == 0 else lab.stop(wait=False)
                acknowledged.append(turn)
            except ReadOnly:
                began = time.monotonic()
                lab.rows()
                assert time.monotonic() - began < 1.0, "reading goes on"
    finally:
        tracer.terminate()
        tracer.wait(10)
    until(lambda: not lab.client.daemon_status()["read_only"], "the daemon to recover by itself", 15)
    lab.start()
    for name in ("a", "b"):
        assert len(lab.copies(name)) == 1
    lab.kill()
    lab.boot()
    assert all(row["phase"] == "running" for row in lab.settled().values())
