"""What somebody else started: attached to, followed, left alone; and taken over when that is asked for."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Harness, alive, until

pytestmark = pytest.mark.e2e

Begin = Callable[..., subprocess.Popen[bytes]]

BY_PID_FILE = """
name: shop
services:
  cache:
    target: {type: process-attach, pid_file: cache.pid, log_file: cache.log}
"""


@pytest.fixture
def begin(harness: Harness) -> Iterator[Begin]:
    """Starts a process of somebody else's, a shell line, which writes its pid to a file."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(line: str = "exec sleep 1000", name: str = "cache") -> subprocess.Popen[bytes]:
        argv = ["sh", "-c", f"echo $$ >{name}.pid; {line}"]
        begun.append(subprocess.Popen(argv, cwd=harness.folder, stdin=subprocess.DEVNULL))
        pid = str(begun[-1].pid)
        until(lambda: _content(harness.folder / f"{name}.pid").strip() == pid, "its pid file")
        return begun[-1]

    yield start
    for one in begun:
        one.kill()
        one.wait(10)


def _content(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def test_it_is_looked_after_and_never_ended(harness: Harness, begin: Begin) -> None:
    one = begin("echo before >cache.log; exec sleep 1000")
    harness.write("harness.yaml", BY_PID_FILE + "  own: {target: {type: process, shell: exec sleep 1000}}\n")
    harness.ok("start")
    row = harness.rows()["cache"]
    assert (row["pid"], row["state"], row["target"]) == (one.pid, "ready", "process-attach")
    with (harness.folder / "cache.log").open("a") as log:
        log.write("after\n")
    until(lambda: "after" in harness.ok("logs", "cache").out, "its output")
    assert "before" in harness.ok("logs", "cache").out
    for verb in ("stop", "restart"):
        ran = harness.run(verb, "cache")
        assert ran.code == 6
        assert f"cannot {verb} cache: harness did not start pid {one.pid} and only looks on" in ran.err
        assert "harness forget cache" in ran.err
    own = harness.rows()["own"]["pid"]
    ran = harness.ok("restart", "shop")
    assert "cache was not started by harness: it is left as it is" in ran.err
    assert (harness.rows()["own"]["pid"] != own, harness.rows()["cache"]["pid"]) == (True, one.pid)
    ran = harness.ok("stop", "shop")
    assert "cache was not started by harness: let go, it goes on" in ran.err
    row = harness.rows()["cache"]
    assert (row["phase"], row["pid"], row["wanted"]) == ("not_started", None, "down")
    assert row["reason"] == "let go; it was not started by harness and goes on"
    assert one.poll() is None
    harness.ok("start", "cache")
    harness.ok("forget", "cache", "-y")
    assert harness.rows()["cache"]["phase"] == "not_started"
    assert one.poll() is None


def test_what_is_not_there_yet_is_waited_for(harness: Harness, begin: Begin) -> None:
    harness.write("harness.yaml", BY_PID_FILE)
    waiting = harness.popen("start", "--progress", "plain")
    assert waiting.stderr is not None
    said = ""
    while "waits for it to appear: there is no pid file" not in said:
        line = waiting.stderr.readline()
        assert line, said
        said += line
    assert harness.rows()["cache"]["state"] == "starting"
    one = begin()
    _, rest = waiting.communicate(timeout=20)
    assert waiting.returncode == 0, said + rest
    assert harness.rows()["cache"]["pid"] == one.pid


def test_what_never_comes_fails_with_the_reason(harness: Harness) -> None:
    harness.write("harness.yaml", BY_PID_FILE + "    start_timeout: 1s\n    restart: no\n")
    ran = harness.run("start")
    assert ran.code == 1
    assert "cache.pid; waited 1 s for it" in ran.err
    assert harness.rows()["cache"]["phase"] == "failed"


def test_waiting_for_it_ends_when_it_is_not_wanted(harness: Harness) -> None:
    harness.write("harness.yaml", BY_PID_FILE)
    harness.ok("start", "--no-wait")
    harness.ok("stop", "cache")
    assert harness.rows()["cache"]["phase"] == "stopped"


def test_several_that_fit_are_named_and_none_is_taken(harness: Harness, begin: Begin) -> None:
    line = "exec sleep 1234.5678"
    one, two = begin(line, "one"), begin(line, "two")
    stack = "name: shop\nservices: {cache: {target: {type: process-attach, match: sleep 1234.5678}}}\n"
    harness.write("harness.yaml", stack)
    ran = harness.run("start")
    assert ran.code == 1
    assert f"pid {min(one.pid, two.pid)} (sleep), pid {max(one.pid, two.pid)} (sleep)" in ran.err
    assert "say which by pid" in ran.err
    os.kill(two.pid, signal.SIGKILL)
    two.wait(10)
    harness.ok("start")
    assert harness.rows()["cache"]["pid"] == one.pid


def test_one_that_ends_and_comes_back_is_attached_to_again(harness: Harness, begin: Begin) -> None:
    one = begin()
    harness.write("harness.yaml", BY_PID_FILE)
    harness.ok("start")
    one.send_signal(signal.SIGTERM)
    one.wait(10)
    until(lambda: "killed by SIGTERM" in harness.ok("events", "--type", "exited").out, "its end to be told")
    two = begin()
    until(lambda: harness.rows()["cache"]["pid"] == two.pid, "the next one")
    assert harness.rows()["cache"]["state"] == "ready"


def test_a_pid_is_one_process_for_good(harness: Harness, begin: Begin) -> None:
    one = begin()
    target = f"{{type: process-attach, pid: {one.pid}}}"
    harness.write("harness.yaml", f"name: shop\nservices: {{cache: {{target: {target}}}}}\n")
    harness.ok("start")
    one.kill()
    one.wait(10)
    row = until(lambda: (row := harness.rows()["cache"])["phase"] == "failed" and row, "the failure")
    assert row["reason"] == f"there is no process with pid {one.pid}"


def test_a_killed_daemon_loses_nothing_of_it(harness: Harness, begin: Begin) -> None:
    count = "i=0; while [ -e go ]; do i=$((i+1)); echo line $i; sleep 0.01; done >>cache.log; exit 7"
    (harness.folder / "go").touch()
    one = begin(count)
    harness.write("harness.yaml", BY_PID_FILE + "    restart: no\n")
    harness.ok("start")
    for _ in range(3):
        harness.kill_daemon()
        row = harness.rows()["cache"]
        assert (row["pid"], row["epoch"], row["phase"]) == (one.pid, 1, "running")
    (harness.folder / "go").unlink()
    until(lambda: harness.rows()["cache"]["phase"] == "failed", "its end")
    assert harness.rows()["cache"]["exit"]["code"] == 7
    wrote = (harness.folder / "cache.log").read_text()
    stored = b"".join(part.read_bytes() for part in sorted((harness.state / "logs/shop/cache").glob("stdout.*.log")))
    assert stored.decode() == wrote


def test_one_that_ended_while_no_daemon_lived_is_told_as_ended_with_its_last_words(
    harness: Harness, begin: Begin
) -> None:
    os.mkfifo(harness.folder / "go.fifo")
    one = begin("echo first >>cache.log; read line <go.fifo; echo last >>cache.log")
    harness.write("harness.yaml", BY_PID_FILE + "    restart: no\n")
    harness.ok("start")
    harness.kill_daemon()
    (harness.folder / "go.fifo").write_text("go\n")
    one.wait(10)
    harness.ok("daemon", "start")
    row = until(lambda: (row := harness.rows()["cache"])["phase"] == "failed" and row, "its end")
    assert row["exit"]["text"] == "exit code unknown"
    assert harness.ok("logs", "cache", "--tail", "all").out.count("last") == 1


def test_a_command_runs_in_its_context(harness: Harness, begin: Begin) -> None:
    (harness.folder / "inner").mkdir()
    begin("cd inner; COLOUR=red exec sleep 1000")
    harness.write("harness.yaml", BY_PID_FILE)
    harness.ok("start")
    ran = harness.run("exec", "cache", "--", "sh", "-c", 'echo "$COLOUR $(pwd)"; exit 3')
    assert (ran.code, ran.out) == (3, f"red {harness.folder}/inner\n")


def test_ports_and_health_are_those_of_the_process(harness: Harness, begin: Begin) -> None:
    server = begin("exec python3 -m http.server 0 --bind 127.0.0.1 >cache.log 2>&1", "web")

    def port() -> int:
        found = [c.laddr.port for c in psutil.Process(server.pid).net_connections("tcp") if c.status == "LISTEN"]
        return found[0] if found else 0

    number = until(port, "the server to listen")
    harness.write(
        "harness.yaml",
        f"""
        name: shop
        services:
          web:
            target: {{type: process-attach, port: {number}}}
            health_check: {{http: "/"}}
          client:
            target: {{type: process, shell: "echo ${{web.url}} >url; exec sleep 1000"}}
        """,
    )
    harness.ok("start")
    row = harness.rows()["web"]
    assert (row["pid"], row["health"], row["url"]) == (server.pid, "healthy", f"http://127.0.0.1:{number}")
    assert (harness.folder / "url").read_text().strip() == row["url"]
    assert alive(server.pid)
