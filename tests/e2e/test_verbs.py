"""The verbs that are not start, stop and status, each used once as a person would."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from tests.e2e.conftest import Harness, alive, until

pytestmark = pytest.mark.e2e

CHAIN = """
name: shop
services:
  db: {target: {type: process, shell: exec sleep 1000}}
  api: {target: {type: process, shell: exec sleep 1000}, dependencies: [db]}
  web: {target: {type: process, shell: exec sleep 1000}, dependencies: [api]}
"""


def test_stopping_something_that_others_need_asks_on_a_terminal(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start")
    refused = harness.run("stop", "db", "--no-input")
    assert refused.code != 0
    assert "api" in refused.err
    assert harness.rows()["db"]["state"] == "ready"
    assert answered(harness, "stop", "db", answer=b"n\n") != 0
    assert harness.rows()["db"]["state"] == "ready"
    assert answered(harness, "stop", "db", answer=b"y\n") == 0
    assert {row["state"] for row in harness.rows().values()} == {"stopped"}


def answered(harness: Harness, *args: str, answer: bytes) -> int:
    """Run a command on a terminal, wait for its question, answer it; returns its exit code."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        harness.command(*args), stdin=slave, stdout=slave, stderr=slave, cwd=harness.folder, env=harness.environment()
    )
    os.close(slave)
    said = b""
    try:
        while b"[y/N]" not in said:
            said += os.read(master, 4096)
        os.write(master, answer)
        while True:
            said += os.read(master, 4096)
    except OSError:
        pass  # the other side is closed
    finally:
        os.close(master)
    return process.wait(30)


def test_no_deps_stops_only_what_is_named(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start")
    harness.ok("stop", "db", "--no-deps")
    assert {name: row["state"] for name, row in harness.rows().items()} == {
        "db": "stopped",
        "api": "ready",
        "web": "ready",
    }


def test_start_of_one_brings_what_it_needs_and_nothing_else(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start", "harness.yaml", "api")
    assert {name: row["state"] for name, row in harness.rows().items()} == {
        "db": "ready",
        "api": "ready",
        "web": "not started",
    }


def test_the_graph_in_every_form(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start")
    assert harness.ok("graph").out.index("web") < harness.ok("graph").out.index("db")
    assert "-->" in harness.ok("graph", "-f", "mermaid").out
    assert harness.ok("graph", "-f", "dot").out.startswith("digraph")
    assert {node["name"] for node in json.loads(harness.ok("graph", "-f", "json").out)["nodes"]} == {"db", "api", "web"}
    assert "db" in harness.ok("graph", "--critical-path").out


def test_adopt_takes_over_what_runs_and_forget_gives_it_up(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("validate")
    harness.ok("start", "harness.yaml", "db")
    outside = subprocess.Popen(["sleep", "1000"])
    try:
        harness.ok("adopt", "api", "--pid", str(outside.pid))
        assert harness.rows()["api"]["pid"] == outside.pid
        harness.kill_daemon()
        assert harness.rows()["api"]["pid"] == outside.pid
        harness.ok("forget", "-y", "api")
        assert alive(outside.pid)
        assert harness.rows()["api"]["state"] == "not started"
        harness.ok("adopt", "api", "--pid", str(outside.pid))
        harness.ok("stop", "-y", "api")
        until(lambda: outside.poll() is not None, "the adopted process to end")
    finally:
        if outside.poll() is None:
            outside.send_signal(signal.SIGKILL)
        outside.wait()
    assert harness.run("adopt", "api", "--pid", "999999").code != 0


def test_tokens_open_only_what_their_role_allows(harness: Harness, tmp_path: object) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start")
    made = harness.ok("token", "create", "reader", "--role", "viewer", "-o", "json").json
    other = Harness(harness.folder, harness.state.parent / "elsewhere", {"HARNESS_CONFIG_DIR": str(harness.folder)})
    other.ok("context", "add", "box", made["connection"])
    assert "db" in other.ok("--context", "box", "status").out
    refused = other.run("--context", "box", "stop", "-y", "web")
    assert refused.code == 4
    assert "operator" in refused.err
    assert other.run("--context", "box", "logs", "db").code == 4
    harness.ok("token", "revoke", "-y", made["id"])
    assert other.run("--context", "box", "status").code == 4
    assert made["token"] not in harness.ok("token", "list").out


def test_the_certificate_is_shown_and_changed_while_running(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start")
    before = harness.ok("cert", "status", "-o", "json").json
    after = harness.ok("cert", "rotate", "-o", "json").json
    assert after["pin"] == before["pin"]
    assert after["not_before"] >= before["not_before"]
    assert harness.ok("status").code == 0


def test_init_writes_a_stack_that_validates_and_never_overwrites(harness: Harness) -> None:
    harness.ok("init")
    text = (harness.folder / "harness.yaml").read_text()
    harness.ok("validate")
    assert harness.run("init").code != 0
    assert (harness.folder / "harness.yaml").read_text() == text


def test_doctor_plugins_schema_top_and_version(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start")
    assert "registry" in harness.ok("doctor").out
    assert "process" in harness.ok("plugins").out
    assert json.loads(harness.ok("schema").out)["$defs"]
    assert "web" in harness.ok("top", "--once").out
    assert harness.ok("version").out.strip()


def test_completion_knows_the_services(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start")
    for shell in ("bash", "zsh", "fish"):
        assert "harness" in harness.ok("completion", shell).out
    harness.env |= {"_HARNESS_COMPLETE": "bash_complete", "COMP_WORDS": "harness logs ", "COMP_CWORD": "2"}
    completed = subprocess.run(
        [sys.executable, "-m", "harness"], capture_output=True, text=True, env=harness.environment(), cwd=harness.folder
    )
    harness.env.clear()
    assert {"db", "api", "web"} <= {line.split(",")[-1] for line in completed.stdout.split()}


def test_the_daemon_can_be_stopped_and_services_stay_or_go(harness: Harness) -> None:
    harness.write("harness.yaml", CHAIN)
    harness.ok("start")
    pids = {row["pid"] for row in harness.rows().values()}
    pid = harness.daemon()["pid"]
    harness.ok("daemon", "stop")
    until(lambda: not alive(pid), "the daemon to leave")
    assert all(alive(pid) for pid in pids)
    assert {row["pid"] for row in harness.rows().values()} == pids
    assert "ready at" in harness.ok("daemon", "logs").out
    second = harness.run("daemon", "run")
    assert second.code == 6
    assert str(harness.daemon()["pid"]) in second.err


def test_secrets_are_not_shown(harness: Harness) -> None:
    secret = "s3cr3t-canary-0815"
    harness.env["DB_PASSWORD"] = secret
    harness.write(
        "harness.yaml",
        """
        name: shop
        services:
          db:
            target: {type: process, shell: exec sleep 1000, env: {DB_PASSWORD: "${DB_PASSWORD}", URL: "pg://u:${DB_PASSWORD}@h/d"}}
        """,
    )
    harness.ok("start")
    for verb in (
        ("status", "-o", "json"),
        ("describe", "db"),
        ("describe", "db", "-o", "json"),
        ("explain", "db"),
        ("events", "-o", "json"),
        ("validate", "-o", "json"),
        ("validate", "--resolved"),
        ("plan",),
        ("daemon", "logs"),
        ("graph", "-f", "json"),
    ):
        ran = harness.run(*verb)
        assert secret not in ran.out + ran.err, verb
    assert secret not in (harness.state / "audit.log").read_text()
    assert secret not in (harness.state / "daemon.log").read_text()
