"""What a machine does to a daemon: a second one, clocks that jump, no descriptors, a bare environment, a cleaner."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import stat
import time
from pathlib import Path

import pytest

from harness_core.domain.errors import HarnessError
from tests.faults.lab import LONG, Lab, alive, until

pytestmark = pytest.mark.e2e

ONE = "services: {s: {target: {type: process, shell: '{actor} s'}, restart: no}}"


def test_a_second_daemon_leaves_at_once_and_says_who_is_there(lab: Lab) -> None:
    lab.stack(ONE)
    lab.boot()
    lab.start()
    first = lab.process
    assert first is not None
    began = time.monotonic()
    second = lab.launch()
    assert second.wait(10) == 6
    assert time.monotonic() - began < 3
    lab.process = first
    assert f"pid {lab.card()['pid']}" in lab.daemon_log()
    assert lab.row("s")["phase"] == "running"


def test_four_daemons_at_once_and_one_of_them_stays(lab: Lab) -> None:
    lab.stack(ONE)
    started = [lab.launch() for _ in range(4)]
    until(lambda: sum(one.poll() is None for one in started) == 1, "one to be left", 40)
    lab.process = next(one for one in started if one.poll() is None)
    until(lambda: answers(lab), "it to answer")
    assert {one.returncode for one in started} == {None, 6}
    lab.start()


def answers(lab: Lab) -> bool:
    try:
        lab.client.call("hello")
    except (HarnessError, OSError):
        return False
    return True


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is missing: apt-get install faketime")
@pytest.mark.parametrize("jump", ["-86400", "+2592000"], ids=["a day back", "a month forward"])
def test_the_wall_clock_jumps(lab: Lab, jump: str) -> None:
    clock = lab.root / "clock"
    clock.write_text("+0\n")
    lab.env |= {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    lab.stack(
        """
        services:
          s:
            target: {type: process, shell: "{actor} s"}
            health_check: {file: s.births, interval: 200ms}
          waits:
            target: {type: process, shell: "echo $$ >> waits.births; exit 1"}
            restart: {delay: 2s, max_delay: 2s, burst: 0}
        """
    )
    lab.boot()
    lab.start(wait=False)
    until(lambda: lab.row("s")["state"] == "ready" and lab.row("waits")["phase"] == "backoff", "both to be there")
    row, births = lab.row("s"), len(lab.births("waits"))
    clock.write_text(f"{jump}\n")
    jumped = time.monotonic()
    until(lambda: len(lab.births("waits")) > births, "the retry")
    assert time.monotonic() - jumped < 6, "a delay is not measured with the wall clock"
    now = lab.row("s")
    assert (now["pid"], now["state"], now["restarts"]) == (row["pid"], "ready", 0)
    assert 0 < now["uptime_seconds"] < 60
    seqs = [event["seq"] for event in lab.told()]
    assert seqs == sorted(set(seqs))
    lab.kill()
    lab.boot()
    assert lab.settled("s")["s"]["pid"] == row["pid"]
    assert lab.stop()["ok"]


def test_descriptors_that_run_out(lab: Lab) -> None:
    lab.stack(ONE)
    lab.boot()
    lab.start()
    pid = int(lab.card()["pid"])
    used = len(os.listdir(f"/proc/{pid}/fd"))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 6, before[1]))
    port = int(lab.card()["url"].rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port), 2) for _ in range(30)]
    time.sleep(0.5)  # it must not spin, nor end, while nothing is left
    cpu = sum(map(float, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    time.sleep(1.0)
    burnt = sum(map(float, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) - cpu
    assert burnt < 0.7 * os.sysconf("SC_CLK_TCK"), "it spins while no descriptor is free"
    for one in idle:
        one.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    until(lambda: answers(lab), "it to answer again", 15)
    assert lab.row("s")["phase"] == "running"
    lab.restart("s")


def test_the_keeper_without_descriptors_refuses_one_start_and_keeps_the_rest(lab: Lab) -> None:
    lab.stack(
        """
        services:
          s: {target: {type: process, shell: "{actor} s --every 0.01"}, restart: no}
          t: {target: {type: process, shell: "{actor} t"}, restart: {delay: 200ms, max_delay: 200ms, burst: 0}}
        """
    )
    lab.boot()
    lab.start("s")
    keeper = lab.keeper
    used = len(os.listdir(f"/proc/{keeper}/fd"))
    before = resource.prlimit(keeper, resource.RLIMIT_NOFILE)
    resource.prlimit(keeper, resource.RLIMIT_NOFILE, (used, before[1]))
    lab.start("t", wait=False)
    row = until(lambda: (r := lab.row("t"))["phase"] == "backoff" and r, "the refusal")
    assert "open files" in row["reason"].lower()
    size = len(lab.output("s"))
    until(lambda: len(lab.output("s")) > size, "the other's output to go on")
    resource.prlimit(keeper, resource.RLIMIT_NOFILE, before)
    until(lambda: lab.row("t")["phase"] == "running", "it to be started once it can be")
    assert lab.keeper == keeper
    assert len(lab.copies("t")) == 1


def test_a_cleaner_empties_the_temporary_directory_and_the_sockets(lab: Lab) -> None:
    temporary = lab.root / "tmp"
    temporary.mkdir()
    lab.env["TMPDIR"] = str(temporary)
    lab.stack(ONE)
    lab.boot()
    lab.start()
    assert list(temporary.iterdir()) == [], "nothing of it is kept there"
    pid, keeper = lab.row("s")["pid"], lab.keeper
    shutil.rmtree(temporary)
    (lab.state / "executors/process/keeper.sock").unlink()
    lab.restart("s")
    lab.kill()
    lab.boot()  # with no socket to find the keeper by
    row = lab.settled()["s"]
    assert row["phase"] == "running"
    assert row["pid"] != pid
    assert len(lab.copies("s")) == 1
    lab.keepers.add(keeper)
    assert lab.stop()["ok"]


BARE = {
    "no home, no language": ({"HOME": None, "LANG": None, "LC_ALL": "C"}, ""),
    "umask 000": ({}, "umask 000"),
    "umask 777": ({}, "umask 777"),
    "no folder": ({}, 'mkdir gone && cd gone && rmdir "$PWD"'),
    "stdin closed": ({}, "exec 0<&-"),
    "all closed": ({}, "exec 0<&- 1>&- 2>&-"),
}


@pytest.mark.parametrize("bare", BARE)
def test_started_in_a_bare_environment(lab: Lab, bare: str) -> None:
    changes, first = BARE[bare]
    lab.stack("services: {s: {target: {type: process, shell: 'touch made; {actor} s --every 0.05'}}}")
    lab.wrapper = ["sh", "-c", f'cd "{lab.root}"; {first or ":"}; exec "$@"', "sh"]
    environment = lab.environment
    given = {name: value for name, value in (environment() | changes).items() if value is not None}
    lab.environment = lambda: given  # type: ignore[method-assign]
    lab.boot()
    lab.start()
    until(lambda: lab.output("s"), "output")
    loose = [
        str(path)
        for path in [lab.state, *lab.state.rglob("*")]
        if stat.S_IMODE(path.lstat().st_mode) & 0o077 and not path.is_symlink()
    ]
    assert loose == [], "others may read these"
    assert stat.S_IMODE((lab.folder / "made").stat().st_mode) == 0o644, "a service has an ordinary umask"
    fds = {os.readlink(f"/proc/{lab.row('s')['pid']}/fd/{fd}").split("/")[-1] for fd in (0, 1, 2)}
    assert fds == {"null", "stdout.fifo", "stderr.fifo"}
    lab.stop()
    lab.leave()
    lab.environment = environment  # type: ignore[method-assign]
    lab.wrapper = []


def test_a_daemon_that_was_stopped_for_a_while_sees_no_ghosts(lab: Lab) -> None:
    lab.stack(
        """
        services:
          s:
            target: {type: process, shell: "{actor} s"}
            health_check: {file: s.births, interval: 200ms, timeout: 300ms, retries: 1}
            restart: {on_unhealthy: true}
        """
    )
    lab.boot()
    lab.start()
    row = lab.row("s")
    pid = int(lab.card()["pid"])
    os.kill(pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(pid, signal.SIGCONT)
    until(lambda: answers(lab), "it to answer")
    time.sleep(0.7)  # several checks
    now = lab.row("s")
    assert (now["pid"], now["state"], now["restarts"]) == (row["pid"], "ready", 0)


SLEEPER = """
import http.server, pathlib, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.mark.parametrize("first", ["services first", "services last"])
def test_a_machine_that_sleeps_for_a_while_wakes_up_as_it_was(lab: Lab, first: str) -> None:
    """All that is ours is stopped and goes on, in the kinder and in the unkinder order; monotonic time goes on."""
    (lab.folder / "sleeper.py").write_text(SLEEPER)
    https = "".join(
        f"  h{n}:\n    target: {{type: process, shell: 'exec python3 sleeper.py ${{self.port}}'}}\n"
        "    ports: {http: auto}\n    restart: {on_unhealthy: true}\n"
        "    health_check: {http: /, interval: 100ms, timeout: 500ms, retries: 1, start_period: 20s}\n"
        for n in range(4)
    )
    lab.stack(
        f"services:\n{https}"
        "  command:\n    target: {type: process, shell: '{actor} command'}\n    restart: {on_unhealthy: true}\n"
        "    health_check: {command: 'sleep 0.05', interval: 100ms, timeout: 500ms, retries: 1, start_period: 20s}\n"
        "  chatty: {target: {type: process, shell: '{actor} chatty --every 0.01'}}\n"
        "  stopping: {target: {type: process, shell: '{actor} stopping --stubborn'}, stop: {timeout: 60s}}\n"
        "  waits: {target: {type: process, shell: 'echo $$ >> waits.births; exit 1'},"
        " restart: {delay: 60s, max_delay: 60s, burst: 0}}\n"
    )
    lab.boot()
    lab.start(wait=False)
    steady = [*(f"h{n}" for n in range(4)), "command", "chatty"]
    until(lambda: all(lab.row(name)["state"] == "ready" for name in steady), "all to be there")
    until(lambda: lab.births("stopping") and lab.row("waits")["phase"] == "backoff", "the others")
    lab.stop("stopping", wait=False)
    before = lab.rows()
    ours = [int(lab.card()["pid"]), lab.keeper]
    theirs = [pid for name in before for pid in lab.carriers(name)]
    for pid in [*ours, *theirs]:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(6)  # the machine sleeps
    waking = [*theirs, *ours] if first == "services first" else [*ours, *theirs]
    for pid in waking:
        with contextlib.suppress(ProcessLookupError):  # a check that has ended meanwhile
            os.kill(pid, signal.SIGCONT)
    until(lambda: answers(lab), "it to answer")
    checked = {name: lab.row(name)["health"] for name in steady}
    began = len(lab.births("waits"))
    size = len(lab.output("chatty"))
    until(lambda: len(lab.output("chatty")) > size + 10_000, "time to pass, and checks with it")
    now = lab.rows()
    for name in steady:
        assert (now[name]["pid"], now[name]["state"], now[name]["restarts"]) == (before[name]["pid"], "ready", 0), name
    assert set(checked.values()) == {"healthy", "none"}
    assert {event["service"] for event in lab.told("health") if event["data"]["to"] == "unhealthy"} == set()
    assert (now["stopping"]["phase"], now["stopping"]["pid"]) == ("stopping", before["stopping"]["pid"])
    assert (now["waits"]["phase"], began) == ("backoff", 1)
    lab.stop(force=True)


def test_told_to_leave_by_a_signal_or_a_terminal_that_goes_away(lab: Lab) -> None:
    lab.stack(ONE)
    lab.boot()
    lab.start()
    pid = lab.row("s")["pid"]
    assert lab.process is not None
    lab.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert lab.running, "a terminal that goes away is no reason"
    for number in (signal.SIGTERM, signal.SIGINT):
        lab.process.send_signal(number)
        assert lab.process.wait(10) == 0
        assert alive(pid)
        lab.boot()
        assert lab.settled()["s"]["pid"] == pid


PLUGIN = """
import asyncio, os, sys, time
from pydantic import BaseModel
from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl

class Options(BaseModel):
    type: str
    how: str = ""

class Bad:
    capabilities = Capabilities(stop=True)
    def __init__(self, context): pass
    async def open(self): pass
    async def close(self): pass
    async def start(self, spec):
        how = spec.options.how
        if how == "raise": raise RuntimeError("this plugin is broken")
        if how == "exit": sys.exit(3)
        if how == "hang": await asyncio.sleep(3600)
        if how == "block": time.sleep(3); raise RuntimeError("late")
    async def recover(self, marker, handle):
        from harness_core.domain.executor import Gone
        return Gone()
    async def forget(self, marker, handle): pass

@hookimpl
def harness_executors(register):
    register(ExecutorPlugin(kind="bad", options=Options, factory=Bad, summary="a bad one"))
"""


@pytest.mark.parametrize("how", ["raise", "exit", "block", *(["hang"] if LONG else [])])
def test_a_plugin_that_fails_while_it_works_hurts_nobody_else(lab: Lab, how: str) -> None:
    lab.install_plugin(PLUGIN)
    lab.stack(
        f"services: {{b: {{target: {{type: bad, how: {how}}}, restart: no}},"
        " good: {target: {type: process, shell: '{actor} good'}, restart: no}}"
    )
    lab.boot()
    lab.start("good")
    pid = lab.row("good")["pid"]
    lab.start("b", wait=False)
    if how != "hang":
        row = until(lambda: (r := lab.row("b"))["phase"] in ("failed", "backoff") and r, "the plugin's failure", 15)
        assert row["reason"]
    assert lab.running
    began = time.monotonic()
    assert lab.row("good")["pid"] == pid
    assert time.monotonic() - began < 1
    result = lab.restart("good")
    assert result["ok"], result


@pytest.mark.parametrize("body", ["raise RuntimeError('broken')", "import sys; sys.exit(3)", "def f(: pass", "x = 1"])
def test_a_plugin_that_cannot_be_loaded_is_named_and_skipped(lab: Lab, body: str) -> None:
    lab.install_plugin(body + "\n")
    lab.stack(ONE)
    lab.boot()
    rows = {row["name"]: row for row in lab.client.plugins()["plugins"]}
    assert rows["bad"]["status"] == "broken"
    assert rows["bad"]["problem"]
    assert lab.start()["ok"]


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="needs Linux")
def test_the_daemon_is_chosen_when_memory_runs_out(lab: Lab) -> None:
    lab.stack(ONE)
    lab.boot()
    lab.start()
    pid = lab.row("s")["pid"]
    assert lab.process is not None
    before = resource.prlimit(lab.process.pid, resource.RLIMIT_AS)
    resource.prlimit(lab.process.pid, resource.RLIMIT_AS, (1 << 20, before[1]))
    for _ in range(20):
        answers(lab)
    if not lab.running:
        lab.boot()
    else:
        resource.prlimit(lab.process.pid, resource.RLIMIT_AS, before)
        until(lambda: answers(lab), "it to answer again", 10)
    assert lab.settled()["s"]["pid"] == pid
