"""The lives that this daemon knows of, kept true by the keeper's word and by what it holds itself.

For each life the daemon holds a pidfd, and for each service both FIFOs: so that an exit that a dead keeper did not
see is still told by the kernel, and so that output outlives the keeper even when the service ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from executors.process.handle import ProcessHandle
from harness_core.domain.executor import LogSink, Lost, Marker
from harness_core.domain.states import Exit
from harness_core.runtime.keeper.procfs import exit_status
from harness_core.runtime.keeper.segments import STREAMS, fifo_name
from harness_core.runtime.processes import ProcessIdentity, exit_from_status

__all__ = ["Life", "Lives", "exit_from_facts", "handle_of"]


def exit_from_facts(facts: Mapping[str, Any]) -> Exit:
    """The keeper's exit record in the domain's words."""
    return Exit(code=facts.get("code"), signal=facts.get("signal"), oom=bool(facts.get("oom")), at=facts.get("at"))


def handle_of(report: Mapping[str, Any]) -> ProcessHandle:
    """The handle of an instance that the keeper reports; its identity has an inode while it lives."""
    pid, start, boot = int(report["pid"]), int(report["start"]), str(report["boot_id"])
    proven = ProcessIdentity.proven(pid, start)
    return ProcessHandle(
        proven if proven is not None and proven.boot_id == boot else ProcessIdentity(pid, start, boot),
        cgroups=tuple(report.get("cgroups", ())),
        notes=tuple(report.get("notes", ())),
        logs=report.get("logs", {}),
        endpoints=report.get("endpoints", {}),
    )


class Life:
    """One instance: who it is, and a future of its end."""

    def __init__(self, marker: Marker, handle: ProcessHandle) -> None:
        self.marker = marker
        self.handle = handle
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        #: held so that the kernel's memory of its exit is ours to ask for
        self.pidfd = handle.identity.open()
        self._waiters: set[asyncio.Future[Exit]] = set()

    async def wait(self) -> Exit:
        """Its exit. Raises ``Lost`` when nobody can tell of it any more."""
        if self.exit.done():
            return self.exit.result()
        # a future for each who waits, and no task: thousands of lives are waited for at once
        waiter: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    def lose(self, why: str) -> None:
        """Whoever waits is told that the end cannot be known; it may have come or not."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(Lost(why))

    def end(self, exit: Exit) -> None:
        """It has ended. What the keeper could not see may still be known through our pidfd."""
        if not exit.known and self.pidfd is not None:
            seen = exit_from_status(exit_status(self.pidfd, self.handle.identity.pid))
            exit = Exit(code=seen.code, signal=seen.signal, oom=exit.oom, at=exit.at)
        if exit.oom and exit.signal != signal.SIGKILL:  # the kernel killed for want of memory, but was it this one?
            exit = replace(exit, oom=False)
        if not self.exit.done():
            self.exit.set_result(exit)
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(exit)
        self.close()

    def close(self) -> None:
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


class Lives:
    """All of them, with the FIFOs of their services."""

    def __init__(self, logs: LogSink) -> None:
        self._logs = logs
        self._lives: dict[Marker, Life] = {}
        self._by_key: dict[str, list[Marker]] = {}
        self._fifos: dict[str, list[int]] = {}
        self._expected: dict[tuple[str, int], Mapping[str, Any] | None] = {}

    @contextlib.contextmanager
    def expecting(self, marker: Marker) -> Iterator[None]:
        """While the keeper is asked about a life: its end may be told before its beginning has been heard out."""
        self._expected.setdefault((marker.key, marker.epoch), None)
        try:
            yield
        finally:
            self._expected.pop((marker.key, marker.epoch), None)

    def all(self) -> list[Life]:
        return list(self._lives.values())

    def get(self, marker: Marker) -> Life | None:
        return self._lives.get(marker)

    def hold(self, marker: Marker, handle: ProcessHandle) -> Life:
        """Know of a life from now on; the same one twice is one."""
        life = self._lives.get(marker)
        if life is None:
            for former in [other for other in self._of(marker.key) if self._lives[other].exit.done()]:
                self._remove(former)
            life = self._lives[marker] = Life(marker, handle)
            self._by_key.setdefault(marker.key, []).append(marker)
        if not handle.adopted:
            self._hold_fifos(marker.key)
        early = self._expected.get((marker.key, marker.epoch))
        if early is not None:
            life.end(exit_from_facts(early))
        return life

    def ended(self, report: Mapping[str, Any]) -> None:
        """The keeper says that an instance has ended."""
        if (report["key"], report["epoch"]) in self._expected:
            self._expected[report["key"], report["epoch"]] = report["exit"]
        for marker in self._of(report["key"]):
            if marker.epoch == report["epoch"]:
                self._lives[marker].end(exit_from_facts(report["exit"]))

    def drop(self, marker: Marker) -> None:
        """Forget a life, and its service's FIFOs when it was the last one."""
        life = self._lives.get(marker)
        if life is not None:
            life.close()
            self._remove(marker)
        if not self._of(marker.key):
            for fd in self._fifos.pop(marker.key, []):
                os.close(fd)

    def close(self) -> None:
        for life in self._lives.values():
            life.close()
        for fds in self._fifos.values():
            for fd in fds:
                os.close(fd)
        self._lives.clear()
        self._by_key.clear()
        self._fifos.clear()

    def _of(self, key: str) -> list[Marker]:
        """The lives of one service; a list of its own, so that it may be gone through while they go."""
        return list(self._by_key.get(key, ()))

    def _remove(self, marker: Marker) -> None:
        del self._lives[marker]
        markers = self._by_key[marker.key]
        markers.remove(marker)
        if not markers:
            del self._by_key[marker.key]

    def _hold_fifos(self, key: str) -> None:
        if key in self._fifos:
            return
        folder = self._logs.directory(key)
        fds = self._fifos[key] = []
        for stream in STREAMS:
            with contextlib.suppress(OSError):  # removed by somebody: there is nothing to hold
                flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
                fds.append(os.open(f"{folder}/{fifo_name(stream)}", flags))
