"""A whole life of a stack, with one process killed, failed or delayed at one step: once for every step there is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.lab import LONG, ROOT, Lab, until
from tests.faults.life import Life
from tests.faults.points import DISK, FILLED, POINTS, in_source

pytestmark = pytest.mark.e2e

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

#: those where an error that is not met leaves most behind
FAILING = [
    "process.spawn.after",
    "keeper.spawn.after-exec",
    "keeper.exit.drained",
    "runner.spawned",
    "runner.stopped",
    "engine.publish",
]


class Armed(Life):
    """A life in which one point acts, once for all who pass it."""

    def __init__(self, lab: Lab, point: str, term: str) -> None:
        super().__init__(lab)
        self.proof = lab.root / "fired"
        self.proof.mkdir()
        self.point = point
        lab.env |= {"HARNESS_FAILPOINTS": f"{point}={term}", "HARNESS_FAILPOINTS_FIRED": str(self.proof)}

    @property
    def reached(self) -> bool:
        return (self.proof / self.point).exists()


@pytest.mark.parametrize("point", POINTS if LONG else QUICK)
def test_killed_at_this_step(lab: Lab, point: str) -> None:
    life = Armed(lab, point, "kill")
    life.tell()
    assert life.reached, "the life did not pass this point"


def test_killed_while_it_takes_back_a_start_that_could_not_be(lab: Lab) -> None:
    life = Armed(lab, "keeper.record.delete", "kill")
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
    life = Armed(lab, "process.adopt.before", "kill")
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
def test_refused_by_a_full_disk_at_this_step(lab: Lab, point: str) -> None:
    life = Armed(lab, point, "error:ENOSPC")
    life.tell()
    assert life.reached, "the life did not pass this point"


@pytest.mark.parametrize("point", POINTS if LONG else FAILING)
def test_failed_at_this_step(lab: Lab, point: str) -> None:
    life = Armed(lab, point, "error:EIO")
    life.tell()
    assert life.reached, "the life did not pass this point"


@pytest.mark.parametrize("point", POINTS if LONG else ["commit.before"])
def test_slow_at_this_step(lab: Lab, point: str) -> None:
    life = Armed(lab, point, "delay:0.7")
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
