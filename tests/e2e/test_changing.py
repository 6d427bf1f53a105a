"""A stack that is edited, that fails, that exists twice: only what changed is touched, and what went wrong is told."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Harness, alive

pytestmark = pytest.mark.e2e

TWO = """
name: shop
services:
  a:
    target: {{type: process, shell: "echo a {a}; exec sleep 1000"}}
  b:
    target: {{type: process, shell: "echo b; exec sleep 1000"}}
    dependencies: [a]
"""


def test_starting_an_edited_stack_changes_only_what_changed_and_plan_says_so_before(harness: Harness) -> None:
    harness.write("harness.yaml", TWO.format(a=1))
    harness.ok("start")
    before = harness.rows()
    harness.write("harness.yaml", TWO.format(a=2).replace("echo b", "echo b").replace("[a]", "[{service: a}]"))
    plan = {step["name"]: step for step in harness.ok("plan", "-o", "json").json["steps"]}
    assert plan["a"]["action"] == "restart"
    assert plan["b"]["action"] == "keep"
    assert harness.rows()["a"]["pid"] == before["a"]["pid"], "plan changes nothing"
    harness.ok("start")
    after = harness.rows()
    assert after["a"]["pid"] != before["a"]["pid"]
    assert after["b"]["pid"] == before["b"]["pid"]
    assert "a 2" in harness.ok("logs", "a").out


def test_a_service_that_left_the_file_is_stopped_and_gone(harness: Harness) -> None:
    harness.write("harness.yaml", TWO.format(a=1))
    harness.ok("start")
    pid = harness.rows()["b"]["pid"]
    harness.write(
        "harness.yaml", "name: shop\nservices: {a: {target: {type: process, shell: 'echo a 1; exec sleep 1000'}}}\n"
    )
    harness.ok("start")
    assert set(harness.rows()) == {"a"}
    assert not alive(pid)


def test_what_does_not_become_ready_is_told_and_the_rest_keeps_running(harness: Harness) -> None:
    harness.write(
        "harness.yaml",
        """
        name: shop
        services:
          good: {target: {type: process, shell: "exec sleep 1000"}}
          slow:
            target: {type: process, shell: "echo still thinking; exec sleep 1000"}
            health_check: {file: never-there}
            start_timeout: 1s
          after: {target: {type: process, shell: "exec sleep 1000"}, dependencies: [slow]}
        """,
    )
    ran = harness.run("start")
    assert ran.code == 1
    for words in ("slow", "not ready within 1 s", "still thinking", "after", "harness logs slow"):
        assert words in ran.err + ran.out
    rows = harness.rows()
    assert rows["good"]["state"] == "ready"
    assert rows["slow"]["state"] == "unhealthy"
    assert rows["slow"]["pid"]
    assert rows["after"]["state"] == "blocked"
    assert rows["after"]["culprit"] == "slow"


def test_a_service_that_fails_shows_its_exit_and_its_own_last_lines(harness: Harness) -> None:
    harness.write(
        "harness.yaml",
        """
        name: shop
        services:
          bad:
            target: {type: process, shell: "for i in 1 2 3; do echo line $i; done; echo broken >&2; exit 7"}
            restart: no
            health_check: {file: never-there}
          needs: {target: {type: process, shell: "exec sleep 1000"}, dependencies: [bad]}
        """,
    )
    ran = harness.run("start")
    text = ran.err + ran.out
    assert ran.code == 1
    assert text.index("bad") < text.index("exit code 7") < text.index("broken") < text.rindex("needs")
    assert harness.rows()["bad"]["exit"]["code"] == 7


def test_rollback_puts_the_old_definition_back(harness: Harness) -> None:
    harness.write("harness.yaml", TWO.format(a=1))
    harness.ok("start")
    harness.write(
        "harness.yaml",
        TWO.format(a=2).replace("exec sleep 1000", "exit 1", 1).replace("target", "restart: no\n    target", 1),
    )
    ran = harness.run("start", "--rollback")
    assert ran.code == 1
    assert "put back" in ran.err + ran.out
    rows = harness.rows()
    assert rows["a"]["state"] == "ready"
    assert "a 1" in harness.ok("logs", "a", "-n", "1").out


def test_two_stacks_and_two_checkouts_live_side_by_side(harness: Harness) -> None:
    for folder in ("one", "two"):
        harness.write(f"{folder}/harness.yaml", TWO.format(a=folder))
    harness.write(
        "third/other.yaml", "name: other\nservices: {a: {target: {type: process, shell: 'exec sleep 1000'}}}\n"
    )
    harness.ok("start", cwd=harness.folder / "one")
    harness.ok("start", cwd=harness.folder / "two")
    harness.ok("start", "third/other.yaml")
    status = harness.ok("status", "-o", "json").json
    assert len({row["pid"] for row in status["services"]}) == 5
    assert len(status["stacks"]) == 3
    ambiguous = harness.run("logs", "a")
    assert ambiguous.code == 2
    assert "several stacks" in ambiguous.err
    here = harness.ok("logs", "a", cwd=harness.folder / "two").out
    assert "a two" in here
    assert "a one" not in here
    harness.ok("stop", "-y", "shop")
    left = {(row["stack"], row["name"]): row["state"] for row in harness.ok("status", "-o", "json").json["services"]}
    assert left["shop", "a"] == "stopped"
    assert sorted(state for (stack, _), state in left.items() if stack != "shop") == ["ready"] * 3


def test_a_task_runs_once_and_again_when_an_input_changes(harness: Harness) -> None:
    harness.write("schema.sql", "one")
    harness.write(
        "harness.yaml",
        """
        name: shop
        tasks:
          migrate:
            target: {type: process, shell: "echo ran >> runs; echo revision=$(cat schema.sql) > $HARNESS_OUTPUT"}
            inputs: [schema.sql]
        services:
          app:
            target: {type: process, shell: "echo at $REVISION; exec sleep 1000", env: {REVISION: "${migrate.revision}"}}
        """,
    )
    runs = harness.folder / "runs"
    harness.ok("start")
    harness.ok("start")
    harness.kill_daemon()
    harness.ok("start")
    assert runs.read_text() == "ran\n"
    assert "at one" in harness.ok("logs", "app").out
    harness.write("schema.sql", "two")
    harness.ok("start")
    assert runs.read_text() == "ran\n" * 2
    harness.ok("run", "migrate")
    assert runs.read_text() == "ran\n" * 2
    harness.ok("run", "migrate", "--again")
    assert runs.read_text() == "ran\n" * 3
    tasks = harness.ok("status", "-o", "json").json["services"]
    assert next(t for t in tasks if t["name"] == "migrate")["state"] == "done"


def test_a_start_does_not_depend_on_the_terminal_that_asked(harness: Harness) -> None:
    harness.write(
        "harness.yaml",
        """
        name: shop
        services:
          late:
            target: {type: process, shell: "sleep 1; touch there; exec sleep 1000"}
            health_check: {file: there}
        """,
    )
    start = harness.popen("start")
    from tests.e2e.conftest import until

    until(lambda: (harness.state / "daemon.json").exists(), "the daemon")
    until(lambda: harness.rows().get("late", {}).get("pid"), "the service to run")
    start.send_signal(2)
    _, err = start.communicate(timeout=20)
    assert start.returncode == 130
    assert "harness status" in err
    harness.ok("wait", "late", "--timeout", "20s")
    assert harness.rows()["late"]["state"] == "ready"
