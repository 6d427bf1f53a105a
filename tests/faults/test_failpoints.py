"""A whole life of a stack, with one process killed at one durable step of it: once for every step there is."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from harness_core.client import fast, locate
from harness_core.domain.errors import DaemonUnreachable, HarnessError
from tests.faults.actor import line
from tests.faults.lab import LONG, ROOT, Lab, alive, until
from tests.faults.points import DISK, FILLED, POINTS, in_source

pytestmark = pytest.mark.e2e
T = TypeVar("T")

STACK = """
services:
  a:
    target: {type: process, shell: "{actor} a --every 0.005 --burst 10"}
    logs: {max_size: 16k, max_files: 4}
    restart: {delay: 10ms, burst: 0}
  b:
    target: {type: process, shell: "{actor} b"}
    dependencies: [{task: t}]
    health_check: {file: b.births, interval: 200ms}
    restart: {delay: 10ms, burst: 0}
  stubborn: {target: {type: process, shell: "{actor} stubborn --stubborn"}, stop: {timeout: 200ms}}
tasks:
  t: {target: {type: process, shell: "{actor} t --for 0.1"}, retries: 3, retry_delay: 50ms}
"""
SERVICES = ("a", "b", "stubborn")

#: those whose loss would cost most, tried in every run
QUICK = [
    "commit.before",
    "commit.after",
    "process.spawn.after",
    "keeper.record.reserved",
    "keeper.spawn.after-exec",
    "keeper.exit.before-record",
    "keeper.reap.recorded",
    "keeper.segment.opened",
    "stop.term.after",
    "stop.kill.before",
    "runner.outputs",
    "private.tokens.json.before",
]


class Life:
    """The story that is told once for each point; whoever dies in it is raised again and the step repeated."""

    def __init__(self, lab: Lab, point: str, term: str) -> None:
        self.lab = lab
        self.fired = lab.root / "fired"
        self.fired.mkdir()
        self.point = point
        lab.env |= {"HARNESS_FAILPOINTS": f"{point}={term}", "HARNESS_FAILPOINTS_FIRED": str(self.fired)}
        lab.stack(STACK)

    @property
    def reached(self) -> bool:
        return (self.fired / self.point).exists()

    def insist(self, act: Callable[[], T], what: str) -> T:
        """Do it until it succeeds, with a daemon that is started again when it is gone."""
        deadline = time.monotonic() + 40
        while True:
            if not self.lab.running:
                self.lab.launch()
            try:
                return act()
            except (HarnessError, OSError) as error:
                trouble = f"{error!r}\n{self.lab.daemon_log()[-2000:]}"
            assert time.monotonic() < deadline, f"waited for {what}: {trouble}"
            time.sleep(0.02)

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """Until it is so, and at no moment two copies of anything."""

        def look() -> T:
            for name in SERVICES:
                assert len(self.lab.copies(name)) <= 1, f"{name} runs twice"
            if not (value := condition()):
                raise DaemonUnreachable(what)
            return value

        return self.insist(look, what)

    def phase(self, name: str) -> str:
        return str(self.lab.row(name)["phase"])

    def up(self) -> bool:
        rows = self.lab.rows()
        return rows["t"]["phase"] == "completed" and all(rows[name]["state"] == "ready" for name in SERVICES)

    def tell(self) -> None:
        lab = self.lab
        self.insist(lambda: lab.start(wait=False), "the start to be acknowledged")
        self.wait(lambda: all(row["wanted"] == "up" for row in lab.rows().values()), "what was acknowledged")
        self.wait(self.up, "all to be up")
        assert lab.births("t") == lab.births("t")[:1], "the task is done once"
        self.crash()
        secret = self.insist(self.token, "a token")
        self.insist(lambda: lab.client.cert_rotate(), "a certificate")
        self.daemon_and_keeper_die()
        endpoint = self.insist(lambda: locate.local_endpoint(str(lab.state)), "the endpoint")
        self.insist(lambda: fast.call(endpoint._replace(token=secret), "hello"), "the token to be good")
        before = lab.births("b")
        self.insist(lambda: lab.restart("b", wait=False), "the restart to be acknowledged")
        self.wait(lambda: len(lab.births("b")) > len(before) and self.up(), "the restart")
        self.insist(lambda: lab.stop("stubborn", wait=False), "the stop to be acknowledged")
        self.wait(lambda: self.phase("stubborn") == "stopped", "the stop")
        assert lab.carriers("stubborn") == []
        self.insist(lambda: lab.stop(wait=False), "the last stop to be acknowledged")
        self.wait(lambda: all(self.phase(name) == "stopped" for name in SERVICES), "all to be stopped")
        assert [lab.carriers(name) for name in SERVICES] == [[], [], []]
        self.check_output()
        self.insist(self.forget, "the stack to be forgotten")

    def crash(self) -> None:
        """A death of its own: the end is told truly, and a new life follows."""
        lab = self.lab
        pid = self.wait(lambda: self.up() and lab.row("a")["pid"], "a to run")
        os.kill(pid, signal.SIGUSR1)
        self.wait(lambda: not alive(pid) and self.up() and lab.row("a")["pid"] != pid, "another life of a")
        ends = [event for event in lab.told("exited") if event["service"] == "s/a"]
        assert [event["data"]["code"] for event in ends] in ([37], [None]), "true, or told as unknown"

    def token(self) -> str:
        for row in self.lab.client.token_list()["tokens"]:
            if row["name"] == "other" and not row["revoked"]:
                self.lab.client.token_revoke(id=row["id"])
        return str(self.lab.client.token_create(name="other", role="viewer")["token"])

    def daemon_and_keeper_die(self) -> None:
        pids = {name: self.wait(lambda name=name: self.lab.row(name)["pid"], name) for name in SERVICES}  # type: ignore[misc]
        if self.lab.running:
            self.lab.kill()
        with contextlib.suppress(AssertionError):
            self.lab.kill_keeper()
        self.wait(lambda: self.up(), "all to be taken back")
        assert {name: self.lab.row(name)["pid"] for name in SERVICES} == pids

    def check_output(self) -> None:
        """What retention left of a's output is what it wrote, without a byte missing, doubled or changed."""
        whole = b""
        for birth in range(1, len(self.lab.births("a")) + 1):
            count = int((self.lab.folder / f"a.{birth}.count").read_text())
            whole += b"".join(line("a", birth, number) for number in range(count))
        stored = self.lab.output("a")
        assert stored
        assert whole.endswith(stored)

    def forget(self) -> bool:
        with contextlib.suppress(HarnessError):
            self.lab.client.stack_forget(stack="s")
        return bool(not self.lab.rows() or self._not_yet())

    def _not_yet(self) -> bool:
        raise DaemonUnreachable("the stack is still there")


@pytest.mark.parametrize("point", POINTS if LONG else QUICK)
def test_killed_at_this_step(lab: Lab, point: str) -> None:
    life = Life(lab, point, "kill")
    life.tell()
    assert life.reached, "the life did not pass this point"


def test_killed_while_it_takes_back_a_start_that_could_not_be(lab: Lab) -> None:
    life = Life(lab, "keeper.record.delete", "kill")
    broken = lab.folder / "broken"
    broken.write_text("#!/nowhere/interpreter\n")
    broken.chmod(0o755)
    lab.stack(
        "services: {s: {target: {type: process, binary: ./broken}}, a: {target: {type: process, shell: '{actor} a'}}}"
    )
    lab.boot()
    lab.start(wait=False)
    row = until(lambda: (r := lab.row("s"))["phase"] == "failed" and r, "the start to fail")
    assert "/nowhere/interpreter" in row["reason"]
    until(lambda: lab.row("a")["phase"] == "running", "the other one")
    assert len(lab.copies("a")) == 1
    assert life.reached


def test_killed_while_it_hands_back_what_the_keeper_has_no_record_of(lab: Lab) -> None:
    life = Life(lab, "process.adopt.before", "kill")
    lab.boot()
    lab.start("stubborn")
    pid = lab.row("stubborn")["pid"]
    lab.kill()
    lab.kill_keeper()
    shutil.rmtree(lab.state / "executors/process/instances")
    life.wait(lambda: life.phase("stubborn") == "running", "it to be taken back")
    assert lab.row("stubborn")["pid"] == pid
    assert lab.copies("stubborn") == [pid]
    assert life.reached
    lab.stop("stubborn")
    assert lab.carriers("stubborn") == []


@pytest.mark.parametrize("point", DISK if LONG else ["keeper.record.reserved", "private.leaf.pem.before"])
def test_refused_by_the_disk_at_this_step(lab: Lab, point: str) -> None:
    life = Life(lab, point, "error:ENOSPC")
    life.tell()
    assert life.reached, "the life did not pass this point"


@pytest.mark.parametrize("point", POINTS if LONG else ["commit.before"])
def test_slow_at_this_step(lab: Lab, point: str) -> None:
    life = Life(lab, point, "delay:0.7")
    life.tell()
    assert life.reached, "the life did not pass this point"


def test_there_are_points_at_every_durable_step() -> None:
    assert len(POINTS) >= 30
    assert set(QUICK) <= set(POINTS)
    assert {name for name in in_source() if "{}" in name} == set(FILLED)


def test_a_point_costs_nothing_unless_it_is_named(tmp_path: Path) -> None:
    code = (
        "import time, sys; sys.path.insert(0, sys.argv[1]); from failpoints import failpoint\n"
        "began = time.perf_counter()\nfor _ in range(100_000): failpoint('a')\n"
        "print(time.perf_counter() - began)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT / "harness_core/runtime/keeper")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert float(ran.stdout) < 0.1, "a microsecond a call"


@pytest.mark.parametrize(
    ("term", "code", "said"),
    [
        ("a=kill", -9, ""),
        ("b=kill", 0, "xxx"),
        ("a=2*off->kill", -9, "xx"),
        ("a=error", 1, "Input/output error"),
        ("a=error:ENOSPC", 1, "No space left on device"),
        ("b=kill; a=delay:0.01", 0, "xxx"),
        ("a=explode", 1, "is not a term"),
    ],
)
def test_terms(term: str, code: int, said: str) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from failpoints import failpoint\n"
        "for _ in range(3): failpoint('a'); print('x', end='', flush=True)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(ROOT / "harness_core/runtime/keeper")],
        capture_output=True, text=True, env={"HARNESS_FAILPOINTS": term},
    )  # fmt: skip
    assert ran.returncode == code
    assert said in ran.stdout + ran.stderr


def test_a_point_acts_once_for_all_who_share_an_account(tmp_path: Path) -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); from failpoints import failpoint; failpoint('a')"
    env = {"HARNESS_FAILPOINTS": "a=kill", "HARNESS_FAILPOINTS_FIRED": str(tmp_path)}
    arguments = [sys.executable, "-I", "-S", "-c", program, str(ROOT / "harness_core/runtime/keeper")]
    assert [subprocess.run(arguments, env=env).returncode for _ in range(2)] == [-9, 0]
    assert (tmp_path / "a").exists()
