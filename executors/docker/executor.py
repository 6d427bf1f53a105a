"""The executor of containers: the engine is their parent, and remembers them; this is its conversation with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from executors.docker.births import Births
from executors.docker.command import Plan, environment
from executors.docker.diagnose import NO_ENGINE
from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.finding import find_running, plan_for
from executors.docker.handle import Container, DockerHandle
from executors.docker.inspection import inspect_container
from executors.docker.lives import Life, find_container, paused
from executors.docker.logs import Follower
from executors.docker.networks import Networks
from executors.docker.options import DockerOptions
from executors.docker.records import Record, Records
from executors.docker.session import ContainerExec
from executors.docker.stopping import end_container
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

__all__ = ["DockerExecutor"]

#: threads that write what containers print
_WRITERS = 2
#: how long a question about a life waits for its start, which is under way
_START = 3.0


class DockerExecutor:
    """Implements ``harness_core.domain.executor.Executor`` for containers.

    That there is no engine is no reason not to open: it is looked for when it is needed, each time anew.
    """

    capabilities = Capabilities(stop=True, exec=True, adopt=True, logs=True, start_deadline=1830.0)

    def __init__(self, context: ExecutorContext) -> None:
        self._context = context
        self._records = Records(context.state_dir / "records")
        self._scanner = Scanner()
        self._lives: dict[Marker, Life] = {}
        self._starts: dict[Marker, asyncio.Task[Started]] = {}
        self._stops: dict[Marker, tuple[Grace, asyncio.Task[StopReport]]] = {}
        self._networks = Networks(context.instance)
        self._pool = ThreadPoolExecutor(_WRITERS, "harness-docker-logs")
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
        assert isinstance(spec.options, DockerOptions), "the plugin's own model"
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

    async def _start(self, spec: StartSpec, options: DockerOptions) -> Started:
        try:
            engine = await self._have_engine()
        except EngineLost as error:
            raise StartFailed(f"cannot start {spec.marker.key}: {error}", hint=error.remedy or NO_ENGINE) from None
        try:
            births = Births(engine, self._context.instance, self._networks)
            tell = partial(self._context.progress, spec.marker)
            container = await births.bear(spec, options, tell)
            await self._hold(spec.marker, container)
            return container.started(self._engine_id, engine.address.host)
        except EngineRefused as refused:
            raise StartFailed(f"cannot start {spec.marker.key}: the engine says: {refused.message}") from None

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

    async def _hold(self, marker: Marker, container: Container, plan: Plan | None = None) -> Life:
        """Know of a life from now on; the same one twice is one. ``plan`` is that of one which carries none."""
        engine = await self._have_engine()
        life = self._lives.get(marker)
        if life is not None:
            life.mend()
            return life
        for former in [one for one in self._lives if one.key == marker.key and one.epoch < marker.epoch]:
            await self._drop(former)
        record = await asyncio.to_thread(self._records.of, marker, container.id)
        # somebody else may have been quicker
        life = self._lives.get(marker)
        if life is None:
            follower = None
            with contextlib.suppress(ValueError):  # a damaged label: without logs rather than without the service
                logs = (plan or container.plan()).logs
                follower = Follower(engine, marker, record, self._records, self._context.logs, logs, self._pool)

            async def ended(exit_: Exit) -> None:
                await asyncio.to_thread(self._note_end, marker, container.id, exit_)

            life = self._lives[marker] = Life(engine, marker, container, follower, ended)
        return life

    def _note_end(self, marker: Marker, container: str, exit_: Exit) -> None:
        record = self._records.read(marker) or Record(marker.epoch, container)
        self._records.write(marker, replace(record, exit=exit_))

    async def _drop(self, marker: Marker) -> None:
        life = self._lives.pop(marker, None)
        if life is not None:
            await life.close()

    # ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        try:
            known = None if handle is None else DockerHandle.of(handle)
        except ValueError as error:
            return Unknown(f"cannot read its handle: {error}")
        if (start := self._starts.get(marker)) is not None:
            await asyncio.wait([start], timeout=_START)
            if not start.done():
                return Unknown("it is being started: its image is fetched, or the engine is slow")
        try:
            return await self._recover(marker, known)
        except EngineLost as error:
            return Unknown(str(error))
        except EngineRefused as refused:
            return Unknown(f"the engine says: {refused.message}")

    async def _recover(self, marker: Marker, known: DockerHandle | None) -> Recovery:
        engine = await self._have_engine()
        if known is not None and known.engine != self._engine_id:
            return Unknown(f"it was started by another Docker engine than the one at {engine.address.url}")
        births = Births(engine, self._context.instance, self._networks)
        found = await (births.find(marker) if known is None else find_container(engine, known.id))
        if found is None:
            record = await asyncio.to_thread(self._records.read, marker)
            if record is not None and record.exit is not None:
                return Ended(record.exit)
            return Gone() if known is None else Ended(Exit(note="its container was removed by somebody else"))
        if not found.begun:
            # the daemon died between making it and starting it: it never ran
            await births.remove(found.id)
            await self._networks.tidy(engine, marker.stack)
            return Gone()
        plan = None if known is None else known.plan
        if found.alive:
            if known is None or plan is None:
                started = found.started(self._engine_id, engine.address.host)
            else:
                started = found.described(known.to_handle(), plan, engine.address.host)
            if found.status == "paused":
                return Unknown(paused(found), started)
            await self._hold(marker, found, plan)
            return Running(started)
        return Ended(await (await self._hold(marker, found, plan)).wait())

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
            task = asyncio.create_task(self._stop(marker, DockerHandle.of(handle), signal, patience))
            self._stops[marker] = (patience, task)
            task.add_done_callback(lambda task: self._stopped(marker, task))
        return await asyncio.shield(self._stops[marker][1])

    def _stopped(self, marker: Marker, task: asyncio.Task[StopReport]) -> None:
        del self._stops[marker]
        if not task.cancelled():
            task.exception()  # whoever asked has it, unless they left

    async def _stop(self, marker: Marker, known: DockerHandle, signum: int, grace: Grace) -> StopReport:
        try:
            engine = await self._have_engine()
            if known.engine != self._engine_id:
                return StopReport(None, leftovers=(f"a container of another engine than {engine.address.url}",))
            found = await find_container(engine, known.id)
            forced = False
            if found is not None:
                life = await self._hold(marker, found, known.plan)
                life.stopping = True
                forced = await end_container(engine, found, life, signum, grace)
                if known.plan is None:  # what was taken over was made by somebody else, and may hold what they need
                    await Births(engine, self._context.instance, self._networks).remove(found.id)
                    if await find_container(engine, found.id) is not None:
                        return StopReport(None, forced, (f"the container {found.name}",))
            record = await asyncio.to_thread(self._records.read, marker)
            await self._drop(marker)
            await self._networks.tidy(engine, marker.stack)
            return StopReport(record.exit if record is not None else None, forced)
        except EngineLost as error:
            return StopReport(None, leftovers=(f"its container: {error}",))
        except EngineRefused as refused:
            return StopReport(None, leftovers=(f"its container: the engine says: {refused.message}",))

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        engine, known = await self._have_engine(), DockerHandle.of(handle)
        name = signals.Signals(signum).name
        try:
            await engine.call(lambda client: client.kill(known.id, signal=name))
        except EngineRefused as refused:
            raise NotFound(f"cannot signal {marker.key}: {refused.message}") from None

    # ── beside it ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection:
        engine, known = await self._have_engine(), DockerHandle.of(handle)
        try:
            return await inspect_container(engine, known.id)
        except EngineRefused as refused:
            raise NotFound(f"cannot look at {marker.key}: {refused.message}") from None

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        assert isinstance(spec.options, DockerOptions), "the plugin's own model"
        if handle is None:
            raise ExecNotStarted(f"cannot run in {marker.key}: its container does not run")
        try:
            engine = await self._have_engine()
            return await ContainerExec.start(
                engine,
                DockerHandle.of(handle).id,
                request,
                env=environment(spec, spec.options),
                user=spec.options.user or spec.user,
                working_dir=spec.options.working_dir,
                marker=f"{self._context.instance}:{marker}",
                scanner=self._scanner,
            )
        except EngineLost as error:
            raise ExecNotStarted(f"cannot run in {marker.key}: {error}") from None

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        if what.get("container") is None:
            raise UsageError("a container is named by its name or id", hint="harness adopt NAME --container CONTAINER")
        try:
            engine = await self._have_engine()
            found = await find_running(engine, str(what["container"]))
            plan = plan_for(found, spec)
            await self._hold(spec.marker, found, plan)
        except EngineLost as error:
            raise StartFailed(str(error)) from None
        except EngineRefused as refused:
            raise StartFailed(f"the engine says: {refused.message}") from None
        handle = DockerHandle(found.id, self._engine_id, plan).to_handle()
        return found.described(handle, plan, engine.address.host)

    async def forget(self, marker: Marker, handle: Handle | None) -> None:
        for known in [one for one in self._lives if one.key == marker.key and one.epoch <= marker.epoch]:
            await self._drop(known)
        await asyncio.to_thread(self._records.forget, marker)
