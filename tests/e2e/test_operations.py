"""Backup, restore, and the audit log, as an operator uses them."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Harness, alive, until

pytestmark = pytest.mark.e2e

STACK = """
name: shop
services: {a: {target: {type: process, shell: exec sleep 1000}}}
tasks: {t: {target: {type: process, shell: echo ran >> runs}}}
"""


def test_a_registry_that_is_lost_comes_back_from_its_backup_and_so_does_what_runs(harness: Harness) -> None:
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    pid = harness.rows()["a"]["pid"]
    harness.ok("daemon", "backup", "safe.db")
    assert harness.run("daemon", "backup", "safe.db").code != 0, "an older backup is not overwritten"
    assert harness.run("daemon", "restore", "-y", "safe.db").code == 6, "not while the daemon runs"
    daemon = harness.daemon()["pid"]
    harness.ok("daemon", "stop")
    until(lambda: not alive(daemon), "the daemon to leave")
    for file in harness.state.glob("registry.db*"):
        file.unlink()
    harness.ok("daemon", "restore", "-y", "safe.db")
    assert harness.rows()["a"]["pid"] == pid
    harness.ok("start")
    assert (harness.folder / "runs").read_text() == "ran\n", "what is done stays done"


def test_what_is_no_backup_changes_nothing(harness: Harness) -> None:
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    daemon = harness.daemon()["pid"]
    harness.ok("daemon", "stop")
    until(lambda: not alive(daemon), "the daemon to leave")
    harness.write("junk.db", "this is no database")
    before = (harness.state / "registry.db").read_bytes()
    ran = harness.run("daemon", "restore", "-y", "junk.db")
    assert ran.code == 1
    assert "junk.db" in ran.err
    assert (harness.state / "registry.db").read_bytes() == before


def test_a_changed_past_shows_in_the_audit_log(harness: Harness) -> None:
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    harness.ok("restart", "a")
    harness.ok("audit", "verify")
    log = harness.state / "audit.log"
    lines = log.read_text().splitlines()
    assert len(lines) >= 2
    log.write_text("\n".join([lines[0].replace("stack.start", "stack.stop!"), *lines[1:]]) + "\n")
    ran = harness.run("audit", "verify")
    assert ran.code == 1
    assert "changed or removed" in ran.out


def test_a_daemon_that_leaves_nothing_running_leaves_no_keeper_either(harness: Harness) -> None:
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    harness.daemon()
    (keeper,) = harness.keepers
    harness.ok("daemon", "stop")
    assert alive(keeper), "it keeps the service"
    harness.ok("stop", "-y", "--all")
    harness.ok("daemon", "stop")
    until(lambda: not alive(keeper), "the keeper to leave", timeout=3.0)
