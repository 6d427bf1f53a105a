"""SIGKILL at any system call and at any moment: nothing that was acknowledged is lost, and nothing is half there."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
COMMITTER = [sys.executable, str(Path(__file__).with_name("committer.py"))]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
#: how many kills the loop makes; set it higher for a longer run
KILLS = int(os.environ.get("HARNESS_TEST_KILLS", "50"))

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace")


def strace(inject: str) -> list[str]:
    return [
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        "trace=" + inject.split(":")[0],
        "-e",
        "inject=" + inject,
    ]


def acknowledged(output: str) -> list[int]:
    return [int(line.split()[1]) for line in output.splitlines() if line.startswith("ack ")]


def verify(path: Path, acks: list[int]) -> int:
    """Open what is left, compare it with what was promised, and return the last number in it."""
    store = SqliteStore(path, ballast_size=0)
    try:
        assert store.damaged == []
        last = store.last_seq()
        assert last >= max(acks, default=0)
        records = store.load()
        assert [event.seq for event in store.events(limit=1_000_000)] == list(range(1, last + 1))
        # a batch is there whole or not at all: one record of its own for each event, and the last one of all
        assert set(records) == {("unit", f"shop/s{seq}") for seq in range(1, last + 1)} | (
            {("unit", "shop/db")} if last else set()
        )
        assert not last or records["unit", "shop/db"] == {"seq": last}
        assert store.damaged == []
        return last
    finally:
        store.close()


@needs_strace
@pytest.mark.parametrize("nth", range(1, 41))
def test_killed_at_the_nth_write(tmp_path: Path, nth: int) -> None:
    path = tmp_path / "state" / "registry.db"
    done = subprocess.run(
        [*strace(f"pwrite64:signal=KILL:when={nth}"), *COMMITTER, str(path)],
        env=ENV,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stderr == ""
    verify(path, acknowledged(done.stdout))


@needs_strace
@pytest.mark.parametrize("nth", range(1, 8))
def test_killed_at_the_nth_flush(tmp_path: Path, nth: int) -> None:
    path = tmp_path / "state" / "registry.db"
    done = subprocess.run(
        [*strace(f"fdatasync:signal=KILL:when={nth}"), *COMMITTER, str(path)],
        env=ENV,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    verify(path, acknowledged(done.stdout))


@needs_strace
@pytest.mark.parametrize("fault", ["fdatasync:error=EIO:when=20..22", "pwrite64:error=EIO:when=50..51"])
def test_a_disk_error_makes_a_commit_unknown_and_its_repetition_harmless(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "state" / "registry.db"
    done = subprocess.run(
        [*strace(fault), *COMMITTER, str(path), "20"], env=ENV, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "the disk reported an error" in done.stdout
    assert acknowledged(done.stdout) == list(range(1, 21))
    assert verify(path, acknowledged(done.stdout)) == 20


def test_killed_at_any_moment_again_and_again(tmp_path: Path) -> None:
    """One file through many lives; the moments are drawn from a fixed seed, the machine adds its own chance."""
    path = tmp_path / "state" / "registry.db"
    chance = random.Random(20)
    acks: list[int] = []
    for _ in range(KILLS):
        with subprocess.Popen([*COMMITTER, str(path)], env=ENV, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(chance.randrange(1, 60)):
                acks += acknowledged(child.stdout.readline())
            child.kill()
            acks += acknowledged(child.stdout.read())
        verify(path, acks)
    assert len(acks) >= KILLS
    assert len(set(acks)) == len(acks)
