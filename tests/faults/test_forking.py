"""Programs that go into the background by themselves, with daemon and keeper killed at each step of that."""

from __future__ import annotations

import os
import signal

import pytest

from harness_core.domain.errors import HarnessError
from tests.faults.lab import Lab, alive, until

pytestmark = pytest.mark.e2e

STACK = """
services:
  f:
    target:
      type: process
      shell: "echo $$ >>starts; sleep 0.2; (exec setsid sleep 1000) </dev/null >/dev/null 2>&1 & echo $! >f.pid"
      pid_file: f.pid
    restart: {delay: 10ms, burst: 0}
"""


def settle(lab: Lab) -> int:
    """Its pid once it runs, after whatever died was raised again."""

    def running() -> int:
        if not lab.running:
            lab.boot()
        try:
            row = lab.rows().get("f", {})
        except (HarnessError, OSError):
            return 0  # it died at this moment
        assert len([pid for pid in lab.carriers("f") if _is_sleep(pid)]) <= 1, "it runs twice"
        return int(row["pid"]) if row.get("phase") == "running" else 0

    return until(running, "it to run", 40)


def _is_sleep(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read() == b"sleep\x001000\0"
    except OSError:
        return False


@pytest.mark.parametrize(
    "point",
    ["process.lead.before", "keeper.lead.before-record", "keeper.lead.after-record", "keeper.exit.drained"],
)
def test_killed_at_this_step(lab: Lab, point: str) -> None:
    fired = lab.root / "fired"
    fired.mkdir()
    lab.env |= {"HARNESS_FAILPOINTS": f"{point}=kill", "HARNESS_FAILPOINTS_FIRED": str(fired)}
    lab.stack(STACK)
    lab.boot()
    lab.start(wait=False)
    pid = settle(lab)
    assert (fired / point).exists()
    assert pid == int((lab.folder / "f.pid").read_text())
    _lives_through_everything(lab, pid)


def _lives_through_everything(lab: Lab, pid: int) -> None:
    """Daemon and keeper die, and it is the same; it dies, and the end is told truly; a stop leaves nothing."""
    lab.kill()
    lab.kill_keeper()
    assert settle(lab) == pid
    os.kill(pid, signal.SIGTERM)
    until(lambda: any(event["data"]["signal"] == signal.SIGTERM for event in lab.told("exited")), "its end")
    again = settle(lab)
    assert again != pid
    lab.stop("f")
    assert not alive(again)
    assert lab.carriers("f") == []


def test_the_daemon_is_killed_while_the_start_command_runs(lab: Lab) -> None:
    lab.stack(STACK)
    lab.boot()
    lab.start(wait=False)
    until(lambda: (lab.folder / "starts").exists(), "the start command")
    lab.kill()
    pid = settle(lab)
    assert (lab.folder / "starts").read_text().count("\n") == 1
    _lives_through_everything(lab, pid)


def test_the_keeper_is_killed_while_the_start_command_runs(lab: Lab) -> None:
    lab.stack(STACK)
    lab.boot()
    lab.start(wait=False)
    until(lambda: (lab.folder / "starts").exists(), "the start command")
    lab.kill_keeper()
    pid = settle(lab)
    assert (lab.folder / "starts").read_text().count("\n") == 1
    _lives_through_everything(lab, pid)
