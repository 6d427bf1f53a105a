"""FIFO to segments: a full disk, somebody's hands in the folder, fairness, and files that cannot splice."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.runtime.keeper.segments import GAP, TIME, index_path, list_segments, read_index
from harness_core.runtime.keeper.streams import Mover, Stream

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


class Rig:
    """One mover, one stream, and the service's end of its FIFO."""

    def __init__(self, folder: Path, *, drop: bool = False, max_size: int = 10_000, splice: bool = True) -> None:
        self.folder = folder
        self.mover = Mover(splice=splice)
        self.stream = self.add("a", drop=drop, max_size=max_size)
        self.writer = self.open(self.stream)

    def add(self, key: str, *, drop: bool = False, max_size: int = 10_000) -> Stream:
        folder = str(self.folder / key)
        return self.mover.add(key, folder, "stdout", max_size=max_size, max_files=100, drop=drop)

    def open(self, stream: Stream) -> int:
        return os.open(f"/proc/self/fd/{stream.fifo}", os.O_RDWR)

    def turns(self) -> None:
        """Until nothing moves."""
        while self.stream.waiting() and not self.stream.blocked:
            self.mover.turn(time.monotonic())

    def stored(self, key: str = "a") -> bytes:
        return b"".join(Path(one.path).read_bytes() for one in list_segments(str(self.folder / key), "stdout"))

    def close(self) -> None:
        os.close(self.writer)
        self.mover.remove(self.stream)
        self.mover.close()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as rig:
        yield rig


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_rotates_at_the_byte_and_keeps_the_newest(tmp_path: Path) -> None:
    with Rig(tmp_path, max_size=1000) as rig:
        rig.stream.writer.max_files = 3
        data = os.urandom(5500)
        os.write(rig.writer, data)
        rig.turns()
        found = list_segments(str(tmp_path / "a"), "stdout")
        assert [one.base for one in found] == [3000, 4000, 5000]
        assert rig.stored() == data[3000:]
        assert sorted(path.suffix for path in (tmp_path / "a").iterdir()) == [".fifo", *[".idx"] * 3, *[".log"] * 3]


def test_a_silent_stream_makes_no_files(rig: Rig) -> None:
    rig.mover.turn(time.monotonic())
    assert [path.name for path in (rig.folder / "a").iterdir()] == ["stdout.fifo"]


def test_files_that_cannot_splice_are_copied_to(tmp_path: Path) -> None:
    with Rig(tmp_path, splice=False) as rig:
        data = os.urandom(30_000)
        os.write(rig.writer, data)
        rig.turns()
        assert rig.stored() == data


def test_the_fallback_is_found_out_and_announced(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "no splice here")

    monkeypatch.setattr(os, "splice", refuse)
    os.write(rig.writer, b"words\n")
    rig.turns()
    assert rig.stored() == b"words\n"
    assert not rig.stream.splices
    assert rig.stream in rig.mover.changed


@ROOT_ONLY
def test_a_full_disk_makes_the_service_wait(small: Path) -> None:
    with Rig(small, max_size=1_000_000) as rig:
        data = os.urandom(100_000)
        written = 0
        os.set_blocking(rig.writer, False)
        while not rig.stream.blocked:
            if written < len(data):
                with contextlib.suppress(BlockingIOError):
                    written += os.write(rig.writer, data[written : written + 4096])
            rig.mover.turn(time.monotonic())
        assert rig.stream.blocked == errno.ENOSPC
        before = rig.stored()
        assert data.startswith(before)
        retry = rig.mover.retry_in(time.monotonic())
        assert retry is not None
        assert retry > 0
        subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
        late = time.monotonic() + 1.0
        rig.mover.turn(late)
        assert not rig.stream.blocked
        while written < len(data):
            written += os.write(rig.writer, data[written : written + 4096])
            rig.turns()
        rig.turns()
        assert rig.stored() == data


@ROOT_ONLY
def test_a_full_disk_drops_and_counts_when_told_to(small: Path) -> None:
    with Rig(small, drop=True, max_size=1_000_000) as rig:
        data = os.urandom(200_000)
        for at in range(0, len(data), 4000):
            os.write(rig.writer, data[at : at + 4000])
            rig.turns()
        assert rig.stream.lost > 100_000
        stored = rig.stored()
        subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
        os.write(rig.writer, b"after")
        rig.turns()
        assert rig.stored() == stored + b"after"
        assert len(stored) + rig.stream.lost == len(data)
        (segment,) = list_segments(str(small / "a"), "stdout")
        gaps = [record for record in read_index(index_path(segment.path)) if record.kind == GAP]
        assert {gap.offset for gap in gaps} == {len(stored)}
        assert sum(gap.value for gap in gaps) == rig.stream.lost


@ROOT_ONLY
def test_no_inodes_left_is_like_a_full_disk(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=4", "tmpfs", str(folder)], check=True)
    try:
        with Rig(folder) as rig:
            (folder / "other").touch()
            os.write(rig.writer, b"words")
            rig.turns()
            assert rig.stream.blocked == errno.ENOSPC
            (folder / "other").unlink()
            rig.mover.turn(time.monotonic() + 1.0)
            assert rig.stored() == b"words"
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("deed", ["truncate", "append", "unlink", "rename", "folder"])
def test_somebodys_hands_in_the_folder_lose_only_what_they_touched(rig: Rig, deed: str) -> None:
    os.write(rig.writer, b"first\n")
    rig.turns()
    folder = rig.folder / "a"
    (segment,) = list_segments(str(folder), "stdout")
    match deed:
        case "truncate":
            os.truncate(segment.path, 0)
        case "append":
            with open(segment.path, "ab") as file:
                file.write(b"graffiti\n")
        case "unlink":
            os.unlink(segment.path)
        case "rename":
            os.rename(segment.path, rig.folder / "elsewhere")
        case "folder":
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    os.write(rig.writer, b"second\n")
    rig.turns()
    # what is known of the renamed one is that it still is as it was left
    if deed != "rename":
        assert list_segments(str(folder), "stdout")[-1].base == 6
        assert rig.stored().endswith(b"second\n")
    assert rig.stream.writer.end == 13


def test_a_flood_does_not_starve_a_quiet_stream(rig: Rig) -> None:
    quiet = rig.add("quiet")
    end = rig.open(quiet)
    flood = subprocess.Popen(["cat", "/dev/zero"], stdout=rig.writer)
    try:
        for round_ in range(20):
            os.write(end, b"x")
            for _ in range(2):
                rig.mover.turn(time.monotonic())
            assert quiet.writer.end == round_ + 1
    finally:
        flood.kill()
        flood.wait()
        os.close(end)
        rig.mover.remove(quiet)


def test_at_once_while_that_is_cheap_and_gathered_once_it_is_not(rig: Rig) -> None:
    now = 100.0
    pauses = []
    while not pauses or (pauses[-1] == 0 and len(pauses) < 100_000):
        os.write(rig.writer, b"line\n")
        rig.mover.turn(now)
        pauses.append(rig.mover.pause(now))
    assert len(pauses) > 10, "the first few of many lines need not wait"
    assert pauses[-1] == pytest.approx(0.008)
    now += 2.0
    assert rig.mover.pause(now) == 0
    os.write(rig.writer, b"line\n")
    rig.mover.turn(now)
    assert rig.mover.pause(now) == 0, "credit comes back"


def test_times_are_noted_when_quiet_and_not_oftener_than_needed(rig: Rig) -> None:
    for now in (10.0, 10.01, 10.02, 10.1):
        os.write(rig.writer, b"line\n")
        rig.mover.turn(now)
    (segment,) = list_segments(str(rig.folder / "a"), "stdout")
    records = list(read_index(index_path(segment.path)))
    assert [(record.kind, record.offset) for record in records] == [(TIME, 0), (TIME, 15)]
    assert abs(records[0].wall_ns / 1e9 - time.time()) < 60
