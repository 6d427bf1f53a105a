"""The disk runs full, or turns read-only: facts still get in while the ballast lasts, reading never stops."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.domain.events import Event, EventType
from harness_core.domain.store import Batch, StoreError
from registry.ballast import Ballast
from registry.sqlite import SqliteStore

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    directory = tmp_path / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", directory], check=True)
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def fill(directory: Path, *, leave: int = 0) -> Path:
    """Take every free byte but ``leave``."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(directory).free - leave, 1))
    return filler


def batch(seq: int, size: int = 4000) -> Batch:
    return Batch({("unit", f"shop/s{seq}"): {"filler": "x" * size}}, [Event(seq, 0.0, EventType.STATE, "shop/db")])


def commit_until_refused(store: SqliteStore, first: int) -> tuple[int, StoreError]:
    for seq in range(first, first + 200):
        try:
            store.commit(batch(seq))
        except StoreError as error:
            return seq, error
    raise AssertionError("the disk never became full")


@needs_mount
def test_a_full_disk_refuses_commits_and_lets_reading_go_on(small: Path) -> None:
    store = SqliteStore(small / "registry.db", ballast_size=0)
    store.commit(batch(1))
    filler = fill(small)
    refused, error = commit_until_refused(store, 2)
    assert error.message.endswith("the disk is full")
    assert error.hint == "free some space; it goes on by itself"
    assert store.last_seq() == refused - 1
    assert len(store.load()) == refused - 1
    filler.unlink()
    store.commit(batch(refused))
    assert store.last_seq() == refused
    store.close()


@needs_mount
def test_the_ballast_is_given_before_anything_is_refused(small: Path) -> None:
    store = SqliteStore(small / "registry.db", ballast_size=32 * 1024)
    ballast = small / "registry.db.ballast"
    assert ballast.stat().st_blocks * 512 >= 32 * 1024
    store.commit(batch(1))
    fill(small)
    before, _ = commit_until_refused(store, 2)
    assert not ballast.exists()
    assert before > 2  # what fits into the ballast got in
    store.close()


@needs_mount
def test_a_full_disk_at_the_start_costs_the_ballast_only(small: Path) -> None:
    SqliteStore(small / "registry.db", ballast_size=48 * 1024).close()
    fill(small)
    store = SqliteStore(small / "registry.db", ballast_size=48 * 1024)
    store.commit(batch(1, size=10))
    assert store.last_seq() == 1
    assert not (small / "registry.db.ballast").exists()
    store.close()


@needs_mount
def test_no_room_at_all_is_said_and_leaves_nothing(small: Path) -> None:
    filler = fill(small)
    with pytest.raises(StoreError, match=r"cannot open the registry at .*: the disk is full"):
        SqliteStore(small / "registry.db")
    assert list(small.iterdir()) == [filler]


@needs_mount
def test_a_read_only_file_system_is_said_and_not_touched(small: Path) -> None:
    path = small / "registry.db"
    store = SqliteStore(path, ballast_size=0)
    store.commit(batch(1))
    store.close()
    before = path.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    for name in ("registry.db", "another.db"):
        with pytest.raises(StoreError, match=r"cannot open the registry at .*: its file system is read-only"):
            SqliteStore(small / name)
    subprocess.run(["mount", "-o", "remount,rw", small], check=True)
    assert path.read_bytes() == before
    again = SqliteStore(path, ballast_size=0)
    assert again.last_seq() == 1
    again.close()


def test_the_ballast_is_made_again_when_there_is_room(tmp_path: Path) -> None:
    now = 0.0
    ballast = Ballast(tmp_path / "ballast", 8192, monotonic=lambda: now)
    ballast.keep()
    assert (tmp_path / "ballast").stat().st_size == 8192
    assert ballast.release()
    assert not ballast.release()
    ballast.keep()
    assert not (tmp_path / "ballast").exists()  # not at once: the disk was full a moment ago
    now = 11.0
    ballast.keep()
    assert (tmp_path / "ballast").stat().st_size == 8192


def test_a_ballast_of_an_earlier_daemon_is_kept_and_a_torn_one_replaced(tmp_path: Path) -> None:
    (tmp_path / "ballast").write_bytes(b"\0" * 8192)
    whole = (tmp_path / "ballast").stat().st_ino
    Ballast(tmp_path / "ballast", 8192).keep()
    assert (tmp_path / "ballast").stat().st_ino == whole
    (tmp_path / "ballast").write_bytes(b"\0" * 100)
    Ballast(tmp_path / "ballast", 8192).keep()
    assert (tmp_path / "ballast").stat().st_size == 8192


def test_without_a_size_there_is_none(tmp_path: Path) -> None:
    Ballast(tmp_path / "ballast", 0).keep()
    assert list(tmp_path.iterdir()) == []


@needs_mount
def test_a_ballast_never_takes_the_last_room(small: Path) -> None:
    Ballast(small / "ballast", 100 * 1024).keep()
    assert list(small.iterdir()) == []
