"""SIGKILL of the keeper, alone and with the daemon, under floods with rotation; a keeper that is frozen."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time

import pytest

from tests.faults.actor import line
from tests.faults.lab import LONG, Lab, alive, until
from tests.faults.tally import Tally

pytestmark = pytest.mark.e2e

KILLS = 300 if LONG else 12
LINES = 10_000_000 if LONG else 400_000
FLOOD = """
services:
  flood:
    target: {type: process, shell: "{actor} flood --burst 100 --lines %d"}
    logs: {max_size: %s, max_files: 9999}
    restart: no
  quiet: {target: {type: process, shell: "{actor} quiet"}, restart: no}
"""


def expected(name: str, lines: int) -> str:
    digest = hashlib.sha256()
    for number in range(lines):
        digest.update(line(name, 1, number))
    return digest.hexdigest()


def stored(lab: Lab, name: str) -> str:
    return hashlib.sha256(lab.output(name)).hexdigest()


def flood(lab: Lab) -> tuple[int, int]:
    lab.stack(FLOOD % (LINES, "5m" if LONG else "1m"))
    lab.boot()
    lab.start(wait=False)
    until(lambda: lab.births("flood") and lab.births("quiet"), "both to be born")
    rows = until(lambda: (r := lab.rows())["quiet"]["phase"] == "running" and r, "both to run")
    return rows["flood"]["pid"], rows["quiet"]["pid"]


@pytest.mark.timeout(3600 if LONG else 240)
def test_killed_again_and_again_under_a_flood_no_byte_is_lost(lab: Lab, tally: Tally) -> None:
    dice = random.Random(2)
    pid, quiet = flood(lab)
    kills = 0
    while kills < KILLS and alive(pid):
        time.sleep(dice.random() * 0.2)  # the random moment
        lab.kill_keeper()
        kills += 1
    ended(lab, pid)
    rows = until(lambda: (r := lab.rows())["flood"]["phase"] in ("completed", "failed") and r, "its end to be told")
    tally.rounds = kills
    tally.note(f"{LINES} lines")
    assert stored(lab, "flood") == expected("flood", LINES)
    assert rows["flood"]["exit"] is not None
    assert rows["flood"]["exit"]["code"] in (0, None), "true, or told as unknown"
    assert rows["quiet"]["pid"] == quiet
    assert lab.births("quiet") == [quiet]


@pytest.mark.timeout(3600 if LONG else 240)
def ended(lab: Lab, pid: int) -> None:
    """The flood has ended, and that is told, which promises that its last output is stored."""
    until(lambda: not alive(pid), "the flood to end", 600 if LONG else 60)
    until(lambda: lab.row("flood")["phase"] != "running", "its end to be told")


def test_killed_together_with_the_daemon_under_a_flood_no_byte_is_lost(lab: Lab, tally: Tally) -> None:
    dice = random.Random(3)
    pid, quiet = flood(lab)
    for _ in range(60 if LONG else 4):
        time.sleep(dice.random() * 0.3)  # the random moment
        lab.kill()
        lab.kill_keeper()
        lab.boot()
        until(lambda: lab.row("quiet")["phase"] == "running", "the quiet one to be taken back")
        assert lab.row("quiet")["pid"] == quiet
        tally.rounds += 1
    ended(lab, pid)
    lab.settled()
    assert stored(lab, "flood") == expected("flood", LINES)
    assert lab.births("quiet") == [quiet]
    assert len(lab.copies("quiet")) == 1


def test_an_end_that_only_the_daemon_saw_is_told_truly(lab: Lab) -> None:
    lab.stack("services: {s: {target: {type: process, shell: '{actor} s'}, restart: no}}")
    lab.boot()
    lab.start()
    until(lambda: lab.births("s"), "it to be born")
    pid = lab.row("s")["pid"]
    keeper = lab.keeper
    os.kill(keeper, signal.SIGSTOP)
    os.kill(pid, signal.SIGUSR1)
    until(lambda: not alive(pid), "it to end")
    os.kill(keeper, signal.SIGKILL)
    row = until(lambda: (r := lab.row("s"))["phase"] == "failed" and r, "the end to be told")
    assert row["exit"]["code"] == 37


def test_an_end_that_neither_saw_is_told_as_unknown_and_not_as_success(lab: Lab) -> None:
    lab.stack("services: {s: {target: {type: process, shell: '{actor} s'}, restart: no}}")
    lab.boot()
    lab.start()
    until(lambda: lab.births("s"), "it to be born")
    pid = lab.row("s")["pid"]
    lab.kill()
    lab.kill_keeper()
    os.kill(pid, signal.SIGTERM)  # it ends with 0, but who could tell
    until(lambda: not alive(pid), "it to end")
    lab.boot()
    row = lab.settled()["s"]
    # where the dead are not reaped at once, the kernel still tells
    assert (row["phase"], row["exit"]["code"]) in (("failed", None), ("completed", 0))


def test_a_frozen_keeper_is_replaced_and_services_do_not_notice(lab: Lab) -> None:
    lab.stack(
        "services: {c: {target: {type: process, shell: '{actor} c --every 0.01 --burst 5'},"
        " logs: {max_size: 64k, max_files: 999}, restart: no}}"
    )
    lab.boot()
    lab.start()
    pid = lab.row("c")["pid"]
    frozen = lab.kill_keeper(signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: not alive(frozen) and lab.living_keeper() not in (None, frozen), "another keeper", 15)
    took = time.monotonic() - began
    assert took < 8.0
    size = len(lab.output("c"))
    until(lambda: len(lab.output("c")) > size, "output to flow again")
    assert lab.row("c")["pid"] == pid
    lab.stop()
    count = int((lab.folder / "c.1.count").read_text())
    assert lab.output("c") == b"".join(line("c", 1, number) for number in range(count))


def test_services_are_started_and_stopped_while_keepers_die(lab: Lab) -> None:
    names = [f"n{n}" for n in range(6)]
    units = "".join(f"  {n}: {{target: {{type: process, shell: '{{actor}} {n}'}}}}\n" for n in names)
    lab.stack(f"services:\n{units}")
    lab.boot()
    dice = random.Random(4)
    for turn in range(20 if LONG else 5):
        lab.start(wait=False)
        time.sleep(dice.random() * 0.1)  # the random moment
        lab.kill_keeper()
        until(lambda: all(row["phase"] == "running" for row in lab.rows().values()), f"all to run, turn {turn}", 30)
        assert all(len(lab.copies(name)) == 1 for name in names)
        lab.stop(wait=False)
        time.sleep(dice.random() * 0.1)  # the random moment
        lab.kill_keeper()
        until(lambda: all(row["phase"] == "stopped" for row in lab.rows().values()), f"all to stop, turn {turn}", 30)
        assert all(lab.carriers(name) == [] for name in names)
