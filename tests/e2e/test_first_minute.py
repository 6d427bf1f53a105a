"""What a person sees in the first minute: the quickstart starts, serves, survives, stops."""

from __future__ import annotations

import shutil
import time
import urllib.request

import pytest

from tests.e2e.conftest import ROOT, Harness, alive, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def quickstart(harness: Harness) -> Harness:
    shutil.copytree(
        ROOT / "examples" / "stacks",
        harness.folder / "stacks",
        ignore=shutil.ignore_patterns(".harness", "__pycache__"),
    )
    return harness


def test_the_quickstart_comes_up_serves_and_leaves_nothing(quickstart: Harness) -> None:
    started = quickstart.ok("start", "stacks/quickstart.yaml")
    assert "quickstart is up" in started.err + started.out
    rows = quickstart.rows()
    assert {name: row["state"] for name, row in rows.items()} == {
        "db": "ready",
        "api": "ready",
        "worker": "ready",
        "flaky": "ready",
        "migrate": "done",
    }
    assert rows["flaky"]["restarts"] == 1
    with urllib.request.urlopen(rows["api"]["url"], timeout=5) as page:
        assert page.status == 200
    pids = [row["pid"] for row in rows.values() if row["pid"]]
    began = time.monotonic()
    again = quickstart.ok("start", "stacks/quickstart.yaml")
    assert "already up" in again.err + again.out
    assert time.monotonic() - began < 2.0
    quickstart.ok("stop", "-y", "quickstart")
    assert not [pid for pid in pids if alive(pid)]


def test_killing_the_daemon_changes_nothing_for_the_services(quickstart: Harness) -> None:
    quickstart.ok("start", "stacks/quickstart.yaml")
    before = quickstart.rows()
    old = quickstart.kill_daemon()
    after = quickstart.rows()
    assert quickstart.daemon()["pid"] != old
    for name, row in before.items():
        assert after[name]["pid"] == row["pid"], f"{name} was started again"
        assert after[name]["epoch"] == row["epoch"]
        assert after[name]["state"] == row["state"]
    story = quickstart.ok("explain", "api").out
    assert "daemon was restarted" in story


def test_no_line_is_lost_over_kills_of_the_daemon(harness: Harness) -> None:
    harness.write(
        "harness.yaml",
        """
        name: counting
        services:
          counter:
            target:
              type: process
              shell: "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.002; done"
        """,
    )
    harness.ok("start")
    for _ in range(4):
        harness.kill_daemon()
        harness.ok("status")
    harness.ok("stop", "-y", "counter")
    lines = [line for line in harness.ok("logs", "counter", "-n", "all", "--raw").out.splitlines() if line]
    numbers = [int(line.split()[-1]) for line in lines]
    assert len(numbers) > 50
    assert numbers == list(range(1, len(numbers) + 1))


def test_status_without_anything_says_what_to_do(harness: Harness) -> None:
    ran = harness.run("status")
    assert ran.code == 5
    assert "harness start" in ran.err


def test_twenty_people_starting_at_once_get_one_daemon(harness: Harness) -> None:
    harness.write("harness.yaml", "name: one\nservices: {a: {target: {type: process, shell: 'sleep 1000'}}}\n")
    starts = [harness.popen("start") for _ in range(8)]
    codes = [start.wait(60) for start in starts]
    for start in starts:
        start.communicate()
    assert codes == [0] * 8
    rows = harness.rows()
    assert rows["a"]["epoch"] == 1
    pid = rows["a"]["pid"]
    until(lambda: alive(pid), "the service to live")
