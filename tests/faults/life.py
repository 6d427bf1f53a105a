"""A whole life of a stack, told to whoever kills, fails or delays a part of harness in the middle of it.

A start, a death of its own, a token and a certificate, a death of daemon and keeper, a restart, stops, and the end of
the stack. Whoever dies in it is raised again and the step repeated; at no moment may there be two copies of anything,
what was acknowledged holds, and nothing is left in the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import TypeVar

from harness_core.client import fast, locate
from harness_core.domain.errors import DaemonUnreachable, HarnessError
from tests.faults.actor import line
from tests.faults.lab import Lab, alive

__all__ = ["SERVICES", "Life"]

T = TypeVar("T")

STACK = """
services:
  a:
    target: {type: process, shell: "{actor} a --every 0.005 --burst 10"}
    logs: {max_size: 16k, max_files: 4}
    restart: {delay: 10ms, burst: 0}
  b:
    target: {type: process, shell: "{actor} b"}
    dependencies: [{task: t}]
    health_check: {file: b.births, interval: 200ms}
    restart: {delay: 10ms, burst: 0}
  stubborn: {target: {type: process, shell: "{actor} stubborn --stubborn"}, stop: {timeout: 200ms}}
tasks:
  t: {target: {type: process, shell: "{actor} t --for 0.1"}, retries: 3, retry_delay: 50ms}
"""
SERVICES = ("a", "b", "stubborn")


class Life:
    """The story; ``lab.tracer``, ``lab.env`` and the like say what becomes of those who live it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.stack(STACK)

    def insist(self, act: Callable[[], T], what: str) -> T:
        """Do it until it succeeds, with a daemon that is started again when it is gone."""
        deadline = time.monotonic() + 40
        while True:
            if not self.lab.running:
                self.lab.launch()
            try:
                return act()
            except (HarnessError, OSError) as error:
                trouble = f"{error!r}\n{self.lab.daemon_log()[-2000:]}"
            assert time.monotonic() < deadline, f"waited for {what}: {trouble}"
            time.sleep(0.02)

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """Until it is so, and at no moment two copies of anything."""

        def look() -> T:
            for name in SERVICES:
                assert len(self.lab.copies(name)) <= 1, f"{name} runs twice"
            if not (value := condition()):
                raise DaemonUnreachable(what)
            return value

        return self.insist(look, what)

    def phase(self, name: str) -> str:
        return str(self.lab.row(name)["phase"])

    def up(self) -> bool:
        rows = self.lab.rows()
        return rows["t"]["phase"] == "completed" and all(rows[name]["state"] == "ready" for name in SERVICES)

    def tell(self, *, deaths: bool = True) -> None:
        """All of it; without ``deaths`` nobody is killed but by whoever listens."""
        self.begin()
        self.crash()
        secret = self.administer()
        if deaths:
            self.daemon_and_keeper_die()
        endpoint = self.insist(lambda: locate.local_endpoint(str(self.lab.state)), "the endpoint")
        self.insist(lambda: fast.call(endpoint._replace(token=secret), "hello"), "the token to be good")
        self.end()

    def begin(self) -> None:
        lab = self.lab
        self.insist(lambda: lab.start(wait=False), "the start to be acknowledged")
        self.wait(lambda: all(row["wanted"] == "up" for row in lab.rows().values()), "what was acknowledged")
        self.wait(self.up, "all to be up")
        assert lab.births("t") == lab.births("t")[:1], "the task is done once"

    def administer(self) -> str:
        """A token, which is returned, and a certificate."""
        secret = self.insist(self.token, "a token")
        self.insist(lambda: self.lab.client.cert_rotate(), "a certificate")
        return secret

    def end(self) -> None:
        lab = self.lab
        before = lab.births("b")
        self.insist(lambda: lab.restart("b", wait=False), "the restart to be acknowledged")
        self.wait(lambda: len(lab.births("b")) > len(before) and self.up(), "the restart")
        self.insist(lambda: lab.stop("stubborn", wait=False), "the stop to be acknowledged")
        self.wait(lambda: self.phase("stubborn") == "stopped", "the stop")
        assert lab.carriers("stubborn") == []
        self.insist(lambda: lab.stop(wait=False), "the last stop to be acknowledged")
        self.wait(lambda: all(self.phase(name) == "stopped" for name in SERVICES), "all to be stopped")
        assert [lab.carriers(name) for name in SERVICES] == [[], [], []]
        self.check_output()
        self.insist(self.forget, "the stack to be forgotten")

    def crash(self) -> None:
        """A death of its own: the end is told truly, and a new life follows."""
        lab = self.lab
        pid = self.wait(lambda: self.up() and lab.row("a")["pid"], "a to run")
        os.kill(pid, signal.SIGUSR1)
        self.wait(lambda: not alive(pid) and self.up() and lab.row("a")["pid"] != pid, "another life of a")
        told = self.insist(lambda: lab.told("exited"), "what was told")
        ends = [event for event in told if event["service"] == "s/a"]
        assert [event["data"]["code"] for event in ends] in ([37], [None]), "true, or told as unknown"

    def token(self) -> str:
        for row in self.lab.client.token_list()["tokens"]:
            if row["name"] == "other" and not row["revoked"]:
                self.lab.client.token_revoke(id=row["id"])
        return str(self.lab.client.token_create(name="other", role="viewer")["token"])

    def daemon_and_keeper_die(self) -> None:
        pids = {name: self.wait(lambda name=name: self.lab.row(name)["pid"], name) for name in SERVICES}  # type: ignore[misc]
        if self.lab.running:
            self.lab.kill()
        with contextlib.suppress(AssertionError):
            self.lab.kill_keeper()
        self.wait(lambda: self.up(), "all to be taken back")
        assert {name: self.lab.row(name)["pid"] for name in SERVICES} == pids

    def check_output(self) -> None:
        """What retention left of a's output is what it wrote, without a byte missing, doubled or changed."""
        whole = b""
        for birth in range(1, len(self.lab.births("a")) + 1):
            count = int((self.lab.folder / f"a.{birth}.count").read_text())
            whole += b"".join(line("a", birth, number) for number in range(count))
        stored = self.lab.output("a")
        assert stored
        assert whole.endswith(stored)

    def forget(self) -> bool:
        with contextlib.suppress(HarnessError):
            self.lab.client.stack_forget(stack="s")
        return bool(not self.lab.rows() or self._not_yet())

    def _not_yet(self) -> bool:
        raise DaemonUnreachable("the stack is still there")
