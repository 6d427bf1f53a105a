"""A machine that gives no more processes or no more memory: told as what it is, nothing half made, soon over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.domain.errors import HarnessError
from tests.faults.lab import Lab, alive, until

pytestmark = pytest.mark.e2e

PIDS = Path("/sys/fs/cgroup/pids")
MEMORY = Path("/sys/fs/cgroup/memory")


class Pids:
    """A cgroup in which there may be so many processes and threads, and no more."""

    def __init__(self) -> None:
        self._group = PIDS / f"harness-faults-{os.getpid()}"
        self._group.mkdir()

    def take(self, *pids: int) -> None:
        for pid in pids:
            (self._group / "cgroup.procs").write_text(str(pid))

    def close(self, room: int = 0) -> None:
        """Let there be so many more than there are now."""
        current = int((self._group / "pids.current").read_text())
        (self._group / "pids.max").write_text(str(current + room))

    def open(self) -> None:
        (self._group / "pids.max").write_text("max")

    def remove(self) -> None:
        self.open()
        for pid in (self._group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (PIDS / "cgroup.procs").write_text(pid)
        until(lambda: not (self._group / "cgroup.procs").read_text().split(), "the group to be empty")
        self._group.rmdir()


@pytest.fixture
def pids() -> Iterator[Pids]:
    if not os.access(PIDS, os.W_OK) or not (PIDS / "cgroup.procs").exists():
        pytest.skip("no writable cgroup for pids (version 1): run as root where it is mounted")
    group = Pids()
    yield group
    group.remove()


TWO = """
services:
  s: {target: {type: process, shell: "{actor} s --every 0.01"}, restart: no}
  t: {target: {type: process, shell: "{actor} t"}, restart: {delay: 200ms, max_delay: 200ms, burst: 0}}
"""


def test_a_keeper_that_may_not_fork_refuses_one_start_and_keeps_the_rest(lab: Lab, pids: Pids) -> None:
    lab.stack(TWO)
    lab.boot()
    lab.start("s")
    pid, keeper = lab.row("s")["pid"], lab.keeper
    pids.take(keeper)
    pids.close()
    lab.start("t", wait=False)
    row = until(lambda: (r := lab.row("t"))["phase"] == "backoff" and r, "the refusal")
    assert "no more processes" in row["reason"]
    until(lambda: lab.row("t")["restarts"] >= 3, "more of them")
    assert lab.carriers("t") == []
    assert lab.births("t") == []
    size = len(lab.output("s"))
    until(lambda: len(lab.output("s")) > size, "the other's output to go on")
    pids.open()
    until(lambda: lab.row("t")["phase"] == "running", "it to be started once it can be")
    assert (lab.keeper, lab.row("s")["pid"]) == (keeper, pid)
    until(lambda: len(lab.births("t")) == 1, "it to be born")
    assert len(lab.copies("t")) == 1


def test_a_daemon_that_may_start_no_process_and_no_thread(lab: Lab, pids: Pids) -> None:
    lab.stack(
        """
        services:
          s: {target: {type: process, shell: "{actor} s --every 0.01"}, restart: no}
          t:
            target: {type: process, shell: "{actor} t"}
            health_check: {command: "true", interval: 200ms, retries: 2}
            restart: {delay: 200ms, max_delay: 200ms, burst: 0}
        """
    )
    lab.boot()
    lab.start("s")
    pid, keeper, before = lab.row("s")["pid"], lab.keeper, lab.daemon_log()
    pids.take(int(lab.card()["pid"]), keeper)
    pids.close()
    lab.start("t", wait=False)
    row = until(lambda: (r := lab.row("t"))["phase"] == "backoff" and r, "the refusal")
    assert "no more processes" in row["reason"]
    assert lab.client.logs(names=["s"], tail=1)["lines"]
    assert lab.client.explain(name="t")["story"]
    with pytest.raises(HarnessError, match="no more processes"), lab.client.exec(name="s/s", argv=["true"]) as stream:
        _ = stream.result
    lab.stop("s/s")
    assert lab.carriers("s") == []
    assert not alive(pid)
    pids.open()
    lab.start("s", wait=False)
    until(lambda: [lab.row(name)["state"] for name in "st"] == ["ready", "ready"], "both to be there")
    assert "defect" not in lab.daemon_log()
    assert "Traceback" not in lab.daemon_log().removeprefix(before)
    assert [len(lab.copies(name)) for name in "st"] == [1, 1]


needs_memory = pytest.mark.skipif(not os.access(MEMORY, os.W_OK), reason="no writable memory cgroup: run as root")
#: takes more than it may have, a moment after it was born
GREEDY = "echo $$ >> greedy.births; exec python3 -c 'import time; time.sleep({pause}); x = bytearray(1 << 30)'"


def greedy(pause: float, more: str = "restart: no") -> str:
    shell = GREEDY.format(pause=pause)
    return f"""
        services:
          greedy:
            target: {{type: process, shell: "{shell}"}}
            limits: {{memory: 64m}}
            {more}
          other: {{target: {{type: process, shell: "{{actor}} other"}}}}
        """


def said(lab: Lab, *words: str) -> str:
    """What a person is told."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], env=lab.environment(), capture_output=True, text=True, timeout=30
    )
    return done.stdout + done.stderr


@needs_memory
def test_a_service_that_the_kernel_ended_for_want_of_memory_is_told_as_such(lab: Lab) -> None:
    lab.stack(greedy(0))
    lab.boot()
    result = lab.start()
    assert not result["ok"]
    row = lab.row("greedy")
    assert row["phase"] == "failed"
    assert (row["exit"]["code"], row["exit"]["signal"], row["exit"]["oom"]) == (None, 9, True)
    assert "out of memory" in row["reason"]
    (end,) = lab.told("exited")
    assert end["data"]["oom"] is True
    for words in (["status"], ["explain", "greedy"], ["describe", "greedy"], ["events"]):
        assert "out of memory" in said(lab, *words), words
    assert lab.row("other")["phase"] == "running"
    assert list(MEMORY.rglob("harness.*.s.greedy.*")) == [], "its cgroup is gone"


@needs_memory
@pytest.mark.parametrize("who", ["daemon", "keeper", "both"])
def test_it_is_told_as_such_by_those_who_come_after(lab: Lab, who: str) -> None:
    lab.stack(greedy(1))
    lab.boot()
    lab.start(wait=False)
    pid = until(lambda: lab.row("greedy")["pid"], "it to be born")
    frozen = lab.keeper
    if who != "keeper":
        lab.kill()
    if who != "daemon":
        os.kill(frozen, signal.SIGSTOP)
        until(lambda: not alive(pid), "its end, which the keeper does not see")
        lab.kill_keeper()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)  # the kernel's last word on it is heard, by somebody else
    until(lambda: not alive(pid), "its end")
    if who != "keeper":
        lab.boot()
    row = until(lambda: (r := lab.row("greedy"))["phase"] == "failed" and r, "it to be told")
    if who == "both":
        assert row["exit"]["signal"] is None, "nobody knows"
    else:
        assert row["exit"]["oom"]
        assert "out of memory" in row["reason"]


@needs_memory
def test_one_that_runs_out_of_memory_again_and_again_is_given_up(lab: Lab) -> None:
    lab.stack(greedy(0, "restart: {delay: 10ms, burst: 3}"))
    lab.boot()
    lab.start(wait=False)
    row = until(lambda: (r := lab.row("greedy"))["phase"] == "failed" and r, "it to be given up")
    assert "out of memory" in row["reason"]
    assert "gave up" in row["reason"]
    assert len(lab.births("greedy")) == 3
