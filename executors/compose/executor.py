"""The executor of compose projects: the compose tool makes and ends them, the engine tells how they are."""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from executors.compose.births import Births
from executors.compose.endings import end_project
from executors.compose.handle import ComposeHandle, front
from executors.compose.lives import ProjectLife
from executors.compose.logs import ProjectLog
from executors.compose.options import ComposeOptions
from executors.compose.project import inspect_parts, list_parts, signal_parts
from executors.compose.records import Record, Records
from executors.compose.tool import at_work
from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.session import ContainerExec
from harness_core.domain.errors import ExecNotStarted, NotFound, UsageError
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
from harness_core.runtime.processes import Scanner
from harness_core.runtime.stopping import Grace

__all__ = ["ComposeExecutor"]

#: threads that write what containers print
_WRITERS = 2
#: how long a question about a life waits for its start, which is under way
_START = 10.0


class ComposeExecutor:
    """Implements ``harness_core.domain.executor.Executor`` for compose projects.

    That there is neither an engine nor a tool is no reason not to open: both are looked for when they are needed.
    """

    # its ports are the compose file's business, which may be published by it already
    capabilities = Capabilities(stop=True, exec=True, adopt=False, logs=True, listens_here=False, start_deadline=1830.0)

    def __init__(self, context: ExecutorContext) -> None:
        self._context = context
        self._records = Records(context.state_dir / "records")
        self._scanner = Scanner()
        self._births = Births(context.instance, self._records, self._scanner)
        self._lives: dict[Marker, ProjectLife] = {}
        self._starts: dict[Marker, asyncio.Task[Started]] = {}
        self._stops: dict[Marker, tuple[Grace, asyncio.Task[StopReport]]] = {}
        self._pool = ThreadPoolExecutor(_WRITERS, "harness-compose-logs")
        self._engine: Engine | None = None
        #: the engine's own identity, by which it is told from another at the same address
        self._engine_id = ""

    async def open(self) -> None:
        with contextlib.suppress(EngineLost):  # not named well: said when it is needed
            self._engine = await Engine.find()

    async def close(self) -> None:
        tasks: list[asyncio.Task[Any]] = [task for _, task in self._stops.values()]
        tasks += self._starts.values()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(life.close() for life in self._lives.values()))
        self._lives.clear()
        if self._engine is not None:
            await self._engine.release()
            self._engine = None
        await asyncio.to_thread(self._pool.shutdown, wait=True)

    # ── beginning ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, spec: StartSpec) -> Started:
        assert isinstance(spec.options, ComposeOptions), "the plugin's own model"
        task = self._starts.get(spec.marker)
        if task is None:
            # a task of its own: whoever asks may leave, and it is still known that it is under way
            task = self._starts[spec.marker] = asyncio.create_task(self._start(spec, spec.options))
            task.add_done_callback(lambda task: self._begun(spec.marker, task))
        return await asyncio.shield(task)

    def _begun(self, marker: Marker, task: asyncio.Task[Started]) -> None:
        del self._starts[marker]
        if not task.cancelled():
            task.exception()  # whoever asked has it, unless they left

    async def _start(self, spec: StartSpec, options: ComposeOptions) -> Started:
        marker = spec.marker
        try:
            engine = await self._have_engine()
            for former in [one for one in self._lives if one.key == marker.key and one.epoch < marker.epoch]:
                await self._drop(former)
            record = await self._births.bear(engine, spec, options)
            await self._hold(marker, record)
            parts = await list_parts(engine, record.order.project)
            return self._handle(record).started(parts, engine.address.host)
        except EngineLost as error:
            hint = "harness doctor tells what is missing"
            raise StartFailed(f"cannot start {marker.key}: {error}", hint=hint) from None
        except EngineRefused as refused:
            raise StartFailed(f"cannot start {marker.key}: the engine says: {refused.message}") from None

    async def _have_engine(self) -> Engine:
        """The engine, proven to be there. Raises ``EngineLost``."""
        if self._engine is None:
            self._engine = await Engine.find()
        engine = self._engine
        if not self._engine_id:
            try:
                info = await engine.call(lambda client: client.info())
            except EngineRefused as refused:
                raise EngineLost(f"the engine says: {refused.message}") from None
            self._engine_id = str(info.get("ID", ""))
        return engine

    def _handle(self, record: Record) -> ComposeHandle:
        return ComposeHandle(record.order.project, self._engine_id, record.order.options.main, record.ports)

    async def _hold(self, marker: Marker, record: Record) -> ProjectLife:
        """Know of a life from now on; the same one twice is one."""
        engine = await self._have_engine()
        parts = await list_parts(engine, record.order.project)
        life = self._lives.get(marker)
        if life is not None:
            life.mend()
            return life

        async def ended(exit_: Exit) -> None:
            await asyncio.to_thread(self._note_end, marker, exit_)

        path = self._records.path(marker, "log")
        output = ProjectLog(engine, marker, path, self._context.logs, record.logs, self._pool)
        order = record.order
        life = self._lives[marker] = ProjectLife(engine, marker, order.project, order.options.main, output, ended)
        life.begin(parts)
        return life

    def _note_end(self, marker: Marker, exit_: Exit) -> None:
        record = self._records.read(marker)
        if record is not None:
            self._records.write(marker, replace(record, exit=exit_))

    async def _drop(self, marker: Marker) -> None:
        life = self._lives.pop(marker, None)
        if life is not None:
            await life.close()

    # ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        try:
            known = None if handle is None else ComposeHandle.of(handle)
        except ValueError as error:
            return Unknown(f"cannot read its handle: {error}")
        if (start := self._starts.get(marker)) is not None:
            await asyncio.wait([start], timeout=_START)
            if not start.done():
                return Unknown("it is being started: images are fetched, or its containers are not healthy yet")
        try:
            return await self._recover(marker, known)
        except EngineLost as error:
            return Unknown(str(error))
        except EngineRefused as refused:
            return Unknown(f"the engine says: {refused.message}")

    async def _recover(self, marker: Marker, known: ComposeHandle | None) -> Recovery:
        engine = await self._have_engine()
        if known is not None and known.engine != self._engine_id:
            return Unknown(f"it was started on another Docker engine than the one at {engine.address.url}")
        record = await asyncio.to_thread(self._records.read, marker)
        if record is None:
            return Gone() if known is None else await self._unrecorded(engine, known)
        if await at_work(self._births.mark(marker), self._scanner) is not None:
            return Unknown("the compose tool that an earlier daemon started is still at work")
        if not record.whole:
            record = await self._births.settle(engine, marker, record)
            if record is None:
                return Gone()
        parts = await list_parts(engine, record.order.project)
        if not parts:
            return Ended(record.exit or Exit(note="its containers were removed by somebody else"))
        if record.exit is not None and not any(part.container.alive for part in parts):
            return Ended(record.exit)
        life = await self._hold(marker, record)
        if any(part.container.alive for part in parts):
            return Running(self._handle(record).started(parts, engine.address.host))
        return Ended(await life.wait())

    async def _unrecorded(self, engine: Engine, known: ComposeHandle) -> Recovery:
        """Our own record is gone; the engine still knows the project."""
        parts = await list_parts(engine, known.project)
        if any(part.container.alive for part in parts):
            return Running(known.started(parts, engine.address.host))
        return Ended(Exit())

    async def wait(self, marker: Marker, handle: Handle) -> Exit:
        life = self._lives.get(marker)
        if life is None or life.broken.done():
            found = await self.recover(marker, handle)
            if isinstance(found, Ended):
                return found.exit
            life = self._lives.get(marker)
            if not isinstance(found, Running) or life is None:
                raise Lost(found.reason if isinstance(found, Unknown) else f"nothing is known of {marker}")
        return await life.wait()

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, marker: Marker, handle: Handle, *, signal: int, grace: float) -> StopReport:
        if marker in self._stops:
            self._stops[marker][0].shorten(grace)
        else:
            patience = Grace(grace)
            task = asyncio.create_task(self._stop(marker, ComposeHandle.of(handle), signal, patience))
            self._stops[marker] = (patience, task)
            task.add_done_callback(lambda task: self._stopped(marker, task))
        return await asyncio.shield(self._stops[marker][1])

    def _stopped(self, marker: Marker, task: asyncio.Task[StopReport]) -> None:
        del self._stops[marker]
        if not task.cancelled():
            task.exception()  # whoever asked has it, unless they left

    async def _stop(self, marker: Marker, known: ComposeHandle, signum: int, grace: Grace) -> StopReport:
        try:
            engine = await self._have_engine()
            if known.engine != self._engine_id:
                return StopReport(None, leftovers=(f"a project of another engine than {engine.address.url}",))
            record = await asyncio.to_thread(self._records.read, marker)
            life = None if record is None else await self._hold(marker, record)
            if life is not None:
                life.stopping = True
            report = await end_project(engine, known, record, life, self._births, marker, signum, grace)
            if record is not None and report.exit is not None and record.exit is None:
                await asyncio.to_thread(self._note_end, marker, report.exit)
            if not report.leftovers:
                await self._drop(marker)
            return report
        except EngineLost as error:
            return StopReport(None, leftovers=(f"its containers: {error}",))
        except EngineRefused as refused:
            return StopReport(None, leftovers=(f"its containers: the engine says: {refused.message}",))

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        engine, known = await self._have_engine(), ComposeHandle.of(handle)
        parts = await list_parts(engine, known.project)
        if not any(part.container.alive for part in parts):
            raise NotFound(f"cannot signal {marker.key}: none of its containers runs")
        await signal_parts(engine, parts, signals.Signals(signum).name)

    # ── beside it ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection:
        engine, known = await self._have_engine(), ComposeHandle.of(handle)
        try:
            return await inspect_parts(engine, known.project, await list_parts(engine, known.project))
        except EngineRefused as refused:
            raise NotFound(f"cannot look at {marker.key}: {refused.message}") from None

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        if handle is None:
            raise ExecNotStarted(f"cannot run in {marker.key}: its containers do not run")
        known = ComposeHandle.of(handle)
        try:
            engine = await self._have_engine()
            parts = [part for part in await list_parts(engine, known.project) if part.container.alive]
            chosen = front(parts, known.main)
            if chosen is None:
                raise ExecNotStarted(f"cannot run in {marker.key}: its containers do not run")
            if known.main is None and len({part.service for part in parts}) > 1:
                names = ", ".join(sorted({part.service for part in parts}))
                hint = f"say which of them in target.main: {names}"
                raise ExecNotStarted(f"cannot run in {marker.key}: it has several services", hint=hint)
            return await ContainerExec.start(
                engine,
                chosen.container.id,
                request,
                env={name: value for name, value in spec.env.items() if name not in spec.inherited},
                user=None,
                working_dir=None,
                marker=f"{self._context.instance}:{marker}",
                scanner=self._scanner,
            )
        except EngineLost as error:
            raise ExecNotStarted(f"cannot run in {marker.key}: {error}") from None

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        raise UsageError(
            f"cannot adopt for {spec.marker.key}: a project that runs is taken over by its name: target.project"
        )

    async def forget(self, marker: Marker, handle: Handle | None) -> None:
        for known in [one for one in self._lives if one.key == marker.key and one.epoch <= marker.epoch]:
            await self._drop(known)
        await asyncio.to_thread(self._records.forget, marker)
