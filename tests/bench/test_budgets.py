"""What the figures rest on, counted instead of timed, so that it holds on a busy machine as well."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.domain.outcome import Goal
from harness_core.domain.stimuli import Spawned
from harness_core.doors.operations import following
from tests.bench.bench import Outcome, Pair, Row
from tests.bench.ours import Ours, ours
from tests.bench.table import table
from tests.bench.workloads import ALL
from tests.domain.build import Play, service, started

ROOT = Path(__file__).resolve().parents[2]
#: what nobody needs who only opens a stream
HEAVY = {
    "asyncio",
    "click",
    "dataclasses",
    "email",
    "inspect",
    "logging",
    "pydantic",
    "websockets",
    "yaml",
    "subprocess",
}
WATCHED = 4.0


def test_a_stream_needs_the_standard_library_alone() -> None:
    program = "import harness_core.client.stream, harness.cli.follow, harness.cli.verbs.start, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not HEAVY & set(done.stdout.split())


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Ours]:
    with ours(tmp_path) as one:
        yield one


@pytest.mark.e2e
@pytest.mark.slow
def test_nothing_is_done_while_nothing_happens(harness: Ours) -> None:
    """Waking up is counted by the kernel. Only the heartbeat between daemon and keeper may be, however many run."""
    harness.define_many(20)
    harness.run("start", str(harness.stack), "-q")
    time.sleep(2)  # the last words about the start
    before = [_wakeups(pid) for pid in harness.both]
    time.sleep(WATCHED)
    daemon, keeper = (_wakeups(pid) - then for pid, then in zip(harness.both, before, strict=True))
    assert keeper <= WATCHED * 2
    assert daemon <= WATCHED * 4


def _wakeups(pid: int) -> int:
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        line = next(line for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))
        total += int(line.split()[1])
    return total


def test_each_unit_is_judged_once_for_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred units that come up one after the other are not gone through a hundred times each."""
    play = Play(*(service(f"s{i}") for i in range(100)))
    judged: list[str] = []
    judge = following.judge
    monkeypatch.setattr(following, "judge", lambda unit, goal, now: judged.append(unit.key) or judge(unit, goal, now))
    verdicts = following._Verdicts({f"s/s{i}": Goal.READY for i in range(100)})
    for i in range(100):
        play.feel(Spawned(f"s/s{i}", 1, started()))
        verdicts.pass_on(play.world.units, play.now)
    assert verdicts.pending
    verdicts.pass_on(play.world.units, play.now + 1)
    assert not verdicts.pending
    assert list(verdicts.order) == [f"s/s{i}" for i in range(100)]
    # each at first, when it was up, and once it had been up for a moment
    assert len(judged) <= 300


def test_every_workload_has_rows_of_its_own() -> None:
    names = [row.name for workload in ALL.values() for row in workload.ROWS]
    assert len(names) == len(set(names)) > len(ALL)


def test_verdicts() -> None:
    below = Outcome(Row("a", "a", "s", 1.2, "s6"), [Pair(1.0, 1.0), Pair(3.0, 1.0), Pair(1.1, 1.0)])
    assert (below.figure, below.ratio, below.met) == (1.1, 1.1, True)
    above = Outcome(Row("b", "b", "lines/s", 100, at_least=True), [Pair(99)])
    assert not above.met
    broke = Outcome(Row("c", "c", "s", 1))
    assert not broke.met
    assert [line.split("|")[-2].strip() for line in table([below, above, broke]).splitlines()[2:]] == [
        "met",
        "MISSED",
        "MISSED",
    ]
