"""Log files cut short, emptied, removed or overwritten by somebody while they are written and followed."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.errors import DaemonUnreachable
from harness_core.runtime.keeper.segments import index_path, list_segments
from tests.faults.actor import line
from tests.faults.lab import Lab, until

pytestmark = pytest.mark.e2e

CHATTY = """
services:
  c:
    target: {type: process, shell: "{actor} c --every 0.002 --burst 5"}
    logs: {max_size: 64k, max_files: 50}
    restart: no
"""


class Following(threading.Thread):
    """Reads all output from its beginning on, and keeps each piece with its place, and what was told to be missing."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self._stream = lab.client.logs_follow(names=["c"], tail=None, follow=True)
        self.pieces: list[tuple[int, bytes]] = []
        self.gaps: list[tuple[int, int, str]] = []
        #: up to where it was told of everything
        self.place = 0
        self.trouble: list[str] = []

    def run(self) -> None:
        try:
            for header, payload in self._stream:
                self._take(header, payload)
        except DaemonUnreachable:
            return

    def _take(self, header: dict[str, Any], payload: bytes) -> None:
        if header["stream"] != "stdout":
            return
        if header["offset"] != self.place:
            self.trouble.append(f"after {self.place} came {header['offset']}")
        self.place = header["next"]
        if "gap" in header:
            self.gaps.append((header["offset"], header["next"], header["gap"]))
        else:
            self.pieces.append((header["offset"], payload))

    def __enter__(self) -> Following:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self.join(10)


class Whole:
    """All that the service has written, as it is known beforehand, by place."""

    def __init__(self) -> None:
        self._lines = 0
        self._data = bytearray()

    def piece(self, start: int, size: int) -> bytes:
        while len(self._data) < start + size:
            self._data += line("c", 1, self._lines)
            self._lines += 1
        return bytes(self._data[start : start + size])


def segments(lab: Lab) -> list[Path]:
    return [Path(one.path) for one in list_segments(str(lab.state / "logs/s/c"), "stdout")]


def emptied(lab: Lab) -> None:
    os.truncate(segments(lab)[-1], 0)


def halved(lab: Lab) -> None:
    newest = segments(lab)[-1]
    os.truncate(newest, newest.stat().st_size // 2)


def grown(lab: Lab) -> None:
    with segments(lab)[-1].open("ab") as file:
        file.write(b"a stranger was here\n" * 10)


def removed(lab: Lab) -> None:
    segments(lab)[-1].unlink()


def oldest_removed(lab: Lab) -> None:
    segments(lab)[0].unlink()


def older_halved(lab: Lab) -> None:
    older = segments(lab)[-2]
    os.truncate(older, older.stat().st_size // 2)


def all_removed(lab: Lab) -> None:
    for path in segments(lab):
        path.unlink()


def folder_removed(lab: Lab) -> None:
    away = lab.root / "away"
    (lab.state / "logs/s/c").rename(away)
    shutil.rmtree(away)


def index_removed(lab: Lab) -> None:
    Path(index_path(str(segments(lab)[-1]))).unlink()


def index_nonsense(lab: Lab) -> None:
    Path(index_path(str(segments(lab)[-1]))).write_bytes(b"\xff" * 3200)


def replaced_by_a_link(lab: Lab) -> None:
    newest = segments(lab)[-1]
    newest.unlink()
    newest.symlink_to("/etc/hostname")


def replaced_by_a_folder(lab: Lab) -> None:
    newest = segments(lab)[-1]
    newest.unlink()
    newest.mkdir()


DISTURBANCES = [
    emptied,
    halved,
    grown,
    removed,
    oldest_removed,
    older_halved,
    all_removed,
    folder_removed,
    index_removed,
    index_nonsense,
    replaced_by_a_link,
    replaced_by_a_folder,
]
#: by these nothing is lost that a follower who keeps up has not read long ago
HARMLESS = (oldest_removed, older_halved, index_removed, index_nonsense)


@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda disturb: disturb.__name__)
def test_a_follower_goes_on_and_is_told_what_is_missing(lab: Lab, disturb: Callable[[Lab], None]) -> None:
    lab.stack(CHATTY)
    lab.boot()
    lab.start()
    pid, keeper, said = lab.row("c")["pid"], lab.keeper, lab.daemon_log()
    whole = Whole()
    with Following(lab) as follower:
        for _ in range(3):
            at = follower.place
            until(lambda at=at: follower.place > at + 150_000, "it to be told of more")  # type: ignore[misc]
            disturb(lab)
        at = follower.place
        until(lambda: follower.place > at + 150_000, "it to go on")
        assert follower.trouble == []
        for start, piece in follower.pieces:
            if b"stranger" not in piece:
                assert piece == whole.piece(start, len(piece)), f"wrong bytes at {start}"
        assert sum(len(piece) for _, piece in follower.pieces) > 300_000
        assert disturb not in HARMLESS or follower.gaps == []
        for start, end, sentence in follower.gaps:
            assert start <= end
            assert "bytes are missing" in sentence
        again = lab.client.logs(names=["c"], tail=20)["lines"]
        assert len(again) == 20
    assert (lab.row("c")["pid"], lab.keeper, lab.row("c")["phase"]) == (pid, keeper, "running")
    assert "Traceback" not in lab.daemon_log().removeprefix(said)
    assert lab.stop()["ok"]
