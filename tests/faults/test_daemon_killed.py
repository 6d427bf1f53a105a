"""SIGKILL of the daemon at random moments under load: nothing stops, nothing is started twice, nothing is forgotten."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest

from harness_core.domain.errors import HarnessError
from tests.faults.actor import line
from tests.faults.lab import LONG, Lab, alive, until
from tests.faults.tally import Tally

pytestmark = pytest.mark.e2e

#: how often; ``HARNESS_FAULTS_KILLS`` says otherwise
KILLS = int(os.environ.get("HARNESS_FAULTS_KILLS", "1000" if LONG else "200"))
QUIET = [f"quiet{n}" for n in range(76 if LONG else 6)]
CHATTY = [f"chatty{n}" for n in range(20 if LONG else 3)]


def stack() -> str:
    quiet = "".join(f"  {n}: {{target: {{type: process, shell: '{{actor}} {n}'}}, restart: no}}\n" for n in QUIET)
    chatty = "".join(
        f"  {n}: {{target: {{type: process, shell: '{{actor}} {n} --every 0.01 --burst 20'}},"
        f" logs: {{max_size: 64k, max_files: 5000}}, restart: no}}\n"
        for n in CHATTY
    )
    return f"services:\n{quiet}{chatty}" + (
        "  comes: {target: {type: process, shell: '{actor} comes'}, restart: no}\n"
        "  slow:\n    target: {type: process, shell: '{actor} slow'}\n    health_check: {file: slow.ready}\n"
        "    start_timeout: 600s\n    restart: no\n"
        "  stubborn: {target: {type: process, shell: '{actor} stubborn --stubborn'}, stop: {timeout: 1s}}\n"
        "  crash: {target: {type: process, shell: 'exit 3'}, restart: {delay: 300ms, max_delay: 300ms, burst: 0}}\n"
    )


def written(lab: Lab, name: str) -> bytes:
    """What a service that has ended must have left, from what it wrote down itself."""
    whole = b""
    for birth in range(1, len(lab.births(name)) + 1):
        count = int((lab.folder / f"{name}.{birth}.count").read_text())
        whole += b"".join(line(name, birth, number) for number in range(count))
    return whole


class Trouble(threading.Thread):
    """Keeps asking for something that is under way when the daemon dies; an unanswered wish may or may not hold."""

    def __init__(self, lab: Lab, name: str, verb: str) -> None:
        super().__init__(name=f"{verb} {name}")
        self._lab, self._name, self._verb = lab, name, verb
        self.acknowledged = False

    def run(self) -> None:
        try:
            if self._verb == "stop":
                self._lab.stop(self._name, wait=False)
            elif self._verb == "start":
                self._lab.start(self._name, wait=False)
            else:
                self._lab.restart(self._name, wait=False)
            self.acknowledged = True
        except (HarnessError, OSError):
            return


@pytest.mark.timeout(7200 if LONG else 600)
def test_killed_at_random_moments_everything_goes_on_as_it_was_wanted(lab: Lab, tally: Tally) -> None:
    dice = random.Random(os.environ.get("HARNESS_FAULTS_SEED", "1"))
    lab.stack(stack())
    lab.boot()
    lab.start(wait=False)
    until(lambda: all(lab.row(name)["phase"] == "running" for name in [*QUIET, *CHATTY]), "all to run")
    before = {name: lab.row(name)["pid"] for name in [*QUIET, *CHATTY]}
    slowest = 0.0
    for _ in range(KILLS):
        troubles = [
            Trouble(lab, "comes", dice.choice(["start", "stop", "restart"])),
            Trouble(lab, "stubborn", dice.choice(["start", "stop", "restart"])),
        ]
        for trouble in troubles:
            trouble.start()
        time.sleep(dice.random() * 0.15)  # the random moment
        lab.kill()
        for trouble in troubles:
            trouble.join(30)
        boot = lab.boot()
        rows = until(lambda: _all_found(lab), "all to be taken back", 10)
        slowest = max(slowest, boot)
        tally.rounds += 1
        for name, pid in before.items():
            assert rows[name]["pid"] == pid, f"{name} is another process"
            assert rows[name]["phase"] == "running"
        for name in ("comes", "stubborn", "crash"):
            assert len(lab.copies(name)) <= 1, f"{name} runs twice"
    tally.note(f"{len(QUIET) + len(CHATTY)} services, the slowest daemon answered after {slowest:.2f} s")
    rows = lab.settled("comes", "stubborn", timeout=30)
    for name in ("comes", "stubborn"):
        assert len(lab.copies(name)) == (rows[name]["wanted"] == "up"), rows[name]
    for name in [*QUIET, *CHATTY]:
        assert lab.births(name) == [before[name]], f"{name} was started again"
        assert lab.row(name)["restarts"] == 0
    assert lab.stop()["ok"]
    for name in CHATTY:
        assert lab.output(name) == written(lab, name), f"the output of {name} is not what it wrote"
    assert all(lab.carriers(name) == [] for name in lab.rows())


def _all_found(lab: Lab) -> dict[str, dict[str, object]] | None:
    rows = lab.rows()
    return None if any(row["phase"] == "unknown" for row in rows.values()) else rows


def test_those_that_ended_while_no_daemon_was_there_are_told_with_their_true_ends(lab: Lab) -> None:
    names = [f"n{n}" for n in range(4)]
    lab.stack(
        "services:\n"
        + "".join(f"  {n}: {{target: {{type: process, shell: '{{actor}} {n}'}}, restart: no}}\n" for n in names)
    )
    lab.boot()
    lab.start()
    until(lambda: all(lab.births(name) for name in names), "all to be born")
    pids = {name: lab.row(name)["pid"] for name in names}
    lab.kill()
    os.kill(pids["n0"], signal.SIGUSR1)
    os.kill(pids["n1"], signal.SIGKILL)
    os.kill(pids["n2"], signal.SIGTERM)
    until(lambda: not any(alive(pids[name]) for name in names[:3]), "three to end")
    lab.boot()
    rows = lab.settled()
    assert [rows[name]["phase"] for name in names] == ["failed", "failed", "completed", "running"]
    ends = [(rows[name]["exit"]["code"], rows[name]["exit"]["signal"]) for name in names[:3]]
    assert ends == [(37, None), (None, 9), (0, None)]
    assert rows["n3"]["pid"] == pids["n3"]
    told = [(event["service"], event["data"]["code"], event["data"]["signal"]) for event in lab.told("exited")]
    assert sorted(told) == [("s/n0", 37, None), ("s/n1", None, 9), ("s/n2", 0, None)], "each end is told once"


def test_a_stop_that_was_under_way_is_resumed_with_what_was_left_of_its_grace(lab: Lab) -> None:
    lab.stack("services: {s: {target: {type: process, shell: '{actor} s --stubborn'}, stop: {timeout: 4s}}}")
    lab.boot()
    lab.start()
    until(lambda: lab.births("s"), "it to be born")
    pid = lab.row("s")["pid"]
    began = time.monotonic()
    lab.stop(wait=False)
    until(lambda: lab.row("s")["phase"] == "stopping", "the stop")
    time.sleep(1.0)  # a part of the grace passes
    lab.kill()
    lab.boot()
    assert alive(pid), "the grace is not over"
    assert lab.row("s")["wanted"] == "down"
    until(lambda: not alive(pid), "the end of the grace", 10)
    took = time.monotonic() - began
    assert 3.9 <= took < 6.5, f"the grace of 4 s took {took:.1f} s"
    assert lab.settled()["s"]["phase"] == "stopped"
    assert lab.births("s") == [pid]


def test_a_stop_whose_grace_ended_meanwhile_is_brought_to_its_end(lab: Lab) -> None:
    lab.stack("services: {s: {target: {type: process, shell: '{actor} s --stubborn'}, stop: {timeout: 500ms}}}")
    lab.boot()
    lab.start()
    until(lambda: lab.births("s"), "it to be born")
    pid = lab.row("s")["pid"]
    lab.stop(wait=False)
    lab.kill()
    time.sleep(0.6)  # the grace passes with nobody there
    assert alive(pid)
    lab.boot()
    until(lambda: not alive(pid), "it to be killed", 5)
    assert lab.settled()["s"]["phase"] == "stopped"


def test_a_back_off_goes_on_where_it_was_and_a_crash_loop_stays_given_up(lab: Lab) -> None:
    lab.stack(
        """
        services:
          waits: {target: {type: process, shell: "echo $$ >> waits.births; exit 1"}, restart: {delay: 3s}}
          loops: {target: {type: process, shell: "exit 1"}, restart: {delay: 1ms, burst: 2}}
        """
    )
    lab.boot()
    lab.start(wait=False)
    until(lambda: lab.row("waits")["phase"] == "backoff" and lab.row("loops")["phase"] == "failed", "both to have died")
    died = time.monotonic()
    lab.kill()
    lab.boot()
    rows = lab.rows()
    assert rows["waits"]["phase"] == "backoff"
    assert rows["waits"]["restarts"] == 1
    assert rows["loops"]["phase"] == "failed"
    assert "gave up" in rows["loops"]["reason"]
    until(lambda: len(lab.births("waits")) == 2, "the retry")
    assert 2.0 < time.monotonic() - died < 5.0
    assert lab.row("loops")["phase"] == "failed"


def test_a_task_half_way_is_taken_back_and_done_once(lab: Lab) -> None:
    lab.stack(
        """
        tasks: {t: {target: {type: process, shell: "{actor} t --for 1.5 --every 0.1"}}}
        services:
          s:
            target: {type: process, shell: "{actor} s", env: {GOT: "${t.BIRTH}"}}
            dependencies: [{task: t}]
        """
    )
    lab.boot()
    lab.start(wait=False)
    until(lambda: lab.births("t"), "the task to be under way")
    for _ in range(3):
        lab.kill()
        lab.boot()
    rows = until(lambda: (r := lab.rows())["s"]["phase"] == "running" and r, "the service behind the task")
    assert rows["t"]["phase"] == "completed"
    assert len(lab.births("t")) == 1
    lab.kill()
    lab.boot()
    lab.settled()
    assert len(lab.births("t")) == 1, "what is done is not done again"


def test_a_task_that_ended_while_no_daemon_was_there_is_done_with_its_outputs(lab: Lab) -> None:
    lab.stack(
        """
        tasks: {t: {target: {type: process, shell: "{actor} t --for 0.7"}}}
        services: {s: {target: {type: process, shell: "echo got ${t.BIRTH}; {actor} s"}, dependencies: [{task: t}]}}
        """
    )
    lab.boot()
    lab.start(wait=False)
    pid = until(lambda: lab.births("t"), "the task to be under way")[0]
    lab.kill()
    until(lambda: not alive(pid), "the task to end")
    lab.boot()
    until(lambda: b"got 1" in lab.output("s"), "the service to get the task's output")
    assert lab.births("t") == [pid]


@pytest.mark.timeout(900 if LONG else 120)
def test_a_hundred_services_are_taken_back_within_two_seconds(lab: Lab, tally: Tally) -> None:
    names = [f"n{n}" for n in range(100)]
    lab.stack(
        "services:\n" + "".join(f"  {n}: {{target: {{type: process, binary: sleep, args: [1000]}}}}\n" for n in names)
    )
    lab.boot()
    lab.start()
    before = {name: row["pid"] for name, row in lab.rows().items()}
    took = []
    for _ in range(5 if LONG else 2):
        lab.kill()
        began = time.monotonic()
        lab.launch()
        until(lambda: _taken_back(lab, before), "all to be taken back")
        took.append(time.monotonic() - began)
    tally.rounds = len(took)
    tally.note(f"taken back after {', '.join(f'{seconds:.2f} s' for seconds in took)}")
    assert min(took) < 2.0
    assert {name: row["restarts"] for name, row in lab.rows().items()} == dict.fromkeys(names, 0)


def _taken_back(lab: Lab, before: dict[str, int]) -> bool:
    try:
        rows = lab.rows()
    except (HarnessError, OSError):
        return False
    return all(row["phase"] == "running" for row in rows.values()) and before == {n: r["pid"] for n, r in rows.items()}
