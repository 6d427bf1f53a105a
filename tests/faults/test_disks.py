"""Disks that are full or read-only, under the registry and under the logs, with a daemon and services on them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness_core.domain.errors import HarnessError, ReadOnly
from harness_core.runtime.keeper.segments import GAP, index_path, list_segments, read_index
from tests.faults.actor import line
from tests.faults.disk import Disk
from tests.faults.lab import Lab, alive, until

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="mounting file systems needs root")]

ONE = """
services:
  s: {target: {type: process, shell: '{actor} s'}, restart: no}
  t: {target: {type: process, shell: '{actor} t'}}
"""


@pytest.fixture
def disks(lab: Lab) -> Iterator[Callable[..., Disk]]:
    """Mounts; they are given room, and unmounted once the lab is closed."""
    made: list[Disk] = []

    def make(path: Path, size: str, inodes: int = 0) -> Disk:
        made.append(Disk(path, size, inodes))
        return made[-1]

    yield make
    for disk in made:
        disk.remount("rw")
        disk.empty()
    lab.close()
    for disk in made:
        disk.close()


def test_a_full_disk_under_the_registry(lab: Lab, disks: Callable[..., Disk]) -> None:
    disk = disks(lab.state, "8m")
    lab.stack(ONE)
    lab.boot()
    lab.start()
    rows = lab.rows()
    until(lambda: (lab.state / "registry.db.ballast").exists(), "the ballast")
    error = None
    deadline = time.monotonic() + 20
    while error is None:  # what the ballast gave back is soon used up as well
        assert time.monotonic() < deadline
        disk.fill()
        try:
            lab.restart("t", wait=False)
        except ReadOnly as refusal:
            error = refusal
    assert "full" in str(error)
    assert "free some space" in error.hint
    assert lab.row("s")["pid"] == rows["s"]["pid"]
    assert "full" in lab.client.daemon_status()["read_only"]
    os.kill(rows["s"]["pid"], 9)  # what happens is known all the same
    row = until(lambda: (r := lab.row("s"))["phase"] in ("stopping", "failed") and r, "the end to be seen")
    assert row["exit"] == {"code": None, "signal": 9, "oom": False} | row["exit"]
    disk.empty()
    until(lambda: not lab.client.daemon_status()["read_only"], "the daemon to recover by itself", 10)
    lab.settled("s")
    lab.restart("t")
    lab.kill()
    lab.boot()
    assert lab.settled()["s"]["exit"]["signal"] == 9, "what was only remembered has reached the disk"
    assert len(lab.copies("t")) == 1


def test_a_daemon_that_is_killed_and_started_on_a_full_disk(lab: Lab, disks: Callable[..., Disk]) -> None:
    disk = disks(lab.state, "8m")
    lab.stack(ONE)
    lab.boot()
    lab.start()
    pid = lab.row("s")["pid"]
    lab.kill()
    disk.fill()
    process = lab.launch()
    started = until(lambda: process.poll() is not None or _answers(lab), "an answer or an end")
    assert started
    assert alive(pid)
    if process.poll() is not None:
        assert "full" in lab.daemon_log() or "No space" in lab.daemon_log()
        assert "Traceback" not in lab.daemon_log()
        disk.empty()
        lab.boot()
    else:
        assert lab.row("s")["pid"] == pid
        disk.empty()
    until(lambda: not lab.client.daemon_status()["read_only"], "changes to be taken again", 10)
    lab.stop()
    assert not alive(pid)


def _answers(lab: Lab) -> bool:
    try:
        lab.client.call("hello")
    except (HarnessError, OSError):
        return False
    return True


def test_a_state_directory_that_is_read_only_after_a_crash(lab: Lab, disks: Callable[..., Disk]) -> None:
    disk = disks(lab.state, "16m")
    lab.stack("services: {s: {target: {type: process, shell: '{actor} s --every 0.01'}, restart: no}}")
    lab.boot()
    lab.start()
    pid = lab.row("s")["pid"]
    until(lambda: lab.output("s"), "output")
    lab.kill()
    lab.kill_keeper()
    disk.remount("ro")
    process = lab.launch()
    until(lambda: process.poll() is not None, "the daemon to refuse")
    assert process.returncode not in (0, None)
    assert "read-only" in lab.daemon_log().lower()
    assert "Traceback" not in lab.daemon_log()
    assert alive(pid)
    disk.remount("rw")
    lab.boot()
    assert lab.settled()["s"]["pid"] == pid
    lab.stop()
    count = int((lab.folder / "s.1.count").read_text())
    assert lab.output("s") == b"".join(line("s", 1, number) for number in range(count))


@pytest.mark.parametrize("policy", ["block", "drop"])
def test_a_full_disk_under_the_logs(lab: Lab, disks: Callable[..., Disk], policy: str) -> None:
    lab.state.mkdir(mode=0o700)
    disk = disks(lab.state / "logs", "1m")
    lab.stack(
        f"""
        services:
          flood:
            target: {{type: process, shell: "{{actor}} flood --burst 10 --lines 80000"}}
            logs: {{max_size: 128k, max_files: 1000, on_full: {policy}}}
            restart: no
          quiet: {{target: {{type: process, shell: "{{actor}} quiet"}}}}
        """
    )
    lab.boot()
    lab.start(wait=False)
    pid = until(lambda: lab.row("flood")["pid"], "the flood")
    whole = b"".join(line("flood", 1, number) for number in range(80000))
    if policy == "block":
        until(lambda: len(lab.output("flood")) > 900_000, "the disk to be full")
        time.sleep(0.5)  # it would have ended by now
        assert alive(pid), "it waits for room"
        began = time.monotonic()
        assert lab.row("quiet")["phase"] == "running"
        assert time.monotonic() - began < 1.0
        disk.remount("size=8m")
        until(lambda: not alive(pid), "the flood to end")
        lab.settled("flood")
        assert lab.output("flood") == whole
        return
    until(lambda: not alive(pid), "the flood to end, room or not")
    lab.settled("flood")
    disk.remount("size=8m")
    stored = lab.output("flood")
    assert whole.startswith(stored[:500_000])
    until(lambda: len(stored) + gaps(lab, "flood") == len(whole), "all that was dropped to be counted", 3)


def gaps(lab: Lab, name: str) -> int:
    segments = list_segments(str(lab.state / "logs/s" / name), "stdout")
    records = [record for segment in segments for record in read_index(index_path(segment.path))]
    return sum(record.value for record in records if record.kind == GAP)


def test_inodes_that_run_out_under_the_logs(lab: Lab, disks: Callable[..., Disk]) -> None:
    lab.state.mkdir(mode=0o700)
    disk = disks(lab.state / "logs", "16m", inodes=20)
    lab.stack(
        "services: {flood: {target: {type: process, shell: '{actor} flood --burst 10 --lines 5000'},"
        " logs: {max_size: 16k, max_files: 500}, restart: no}}"
    )
    lab.boot()
    lab.start(wait=False)
    pid = until(lambda: lab.row("flood")["pid"], "the flood")
    until(lambda: len(list_segments(str(lab.state / "logs/s/flood"), "stdout")) > 5, "the inodes to be used up")
    time.sleep(0.3)  # it would have ended by now
    assert alive(pid)
    disk.remount("nr_inodes=2000")
    until(lambda: not alive(pid), "the flood to end")
    lab.settled("flood")
    assert lab.output("flood") == b"".join(line("flood", 1, number) for number in range(5000))
