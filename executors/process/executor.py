"""The executor of local processes: the keeper is their parent, this is its master's voice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as signals
from collections.abc import Mapping
from typing import Any

from executors.process.births import Births
from executors.process.command import Command, command_of, direct_program
from executors.process.diagnose import find_program
from executors.process.forking import Forking, hands_over
from executors.process.growth import Growth
from executors.process.handle import ProcessHandle, endpoints_of
from executors.process.lives import Life, Lives, exit_from_facts, handle_of
from executors.process.options import ProcessOptions
from harness_core.domain.errors import ExecNotStarted, NotFound
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
    Unknown,
)
from harness_core.domain.states import Exit, Handle, Started
from harness_core.runtime.exec_session import LocalExec
from harness_core.runtime.finding import find_process
from harness_core.runtime.inspection import inspect_tree
from harness_core.runtime.keeper.client import KeeperClient, KeeperLost
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.keeper.link import KeeperLink
from harness_core.runtime.processes import Scanner, exit_from_status, wait_pidfd
from harness_core.runtime.stopping import Grace, Tree, stop_tree

__all__ = ["ProcessExecutor"]

#: after the last of an instance is gone, how long its exit record may take
_RECORD = 3.0


class ProcessExecutor:
    """Implements ``harness_core.domain.executor.Executor`` for processes on this machine."""

    capabilities = Capabilities(stop=True, exec=True, adopt=True, stdin=False, tty=False, logs=True)

    def __init__(self, context: ExecutorContext) -> None:
        self._context = context
        self._scanner = Scanner()
        self._lives = Lives(context.logs)
        self._stops: dict[Marker, tuple[Grace, asyncio.Task[StopReport]]] = {}
        #: services that had a life before, of which something may be left
        self._former: set[str] = set()
        self._watchers: dict[Marker, asyncio.Task[None]] = {}

    @property
    def keeper_pid(self) -> int | None:
        """The parent of all local services, while there is one."""
        return None if self._link.keeper is None else self._link.keeper.pid

    async def open(self) -> None:
        self._link = KeeperLink(
            self._context.state_dir, on_event=self._event, on_restored=self._restored, on_broken=self._broken
        )
        self._growth = Growth(self._link, self._context.logs)
        self._births = Births(self._context, self._link, self._scanner)
        self._forking = Forking(self._link, self._births, self._tree, self._scanner)
        try:
            await self._link.open()
        except KeeperLost as error:
            raise Lost(f"cannot get a keeper for local processes: {error}") from None
        self._growth.open()

    async def close(self) -> None:
        tasks = [task for _, task in self._stops.values()] + list(self._watchers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._growth.close()
        await self._link.close()
        self._lives.close()

    async def start(self, spec: StartSpec) -> Started:
        assert isinstance(spec.options, ProcessOptions), "the plugin's own model"
        command = command_of(spec.options, spec.base_dir, spec.env)
        program = await self._program(spec, command)
        request = self._births.request(spec, command, program)
        try:
            if spec.marker.key in self._former:
                await self._clear_former(spec.marker)
        except KeeperLost as error:
            raise StartFailed(f"cannot start {spec.marker.key}: {error}") from None
        with self._lives.expecting(spec.marker):
            report = await self._births.spawn(spec.marker, request, command)
            failpoint("process.spawn.after")
            self._former.add(spec.marker.key)
            if hands_over(report):
                report = await self._forking.settle(spec.marker, report)
            return self._hold(spec.marker, report).handle.to_started()

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        try:
            known = None if handle is None else ProcessHandle.of(handle)
        except ValueError as error:
            return Unknown(f"cannot read its handle: {error}")
        if known is not None and known.adopted:
            return self._recover_adopted(marker, known)
        with self._lives.expecting(marker):
            try:
                report = await self._births.find(marker, known)
                if report is not None and hands_over(report):
                    if not report.get("forked"):
                        return Unknown("its start command has not ended yet")
                    report = await self._forking.settle_late(marker, report)
            except KeeperLost as error:
                return Unknown(str(error))
            if report is not None and report["exit"] is None:
                self._former.add(marker.key)
                return Running(self._hold(marker, report).handle.to_started())
        if report is not None:
            self._former.add(marker.key)
            seen = self._lives.get(marker)
            self._lives.ended(report)
            return Ended(seen.exit.result() if seen is not None else exit_from_facts(report["exit"]))
        return Gone() if known is None else Ended(exit_from_status(known.identity.exit_status()))

    async def wait(self, marker: Marker, handle: Handle) -> Exit:
        life = self._lives.get(marker)
        if life is None:
            found = await self.recover(marker, handle)
            if isinstance(found, Ended):
                return found.exit
            life = self._lives.get(marker)
            if not isinstance(found, Running) or life is None:
                raise Lost(found.reason if isinstance(found, Unknown) else f"nothing is known of {marker}")
        if self._link.broken and not life.exit.done():
            raise Lost(self._link.trouble)
        return await life.wait()

    async def stop(self, marker: Marker, handle: Handle, *, signal: int, grace: float) -> StopReport:
        if marker in self._stops:
            self._stops[marker][0].shorten(grace)
        else:
            patience = Grace(grace)
            task = asyncio.create_task(self._stop(marker, ProcessHandle.of(handle), signal, patience))
            self._stops[marker] = (patience, task)
            task.add_done_callback(lambda task: self._stopped(marker, task))
        return await asyncio.shield(self._stops[marker][1])

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        if not ProcessHandle.of(handle).identity.signal(signum):
            raise NotFound(f"cannot signal {marker.key}: it has ended")

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection:
        known = ProcessHandle.of(handle)
        table = await self._scanner.table()
        members = self._tree(marker, known).members(table)
        return await asyncio.to_thread(inspect_tree, members, known.identity.pid, known.details())

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        assert isinstance(spec.options, ProcessOptions), "the plugin's own model"
        if not request.argv:
            raise ExecNotStarted(f"cannot run in {marker.key}: no command")
        options = spec.options.model_copy(
            update={"binary": request.argv[0], "args": list(request.argv[1:]), "shell": None, "stdin": None}
        )
        command = command_of(options, spec.base_dir, spec.env)
        try:
            program = await asyncio.to_thread(find_program, command)
        except StartFailed as failed:
            raise ExecNotStarted(failed.message, hint=failed.hint) from None
        return await LocalExec.start(
            command.argv,
            program=program,
            cwd=command.cwd,
            env={**command.env, **request.env},
            marker=self._births.marker(marker),
            tty=(request.rows, request.columns) if request.tty else None,
            scanner=self._scanner,
        )

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        identity = await asyncio.to_thread(find_process, what)
        handle = ProcessHandle(identity, adopted=True, endpoints=endpoints_of(spec.ports, spec.schemes))
        self._watch_adopted(spec.marker, handle)
        return handle.to_started()

    async def forget(self, marker: Marker, handle: Handle | None) -> None:
        watcher = self._watchers.pop(marker, None)
        if watcher is not None:
            watcher.cancel()
        self._lives.drop(marker)
        if handle is not None and ProcessHandle.of(handle).adopted:
            return
        try:
            reports = (await self._link.request("list", key=marker.key))["instances"]
            if all(report["epoch"] <= marker.epoch for report in reports):
                self._growth.unwatch(marker.key)
                self._former.discard(marker.key)
                await self._link.request("forget", key=marker.key)
        except KeeperLost as error:
            raise Lost(f"cannot forget {marker.key} yet: {error}") from None

    # starting and finding

    async def _program(self, spec: StartSpec, command: Command) -> str:
        # limits are set by a shell, which would end as the service for want of the program; else the kernel finds it
        # by itself, and to look for it in a thread costs more than the start
        direct = None if spec.limits.model_fields_set else direct_program(command)
        return direct or str(await asyncio.to_thread(find_program, command))

    async def _clear_former(self, marker: Marker) -> None:
        """End what an earlier life of the service left behind. A life that runs is not ours to end here."""
        for report in (await self._link.request("list", key=marker.key))["instances"]:
            if report["epoch"] == marker.epoch or report["exit"] is None:
                continue
            former = Marker(marker.stack, marker.name, report["epoch"])
            outcome = await stop_tree(self._tree(former, handle_of(report)), signals.SIGKILL, Grace(0), self._scanner)
            if outcome.leftovers:
                raise StartFailed(
                    f"cannot start {marker.key}: its life {report['epoch']} left {', '.join(outcome.leftovers)}"
                )

    def _recover_adopted(self, marker: Marker, known: ProcessHandle) -> Recovery:
        if known.identity.alive():
            self._watch_adopted(marker, known)
            return Running(known.to_started())
        return Ended(exit_from_status(known.identity.exit_status()))

    def _hold(self, marker: Marker, report: dict[str, Any]) -> Life:
        life = self._lives.hold(marker, handle_of(report))
        if report["exit"] is not None:
            life.end(exit_from_facts(report["exit"]))
        else:
            self._growth.watch(marker.key)
        return life

    def _watch_adopted(self, marker: Marker, known: ProcessHandle) -> None:
        life = self._lives.hold(marker, known)
        if marker not in self._watchers and not life.exit.done():
            self._watchers[marker] = asyncio.create_task(_see_end(life))

    # stopping

    async def _stop(self, marker: Marker, known: ProcessHandle, signum: int, grace: Grace) -> StopReport:
        tree = self._tree(marker, known)
        failpoint("process.stop.before")
        outcome = await stop_tree(tree, signum, grace, self._scanner)
        failpoint("process.stop.verified")
        if not outcome.leftovers:
            self._former.discard(marker.key)  # seen to be gone, so the next start need not look again
        exit: Exit | None = None
        if not known.identity.alive():
            with contextlib.suppress(TimeoutError, Lost):
                async with asyncio.timeout(_RECORD):
                    exit = await self.wait(marker, known.to_handle())
        return StopReport(exit, outcome.forced, outcome.leftovers)

    def _stopped(self, marker: Marker, task: asyncio.Task[StopReport]) -> None:
        del self._stops[marker]
        if not task.cancelled():
            task.exception()  # whoever asked has it, unless they left: then nobody needs to be warned of it

    def _tree(self, marker: Marker, known: ProcessHandle) -> Tree:
        keeper = self._link.keeper
        return Tree(
            known.identity,
            marker="" if known.adopted else self._births.marker(marker),
            spared=frozenset({os.getpid(), *([keeper.pid] if keeper is not None else [])}),
            cgroups=known.cgroups,
        )

    # the keeper's news

    def _event(self, event: dict[str, Any]) -> None:
        if event["event"] == "grew":
            self._growth.grew(event["keys"])
        elif event["event"] == "exit":
            self._lives.ended(event["instance"])
            self._context.logs.grew(event["instance"]["key"])

    def _broken(self, trouble: str) -> None:
        for life in self._lives.all():
            life.lose(trouble)

    async def _restored(self, client: KeeperClient) -> None:
        """A keeper is there, perhaps a new one: believe what it says of the lives that we know."""
        reports = (await client.request("list", timeout=10.0))["instances"]
        self._former |= {report["key"] for report in reports}
        known = {(report["key"], report["epoch"]): report for report in reports}
        for life in self._lives.all():
            if life.handle.adopted or life.exit.done():
                continue
            report = known.get((life.marker.key, life.marker.epoch))
            if report is not None and report["exit"] is not None:
                self._lives.ended(report)
            elif report is None and life.handle.identity.alive():
                await client.request("adopt", **self._births.adoption(life.marker, life.handle))
            elif report is None:
                life.end(Exit())
            self._growth.watch(life.marker.key)


async def _see_end(life: Life) -> None:
    fd = life.handle.identity.open()
    if fd is None:
        life.end(Exit())
        return
    try:
        await wait_pidfd(fd)
        # its parent may take a moment to reap it, and only then does the kernel tell through the pidfd
        life.end(exit_from_status(None))
    finally:
        os.close(fd)
