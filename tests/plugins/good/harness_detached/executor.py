"""The executor: one run directory a life, in which the holder writes what happens."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness_core.domain.errors import OperationFailed
from harness_core.domain.executor import (
    Capabilities,
    Ended,
    ExecRequest,
    ExecSession,
    ExecutorContext,
    Gone,
    Inspection,
    Lost,
    Marker,
    Recovery,
    Running,
    StartFailed,
    StartSpec,
    StopReport,
)
from harness_core.domain.states import Exit, Handle, Started
from harness_core.runtime.keeper.procfs import MARKER
from harness_core.runtime.processes import ProcessIdentity, Scanner, wait_pidfd
from harness_core.runtime.stopping import Grace, Tree, stop_tree
from harness_detached import holder
from harness_detached.command import order_of
from harness_detached.handle import DetachedHandle
from harness_detached.options import DetachedOptions
from harness_detached.output import STREAMS, Pump

#: how long a holder may take to write down what it knows, in seconds
PATIENCE = 10.0
#: errors after which trying again without a change is useless
PERMANENT = {errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR}


class DetachedExecutor:
    """Keeps the contract of ``harness_core.domain.executor.Executor``."""

    capabilities = Capabilities(exec=False)

    def __init__(self, context: ExecutorContext) -> None:
        self._context = context
        self._scanner = Scanner()
        self._pumps: dict[Marker, Pump] = {}

    async def open(self) -> None:
        self._follower = asyncio.create_task(self._follow())

    async def close(self) -> None:
        self._follower.cancel()
        await asyncio.wait([self._follower])
        for marker in list(self._pumps):
            self._let_go(marker)

    async def start(self, spec: StartSpec) -> Started:
        if not await asyncio.to_thread(self._make_run, spec.marker):
            known = await self.recover(spec.marker, None)
            if not isinstance(known, Gone):
                return known.started if isinstance(known, Running) else self._known(spec.marker).started()
        await asyncio.to_thread(os.waitpid, self._spawn(spec), 0)
        run = self._run(spec.marker)
        await self._settled(run, "born", "failed")
        failed = _read(run / "failed")
        if failed is not None:
            shutil.rmtree(run)
            message = f"cannot start {spec.marker.key}: {failed['message']}"
            raise StartFailed(message, permanent=failed["errno"] in PERMANENT)
        self._pump(spec.marker)
        return self._known(spec.marker).started()

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        run = self._run(marker)
        if not _read(run / "exit"):
            await self._settled(run, "born", "failed", "exit")
        known: DetachedHandle | None
        try:
            known = DetachedHandle.of(handle) if handle else self._known(marker)
        except FileNotFoundError:
            # the holder was killed before it could say whom it had started: the marker in the environment tells
            known = await self._marked(marker)
        if known is None:
            return Gone()
        if known.identity.alive():
            self._pump(marker)
            return Running(known.started())
        return Ended(await self._exit(marker))

    async def wait(self, marker: Marker, handle: Handle) -> Exit:
        fd = DetachedHandle.of(handle).identity.open()
        if fd is not None:
            try:
                await wait_pidfd(fd)
            finally:
                os.close(fd)
        return await self._exit(marker)

    async def stop(self, marker: Marker, handle: Handle, *, signal: int, grace: float) -> StopReport:
        tree = self._tree(marker, handle)
        outcome = await stop_tree(tree, signal, Grace(grace), self._scanner)
        exit = None if tree.leader.alive() else await self._exit(marker)
        return StopReport(exit, outcome.forced, outcome.leftovers)

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        DetachedHandle.of(handle).identity.signal(signum)

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection:
        members = self._tree(marker, handle).members(await self._scanner.table())
        return Inspection(pids=tuple(sorted(member.pid for member in members)))

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        raise OperationFailed("cannot run commands beside a detached process")

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        raise OperationFailed("cannot adopt into a detached process")

    async def forget(self, marker: Marker, handle: Handle | None) -> None:
        self._let_go(marker)
        await asyncio.to_thread(shutil.rmtree, self._run(marker), ignore_errors=True)

    # one life's directory

    def _run(self, marker: Marker) -> Path:
        return self._context.state_dir / marker.stack / marker.name / str(marker.epoch)

    def _make_run(self, marker: Marker) -> bool:
        """Claim a life: false when it was claimed before. This is what makes a second instance impossible."""
        run = self._run(marker)
        run.parent.mkdir(parents=True, exist_ok=True)
        try:
            run.mkdir(mode=0o700)
        except FileExistsError:
            return False
        return True

    def _spawn(self, spec: StartSpec) -> int:
        """Start the holder with the run directory's lock in its hands, so that there is no moment without it.

        Returns the pid of a process that ends at once: the holder is its child.
        """
        assert isinstance(spec.options, DetachedOptions), "the plugin's own model"
        run = self._run(spec.marker)
        order = order_of(spec, spec.options, {MARKER: self._marker(spec.marker)})
        (run / "order").write_text(json.dumps(order), encoding="ascii")
        for stream in STREAMS:
            (run / stream).touch(mode=0o600)
        lock = os.open(run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            argv = [sys.executable, "-I", "-S", "-X", "utf8", holder.__file__, str(run)]
            return os.posix_spawn(sys.executable, argv, {}, file_actions=[(os.POSIX_SPAWN_DUP2, lock, 3)])
        finally:
            os.close(lock)

    def _known(self, marker: Marker) -> DetachedHandle:
        """Raises ``FileNotFoundError`` when the holder has not told whom it started."""
        run = self._run(marker)
        born, order = _read(run / "born"), _read(run / "order")
        if born is None or order is None:
            raise FileNotFoundError(run)
        return DetachedHandle(ProcessIdentity.from_data(born), order["ports"])

    async def _marked(self, marker: Marker) -> DetachedHandle | None:
        for stat in (await self._scanner.table()).marked(self._marker(marker)):
            identity = ProcessIdentity.proven(stat.pid, stat.start)
            if stat.session == stat.pid and identity is not None:
                return DetachedHandle(identity, (_read(self._run(marker) / "order") or {}).get("ports", {}))
        return None

    async def _exit(self, marker: Marker) -> Exit:
        """How it ended, told once its last output is stored; of unknown manner when its holder was killed."""
        run = self._run(marker)
        await self._settled(run, "exit")
        facts = _read(run / "exit")
        if (run / "order").exists():
            await asyncio.to_thread(self._pump(marker).copy)
            self._let_go(marker)
        return Exit() if facts is None else Exit(facts["code"], facts["signal"], at=facts["at"])

    async def _settled(self, run: Path, *files: str) -> None:
        """Until one of the files is there, or no holder lives that could write it."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not any((run / file).exists() for file in files) and _held(run / "lock"):
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise Lost(f"the holder in {run} does not answer") from None

    def _marker(self, marker: Marker) -> str:
        return f"{self._context.instance}:{marker}"

    def _tree(self, marker: Marker, handle: Handle) -> Tree:
        return Tree(DetachedHandle.of(handle).identity, marker=self._marker(marker))

    # output

    def _pump(self, marker: Marker) -> Pump:
        """The pump of this life; a stream has one writer, so that of a former life is let go."""
        for former in [other for other in self._pumps if other.key == marker.key and other != marker]:
            self._let_go(former)
        if marker not in self._pumps:
            run, logs = self._run(marker), self._context.logs
            order = _read(run / "order") or {}
            self._pumps[marker] = Pump(
                run, logs.directory(marker.key), marker.epoch, order["logs"], lambda: logs.grew(marker.key)
            )
        return self._pumps[marker]

    def _let_go(self, marker: Marker) -> None:
        pump = self._pumps.pop(marker, None)
        if pump is not None:
            pump.close()

    async def _follow(self) -> None:
        while True:
            for pump in list(self._pumps.values()):
                with contextlib.suppress(FileNotFoundError):  # forgotten meanwhile
                    await asyncio.to_thread(pump.copy)
            await asyncio.sleep(0.1)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    return value


def _held(lock: Path) -> bool:
    """Whether a holder lives."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        return True
    finally:
        os.close(fd)
