"""The engine is absent, frozen, cut off or restarted: unknown within five seconds, right again within three."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executors.docker.command import LABELS
from executors.docker.engine import THREADS
from tests.engine import IMAGE, Engine, busybox
from tests.faults.asking import NOISE, Asking
from tests.faults.lab import LONG, Lab, until
from tests.faults.tally import Tally
from tests.proxy import Proxy
from tests.registry import Registry

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

#: what is promised
UNKNOWN, BACK = 5.0, 3.0
#: what it is promised for
FREEZE = 60.0
#: of a loaded machine, on top, where an engine is started or much is done meanwhile
SLACK = 2.0


def stack(lab: Lab, count: int = 1, restart: str = "no", **target: Any) -> None:
    base = {"type": "docker", "image": IMAGE, "pull": "never", "init": True}
    command = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done"]
    unit = json.dumps({"target": {**base, "command": command, **target}, "restart": {"policy": restart}})
    lab.stack("services:\n" + "".join(f"  a{number}: {unit}\n" for number in range(count)))


def ids(engine: Engine) -> set[str]:
    return {row["Id"] for row in engine.containers() if LABELS.INSTANCE in row["Labels"] and row["State"] == "running"}


def phases(lab: Lab) -> set[str]:
    return {row["phase"] for row in lab.rows().values()}


def threads(lab: Lab) -> int:
    assert lab.process is not None
    return len(os.listdir(f"/proc/{lab.process.pid}/task"))


def contiguous(lab: Lab, name: str) -> bool:
    numbers = [int(line.split()[1]) for line in lab.output(name).splitlines()]
    return numbers == list(range(1, len(numbers) + 1))


@pytest.fixture
def proxy(engine: Engine, lab: Lab, tmp_path: Path) -> Iterator[Proxy]:
    one = Proxy(engine.root / f"proxy-{os.getpid()}.sock", engine.socket)
    lab.env["DOCKER_HOST"] = one.host
    try:
        yield one
        one.thaw()
        if not one.path.exists():
            one.serve()
        lab.close()
    finally:
        one.close()


def test_frozen_for_a_minute(lab: Lab, engine: Engine, proxy: Proxy, tally: Tally) -> None:
    stack(lab, 5)
    lab.boot()
    lab.start()
    before, calm, most = ids(engine), threads(lab), 0
    wrong: list[str] = []

    def look(rows: list[dict[str, Any]]) -> None:
        nonlocal most
        most = max(most, threads(lab))
        wrong.extend(f"{row['name']} {row['phase']}" for row in rows if row["phase"] != "unknown")

    proxy.freeze()
    began = time.monotonic()
    until(lambda: phases(lab) == {"unknown"}, "all to be unknown")
    noticed = time.monotonic() - began
    assert "gave no answer" in lab.row("a0")["reason"]
    with Asking(lab, every=0.25, look=look) as asking:
        time.sleep(began + FREEZE - time.monotonic())
    proxy.thaw()
    thawed = time.monotonic()
    until(lambda: phases(lab) == {"running"}, "all to be right again")
    back = time.monotonic() - thawed
    figures = f"unknown after {noticed:.1f} s, back after {back:.1f} s, {calm} threads before and {most} meanwhile"
    print(f"frozen for {FREEZE:g} s: {figures}")
    tally.note(f"{figures}; {asking.judge('meanwhile')}")
    assert noticed < UNKNOWN + NOISE
    assert back < BACK + NOISE
    assert most <= calm + THREADS + 2
    assert wrong == []
    assert ids(engine) == before
    size = len(lab.output("a0"))
    until(lambda: len(lab.output("a0")) > size + 200, "output to go on")
    lab.stop()
    assert all(contiguous(lab, f"a{number}") for number in range(5))
    assert ids(engine) == set()


@pytest.mark.timeout(600)
def test_frozen_again_and_again(lab: Lab, engine: Engine, proxy: Proxy, tally: Tally) -> None:
    stack(lab, 3)
    lab.boot()
    lab.start()
    before, calm = ids(engine), threads(lab)
    noticed, back = 0.0, 0.0
    for _ in range(20 if LONG else 3):
        proxy.freeze()
        began = time.monotonic()
        until(lambda: phases(lab) == {"unknown"}, "all to be unknown")
        noticed = max(noticed, time.monotonic() - began)
        assert threads(lab) <= calm + THREADS + 2
        proxy.thaw()
        began = time.monotonic()
        until(lambda: phases(lab) == {"running"}, "all to be right again")
        back = max(back, time.monotonic() - began)
        tally.rounds += 1
    tally.note(f"unknown after {noticed:.1f} s at most, back after {back:.1f} s at most")
    print(f"{tally.rounds} freezes: {tally.words[-1]}")
    assert noticed < UNKNOWN + NOISE
    assert back < BACK + NOISE
    assert threads(lab) <= calm + THREADS + 2
    goes_on_as_one(lab, engine, before)


def test_cut_again_and_again(lab: Lab, engine: Engine, proxy: Proxy, tally: Tally) -> None:
    stack(lab, 3)
    lab.boot()
    lab.start()
    before, calm = ids(engine), threads(lab)
    for _ in range(100 if LONG else 20):
        proxy.cut()
        time.sleep(0.1)
        tally.rounds += 1
    began = time.monotonic()
    until(lambda: phases(lab) == {"running"}, "all to be right")
    back = time.monotonic() - began
    tally.note(f"right after {back:.1f} s")
    assert back < BACK + NOISE
    assert threads(lab) <= calm + THREADS + 2
    goes_on_as_one(lab, engine, before)


def goes_on_as_one(lab: Lab, engine: Engine, before: set[str]) -> None:
    """The very containers of ``before`` still run, in their first lives, and not a line of them is lost."""
    size = len(lab.output("a0"))
    until(lambda: len(lab.output("a0")) > size, "output to go on")
    assert ids(engine) == {row["Id"] for row in engine.containers()} == before
    assert all(row["epoch"] == 1 for row in lab.rows().values())
    lab.stop()
    assert all(contiguous(lab, f"a{number}") for number in range(3))


def test_an_end_while_the_stream_of_events_was_cut_is_found(lab: Lab, engine: Engine, proxy: Proxy) -> None:
    """More happens meanwhile than an engine remembers: no stream of events, however far back it goes, tells of it."""
    stack(lab, 2)
    lab.boot()
    lab.start()
    before = ids(engine)
    one = next(row["Id"] for row in engine.containers() if row["Labels"][LABELS.SERVICE] == "a0")
    since = int(time.time()) - 60
    proxy.refuse()
    engine.call("POST", f"/containers/{one}/kill")
    until(lambda: one not in ids(engine), "it to be dead")
    noise = engine.run("noise", "sleep", "100")
    for number in range(300):
        engine.call("POST", f"/containers/{noise}/rename?name=noise{number}")
    engine.remove(noise)
    remembered = engine.call("GET", f"/events?since={since}&until={int(time.time()) + 1}")
    assert remembered.count(b'"Action":"rename"') > 200
    assert one.encode() not in remembered
    proxy.serve()
    began = time.monotonic()
    until(lambda: lab.row("a0")["phase"] == "failed", "its end to be known")
    assert time.monotonic() - began < BACK + NOISE
    assert "exit code 137" in lab.row("a0")["reason"]
    until(lambda: lab.row("a1")["phase"] == "running", "the other to be right again")
    assert ids(engine) == before - {one}
    assert lab.row("a1")["epoch"] == 1


def test_absent_when_the_daemon_starts(lab: Lab, engine: Engine, proxy: Proxy) -> None:
    stack(lab)
    lab.boot()
    lab.start()
    before = ids(engine)
    lab.kill()
    proxy.refuse()
    lab.boot()
    until(lambda: lab.row("a0")["phase"] == "unknown", "it to be unknown")
    assert "there is no such socket" in lab.row("a0")["reason"]
    proxy.serve()
    began = time.monotonic()
    until(lambda: lab.row("a0")["phase"] == "running", "it to be taken back")
    assert time.monotonic() - began < BACK + SLACK
    assert ids(engine) == before
    lab.stop()
    assert contiguous(lab, "a0")


def test_absent_when_a_container_is_to_start(lab: Lab, engine: Engine, proxy: Proxy) -> None:
    stack(lab, restart="on-failure")
    proxy.refuse()
    lab.boot()
    lab.start(wait=False)
    until(lambda: lab.row("a0")["phase"] == "backoff", "it to be tried again")
    assert "is Docker installed and running" in lab.row("a0")["reason"]
    proxy.serve()
    until(lambda: lab.row("a0")["phase"] == "running", "it to run")
    assert len(ids(engine)) == 1
    lab.stop()


def test_a_registry_that_stalls_is_seen_in_the_status(lab: Lab, engine: Engine) -> None:
    lab.env["DOCKER_HOST"] = engine.host
    registry = Registry(busybox({"srv/noise": os.urandom(1 << 20)}))
    try:
        stack(lab, image=registry.image, pull="missing")
        lab.boot()
        lab.start(wait=False)
        until(lambda: "layers, " in lab.row("a0")["reason"], "some of the image to be here")
        row = lab.row("a0")
        assert row["phase"] == "starting"
        assert row["reason"].startswith(f"fetches the image {registry.image}: 0 of 1 layers, ")
        registry.go_on.set()
        until(lambda: lab.row("a0")["phase"] == "running", "it to run")
        assert lab.row("a0")["reason"] == ""
        told = [event["cause"] for event in lab.told("state")]
        assert told.count(f"fetches the image {registry.image}") == 1
        assert not any("layers" in cause for cause in told), "how far it is, is no event"
        lab.stop()
    finally:
        registry.close()


def test_a_daemon_leaves_while_a_registry_stalls_and_the_next_one_begins_anew(lab: Lab, engine: Engine) -> None:
    lab.env["DOCKER_HOST"] = engine.host
    registry = Registry(busybox({"srv/noise": os.urandom(1 << 20)}))
    try:
        stack(lab, image=registry.image, pull="missing")
        lab.boot()
        lab.start(wait=False)
        until(lambda: "layers, " in lab.row("a0")["reason"], "some of the image to be here")
        began = time.monotonic()
        lab.leave()
        assert time.monotonic() - began < 5 + SLACK
        registry.go_on.set()
        lab.boot()
        until(lambda: lab.row("a0")["phase"] == "running", "it to run", 40)
        assert len(engine.containers()) == 1
        lab.stop()
    finally:
        registry.close()


def test_frozen_while_a_container_is_made(lab: Lab, engine: Engine, proxy: Proxy) -> None:
    """Whether it was made is not known; it is never made twice."""
    stack(lab, 4)
    lab.boot()
    lab.start(wait=False)
    until(lambda: engine.containers(), "the first container to be made")
    proxy.freeze()
    time.sleep(4)
    proxy.thaw()
    until(lambda: phases(lab) == {"running"}, "all to run", 60)
    assert len(engine.containers()) == 4
    lab.stop()
    assert engine.containers() == []


@pytest.mark.parametrize("live_restore", [True, False])
def test_the_engine_is_killed_and_started_again(lab: Lab, live_restore: bool) -> None:
    """With live-restore the containers outlive it; without, its successor ends them, and the policy decides."""
    with Engine.private(*(["--live-restore"] if live_restore else [])) as engine:
        lab.env["DOCKER_HOST"] = engine.host
        stack(lab, 2, restart="always")
        lab.boot()
        lab.start()
        before = ids(engine)
        engine.kill()
        until(lambda: phases(lab) == {"unknown"}, "all to be unknown", UNKNOWN + SLACK)
        engine.start()
        wanted = {1} if live_restore else {2}
        until(lambda: {row["epoch"] for row in lab.rows().values()} == wanted, "the lives that it has left", 30)
        until(lambda: phases(lab) == {"running"}, "all to be right again", 30)
        assert len(engine.containers()) == len(ids(engine)) == 2
        assert (ids(engine) == before) is live_restore
        size = len(lab.output("a0"))
        until(lambda: len(lab.output("a0")) > size, "output to go on")
        lab.stop()
        assert engine.containers() == []
        assert not live_restore or contiguous(lab, "a0")
        lab.close()
