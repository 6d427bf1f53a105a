"""The executor of attachments to containers: looked after as our own are, and left as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from executors.docker.command import Plan
from executors.docker.diagnose import NO_ENGINE
from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.executor import DockerExecutor
from executors.docker.finding import find_running, plan_for
from executors.docker.handle import Container
from executors.docker.inspection import inspect_container
from executors.docker.lives import find_container, paused
from executors.docker.records import Record
from executors.docker.session import ContainerExec
from executors.docker_attach.command import described
from executors.docker_attach.handle import AttachHandle
from executors.docker_attach.options import DockerAttachOptions
from harness_core.domain.errors import ExecNotStarted, NotFound, UsageError
from harness_core.domain.executor import (
    Capabilities,
    Ended,
    ExecRequest,
    ExecSession,
    Gone,
    Inspection,
    Marker,
    Recovery,
    Running,
    StartFailed,
    StartSpec,
    StopReport,
    Unknown,
)
from harness_core.domain.states import Exit, Handle, Started

__all__ = ["DockerAttachExecutor"]


class DockerAttachExecutor(DockerExecutor):
    """Implements ``harness_core.domain.executor.Executor`` for containers that somebody else started.

    How one is watched and its output read is as with those of ``docker``; what begins and ends one is not there.
    """

    capabilities = Capabilities(stop=False, exec=True, adopt=False, logs=True, listens_here=False)

    async def start(self, spec: StartSpec) -> Started:
        assert isinstance(spec.options, DockerAttachOptions), "the plugin's own model"
        try:
            engine = await self._have_engine()
            record = await asyncio.to_thread(self._records.read, spec.marker)
            found = await find_container(engine, record.container) if record is not None else None
            if found is None or not found.alive:
                found = await find_running(engine, spec.options.container)
            plan = plan_for(found, spec)
            await asyncio.to_thread(self._begin_record, spec.marker, found.id)
            await self._hold(spec.marker, found, plan)
        except EngineLost as error:
            remedy = error.remedy or NO_ENGINE
            raise StartFailed(f"cannot attach {spec.marker.key}: {error}", hint=remedy, absent=True) from None
        except EngineRefused as refused:
            raise StartFailed(f"cannot attach {spec.marker.key}: the engine says: {refused.message}") from None
        except OSError as error:
            raise StartFailed(f"cannot attach {spec.marker.key}: cannot keep a record of it: {error}") from None
        return self._started(found, AttachHandle(found.id, self._engine_id, plan), engine)

    def _begin_record(self, marker: Marker, container: str) -> None:
        self._records.write(marker, self._records.of(marker, container))

    def _started(self, found: Container, known: AttachHandle, engine: Engine) -> Started:
        return described(found, known, engine.address.host, local=engine.address.local)

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        try:
            known = None if handle is None else AttachHandle.of(handle)
        except ValueError as error:
            return Unknown(f"cannot read its handle: {error}")
        record = await asyncio.to_thread(self._records.read, marker)
        try:
            if known is None:
                return await self._recover_unstored(marker, record)
            return await self._recover_known(marker, known, record)
        except EngineLost as error:
            return Unknown(str(error))
        except EngineRefused as refused:
            return Unknown(f"the engine says: {refused.message}")

    async def _recover_unstored(self, marker: Marker, record: Record | None) -> Recovery:
        """The daemon died before the handle was stored: what runs is attached to anew, which does nothing to it."""
        if record is None:
            return Gone()
        if record.exit is not None:
            return Ended(record.exit)
        found = await find_container(await self._have_engine(), record.container)
        if found is None or found.alive:
            return Gone()
        return Ended(await (await self._hold(marker, found, Plan())).wait())

    async def _recover_known(self, marker: Marker, known: AttachHandle, record: Record | None) -> Recovery:
        engine = await self._have_engine()
        if known.engine != self._engine_id:
            return Unknown(f"it runs in another Docker engine than the one at {engine.address.url}")
        found = await find_container(engine, known.id)
        if found is None:
            seen = None if record is None else record.exit
            return Ended(seen or Exit(note="its container was removed by somebody else"))
        if found.status == "paused":
            return Unknown(paused(found), self._started(found, known, engine))
        life = await self._hold(marker, found, known.plan)
        if found.alive:
            return Running(self._started(found, known, engine))
        return Ended(await life.wait())

    async def stop(self, marker: Marker, handle: Handle, *, signal: int, grace: float) -> StopReport:
        del signal, grace
        record = await asyncio.to_thread(self._records.read, marker)
        await self._drop(marker)
        if record is not None and record.exit is not None:
            return StopReport(record.exit)
        return StopReport(None, released=True)

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        raise UsageError(f"cannot signal {marker.key}: harness did not start it and only looks on")

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection:
        engine, known = await self._have_engine(), AttachHandle.of(handle)
        try:
            seen = await inspect_container(engine, known.id)
        except EngineRefused as refused:
            raise NotFound(f"cannot look at {marker.key}: {refused.message}") from None
        return replace(seen, details={"attached": True, **seen.details})

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        if handle is None:
            raise ExecNotStarted(f"cannot run in {marker.key}: it is not attached")
        try:
            return await ContainerExec.start(
                await self._have_engine(),
                AttachHandle.of(handle).id,
                request,
                env={},
                user=None,
                working_dir=None,
                marker=f"{self._context.instance}:{marker}",
                scanner=self._scanner,
            )
        except EngineLost as error:
            raise ExecNotStarted(f"cannot run in {marker.key}: {error}") from None

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        raise UsageError(
            f"cannot adopt for {spec.marker.key}: it only attaches", hint="give it a target of type docker"
        )
