"""What harness adds to the engine's own work: starting and stopping twenty containers, and following them in silence.

Both sides are measured in the same run, in turn: ours with network, labels, logs and a daemon; the engine's through its
bare interface with the same containers, as many at a time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bench.ours import Ours, ours
from tests.engine import IMAGE, Engine

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

COUNT = 20
#: as many as harness starts at a time
AT_A_TIME = 8
ROUNDS = 3
#: promised; and what a machine that does other things as well may add
FACTOR, NOISE = 1.3, 0.4
SILENT = 10.0
SHARE = 0.03


@pytest.fixture
def harness(tmp_path: Path, engine: Engine) -> Iterator[Ours]:
    with ours(tmp_path) as one:
        one.environment["DOCKER_HOST"] = engine.host
        one.run("daemon", "stop")  # the one that is there knows of another engine
        one.run("daemon", "start")
        target = {"type": "docker", "image": IMAGE, "pull": "never", "init": True, "command": ["sleep", "1000"]}
        services = {f"s{number}": {"target": target} for number in range(COUNT)}
        one.stack.write_text(json.dumps({"name": "many", "services": services}))
        yield one


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


class Bare:
    """The same containers, asked for by nothing but the engine's interface."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.pool = ThreadPoolExecutor(AT_A_TIME)

    def start(self) -> None:
        self.engine.call("POST", "/networks/create", {"Name": "bare"})
        list(self.pool.map(self._start, range(COUNT)))

    def _start(self, number: int) -> None:
        host = {"NetworkMode": "bare", "Init": True, "LogConfig": {"Type": "local"}}
        self.engine.run(f"bare{number}", "sleep", "1000", HostConfig=host)

    def stop(self) -> None:
        list(self.pool.map(self._stop, range(COUNT)))
        self.engine.call("DELETE", "/networks/bare")

    def _stop(self, number: int) -> None:
        self.engine.call("POST", f"/containers/bare{number}/stop?t=10")
        self.engine.call("DELETE", f"/containers/bare{number}?v=1")


def test_starting_and_stopping_costs_little_more_than_the_engine_does(harness: Ours, engine: Engine) -> None:
    bare = Bare(engine)
    starts, stops = [], []
    try:
        for _ in range(ROUNDS):
            starts.append((timed(lambda: harness.run("start", str(harness.stack), "-q")), timed(bare.start)))
            stops.append((timed(lambda: harness.run("stop", "many", "-y", "-q")), timed(bare.stop)))
    finally:
        bare.pool.shutdown()
    told = {}
    for what, pairs in (("start", starts), ("stop", stops)):
        mine, theirs = (sorted(side)[len(pairs) // 2] for side in zip(*pairs, strict=True))
        told[what] = f"{mine:.2f} s, the engine alone {theirs:.2f} s, {mine / theirs:.2f} times"
        assert mine <= theirs * FACTOR + NOISE, told
    print(f"{COUNT} containers: {told}")


def test_following_silent_containers_costs_next_to_nothing(harness: Ours) -> None:
    harness.run("start", str(harness.stack), "-q")
    pid = json.loads((harness.state / "daemon.json").read_text())["pid"]
    time.sleep(2)  # the last words about the start
    before = _cpu(pid)
    time.sleep(SILENT)
    share = (_cpu(pid) - before) / SILENT
    threads = len(os.listdir(f"/proc/{pid}/task"))
    print(f"{COUNT} followed containers: {share:.2%} of a core, {threads} threads")
    assert share < SHARE
    harness.run("stop", "many", "-y", "-q")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
