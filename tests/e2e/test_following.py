"""Live views over a daemon that dies: what was seen is neither lost nor seen twice."""

from __future__ import annotations

import json
import re
import threading

import pytest

from tests.e2e.conftest import Harness, until

pytestmark = pytest.mark.e2e

TICKING = """
name: shop
services:
  tick:
    target: {type: process, shell: "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.01; done"}
"""


class Reader:
    """Collects the lines of a process while it runs."""

    def __init__(self, harness: Harness, *args: str) -> None:
        self.process = harness.popen(*args)
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.lines)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: object, into: list[str]) -> None:
        for line in stream:  # type: ignore[attr-defined]
            into.append(line.rstrip("\n"))
        stream.close()  # type: ignore[attr-defined]

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        for thread in self._threads:
            thread.join(10)


def test_followed_output_goes_on_through_the_death_of_the_daemon(harness: Harness) -> None:
    harness.write("harness.yaml", TICKING)
    harness.ok("start")
    reader = Reader(harness, "logs", "-f", "tick", "--tail", "all", "--raw")
    try:
        until(lambda: len(reader.lines) > 50, "output")
        harness.kill_daemon()
        harness.ok("status")
        seen = len(reader.lines)
        until(lambda: len(reader.lines) > seen + 100, "output after the daemon came back")
    finally:
        reader.end()
    numbers = [int(match[1]) for line in reader.lines if (match := re.search(r"tick (\d+)$", line))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_followed_status_goes_on_through_the_death_of_the_daemon(harness: Harness) -> None:
    harness.write("harness.yaml", TICKING)
    harness.ok("start")
    reader = Reader(harness, "events", "--follow", "-o", "jsonl")
    try:
        until(lambda: any('"started"' in line for line in reader.lines), "the past")
        harness.ok("restart", "tick")
        harness.kill_daemon()
        harness.ok("status")
        harness.ok("restart", "tick")
        harness.ok("stop", "-y", "tick")
        until(lambda: any('"to":"stopped"' in line.replace(" ", "") for line in reader.lines), "the stop")
    finally:
        reader.end()
    numbers = [json.loads(line)["seq"] for line in reader.lines if line.startswith("{")]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a gap or a duplicate"


def test_status_follow_prints_one_line_per_change_off_a_terminal(harness: Harness) -> None:
    harness.write("harness.yaml", TICKING)
    harness.ok("start")
    reader = Reader(harness, "status", "--follow")
    try:
        until(lambda: any("tick" in line for line in reader.lines), "the present")
        harness.ok("stop", "-y", "tick")
        until(lambda: any("stopped" in line for line in reader.lines), "the change")
    finally:
        reader.end()


def test_what_logs_can_be_asked_for(harness: Harness) -> None:
    harness.write(
        "harness.yaml",
        """
        name: shop
        services:
          talk:
            restart: no
            target: {type: process, shell: "echo life; echo out one; echo err two >&2; echo out three; exec sleep 99"}
        """,
    )
    harness.ok("start")
    first = harness.ok("logs", "talk", "--no-prefix").out.splitlines()
    assert len(first) == 4
    assert harness.ok("logs", "talk", "-n", "1", "--stream", "err", "--no-prefix").out.strip() == "err two"
    assert harness.ok("logs", "talk", "--grep", "thr", "--no-prefix").out.strip() == "out three"
    assert harness.ok("logs", "talk", "--since", "1h", "--until", "30m").out == ""
    lines = [json.loads(line) for line in harness.ok("logs", "talk", "-o", "jsonl").out.splitlines()]
    assert {line["stream"] for line in lines} == {"stdout", "stderr"}
    stamped = harness.ok("logs", "talk", "-t", "-n", "1").out
    assert re.search(r"\d\d:\d\d:\d\d", stamped)
    harness.ok("restart", "talk")
    before = harness.ok("logs", "talk", "--previous", "--no-prefix").out.splitlines()
    assert before[0] == first[0]
    assert harness.run("logs", "talk", "-n", "all").out.count("life") == 2


def test_levels_are_found_in_every_dress_and_output_can_be_dropped(harness: Harness) -> None:
    lines = ["INFO starting", "2026 WARN low", '{"level":"error","msg":"x"}', "level=debug y", "plain", "CRITICAL end"]
    echoes = "; ".join(f"echo '{line}'" for line in lines)
    harness.write("say.sh", f"{echoes}; exec sleep 1000")
    harness.write("harness.yaml", "name: shop\nservices: {a: {target: {type: process, binary: sh, args: [say.sh]}}}\n")
    harness.ok("start")

    def shown(*args: str) -> list[str]:
        return harness.ok("logs", "a", "--no-prefix", *args).out.splitlines()

    assert shown("--level", "error") == [lines[2], lines[5]]
    assert shown("--level", "warning") == [lines[1], lines[2], lines[5]]
    assert shown("--level", "warning", "--grep", "^C") == [lines[5]]
    assert harness.run("logs", "a", "--level", "loud").code == 2
    assert harness.run("logs", "--clear", "a").code == 2, "not without being sure"
    harness.ok("logs", "--clear", "-y", "a")
    assert shown() == []
