"""The stock daemon: a state directory, a registry, a manager and a door, wired together and run until told to leave.

Leaving never touches a service: what runs goes on and is taken back by the next daemon.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import Path

from harness_core.domain import select
from harness_core.domain.store import StoreError
from harness_core.doors.doors import Doors
from harness_core.doors.operations import acting, daemon, logs, reading, resources, stacks, taking
from harness_core.doors.table import Table
from harness_core.runtime.crew import Crew
from harness_core.runtime.daemonlog import configure, hide
from harness_core.runtime.manager import Manager
from harness_core.runtime.plugins import load_plugins
from harness_core.runtime.statedir import StateDir, default_path
from registry.sqlite import SqliteStore

__all__ = ["run", "version"]

log = logging.getLogger("harness.daemon")

#: after the second signal, or when closing takes longer than this, the process ends without more ado
CLOSE_DEADLINE = 20.0
#: for what would hold up the event loop
THREADS = 8
#: how often to look whether the registry's file still has its name
REGISTRY_LOOK = 4.0


def version() -> str:
    try:
        return distribution_version("service-harness")
    except PackageNotFoundError:
        return "0"


def run(
    *,
    state_dir: Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    names: Sequence[str] = (),
    log_format: str = "text",
    log_level: str = "info",
    foreground: bool = False,
) -> None:
    """Run the daemon in this process until SIGTERM, SIGINT or ``daemon stop``.

    Raises ``Conflict`` when another daemon holds the state directory or an explicitly given port is taken.
    """
    os.umask(0o077)
    with StateDir(state_dir or default_path()) as state:
        os.chdir(state.path)
        configure(state.path / "daemon.log", style=log_format, level=log_level, foreground=foreground)
        _watch_children_without_threads()
        asyncio.run(_Daemon(state, host, port, names).serve())


def _collect_seldom() -> None:
    """What stands now stays until the end, and the garbage collector need not look through it again and again.

    Nearly all garbage here goes by reference count; a collection over everything stops the daemon for tens of
    milliseconds, in the midst of starting many services at the default thresholds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _watch_children_without_threads() -> None:
    """As newer Pythons do by themselves: a thread for each command that runs may be one more than there may be."""
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


class _Daemon:
    def __init__(self, state: StateDir, host: str, port: int | None, names: Sequence[str]) -> None:
        self._state = state
        self._leaving = asyncio.Event()
        store = SqliteStore(state.path / "registry.db")
        self._manager = Manager(state.path, store, load_plugins(), instance=state.instance())
        self._store = store
        self._table = Table()
        self._doors = Doors(state.path, self._table, host=host, port=port, extra_names=names)

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        crew = Crew(THREADS, "harness")
        crew.muster()
        loop.set_default_executor(crew)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_leave)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        self._bind()
        self._table.check()  # before anything is touched: a door without a lock is a defect of ours
        manager = self._manager
        hide(manager.all_hidden)
        try:
            await manager.open()
            await self._doors.open()
            manager.problems += self._doors.problems
            self._state.write_card(
                {
                    "pid": os.getpid(),
                    "url": self._doors.url,
                    "version": version(),
                    "state_dir": str(self._state.path),
                    "started_at": time.time(),
                }
            )
            manager.engine.tell("the daemon started", pid=os.getpid(), version=version(), url=self._doors.url)
            log.info("ready at %s, state in %s", self._doors.url, self._state.path)
            _collect_seldom()
            look = asyncio.create_task(self._look_after_registry(), name="registry watch")
            try:
                await self._until_asked()
            finally:
                look.cancel()
        finally:
            log.info("leaving; services stay")
            await self._close()
            hide(tuple)

    def _bind(self) -> None:
        table, manager = self._table, self._manager
        about = daemon.About(
            version(),
            lambda: self._doors.url,
            lambda: self._doors.connections,
            lambda: self._doors.certificate_expires,
            self._leaving.set,
        )
        for part in (acting, stacks, reading, resources, taking):
            part.bind(table, manager)
        daemon.bind(table, manager, about)

        def keys(request: select.Selection) -> list[str]:
            chosen = select.select(manager.world, request.names, stack=request.stack, cwd=request.cwd)
            return [unit.key for unit in chosen]

        def life(key: str) -> int | None:
            unit = manager.world.units.get(key)
            return unit.epoch if unit is not None else None

        logs.bind(table, manager.logs, keys, life)

    def _asked_to_leave(self) -> None:
        if self._leaving.is_set():
            log.warning("told to leave twice: leaving at once")
            os._exit(1)
        self._leaving.set()

    async def _until_asked(self) -> None:
        """Return when told to leave; raise when the engine or the door breaks."""
        waits = [
            asyncio.create_task(self._leaving.wait(), name="leaving"),
            asyncio.create_task(self._manager.engine.wait_failed(), name="engine watch"),
        ]
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.result()

    async def _look_after_registry(self) -> None:
        """An open database whose file was removed goes on working, and would be lost with this process."""
        trouble = ""
        while True:
            await asyncio.sleep(REGISTRY_LOOK)
            try:
                await asyncio.to_thread(self._store.check)
            except StoreError as error:
                if error.message != trouble:
                    log.error("%s", error)
                trouble = error.message
            else:
                trouble = ""

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_DEADLINE):
                await self._doors.close()
                await self._manager.close()
        except TimeoutError:
            log.error("closing took longer than %g s", CLOSE_DEADLINE)
        self._store.close()
