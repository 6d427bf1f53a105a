"""The executor of attachments to processes: it finds them, looks after them, and leaves them as they are."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from executors.process_attach.attachment import Attachment
from executors.process_attach.command import log_files_of, search_of
from executors.process_attach.handle import AttachHandle, Memory, Record
from executors.process_attach.options import ProcessAttachOptions
from harness_core.domain.errors import Conflict, ExecNotStarted, HarnessError, NotFound, UsageError
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
from harness_core.runtime.inspection import inspect_tree, listening_on
from harness_core.runtime.places import place_of
from harness_core.runtime.processes import ProcessIdentity, Scanner
from harness_core.runtime.stopping import Tree

__all__ = ["ProcessAttachExecutor"]

#: threads that read the files of all attached processes; one on a dead network disk must not hold the others
_READERS = 4


class ProcessAttachExecutor:
    """Implements ``harness_core.domain.executor.Executor`` for processes that somebody else started."""

    capabilities = Capabilities(stop=False, exec=True, adopt=False, logs=True, listens_here=False)

    def __init__(self, context: ExecutorContext) -> None:
        self._context = context
        self._memory = Memory(context.state_dir)
        self._scanner = Scanner()
        self._attached: dict[Marker, Attachment] = {}
        self._pool = ThreadPoolExecutor(_READERS, "harness-attached")
        context.logs.on_awaited(self._awaited)

    async def open(self) -> None:
        """Nothing to make ready."""

    async def close(self) -> None:
        await asyncio.gather(*(self._release(marker) for marker in list(self._attached)))
        await asyncio.to_thread(self._pool.shutdown)

    async def start(self, spec: StartSpec) -> Started:
        assert isinstance(spec.options, ProcessAttachOptions), "the plugin's own model"
        await self._release_others(spec.marker)
        known = await asyncio.to_thread(self._memory.read, spec.marker.key)
        if known is not None and known.epoch == spec.marker.epoch and known.handle.identity.alive():
            return self._hold(spec.marker, known.handle).handle.to_started()
        identity = await asyncio.to_thread(_find, spec, spec.options, known)
        handle = AttachHandle(
            identity,
            await asyncio.to_thread(_endpoints, identity, spec, spec.options),
            {stream: str(path) for stream, path in log_files_of(spec.options, spec.base_dir, _home(spec)).items()},
            {"max_size": spec.logs.max_size, "max_files": spec.logs.max_files},
        )
        try:
            await asyncio.to_thread(self._memory.write, spec.marker.key, Record(spec.marker.epoch, handle))
        except OSError as error:
            raise StartFailed(f"cannot attach {spec.marker.key}: cannot keep a record of it: {error}") from None
        return self._hold(spec.marker, handle).handle.to_started()

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        await self._release_others(marker)
        record = await asyncio.to_thread(self._memory.read, marker.key)
        if record is not None and record.epoch != marker.epoch:
            record = None
        try:
            known = AttachHandle.of(handle) if handle is not None else record.handle if record is not None else None
        except ValueError as error:
            return Unknown(f"cannot read its handle: {error}")
        if known is None:
            return Gone()
        attachment = self._hold(marker, known)
        if known.identity.alive():
            return Running(known.to_started())
        # what it wrote while nobody looked is read before its end is told
        await asyncio.wait([attachment.exit])
        return Ended(record.exit if record is not None and record.exit is not None else attachment.exit.result())

    async def wait(self, marker: Marker, handle: Handle) -> Exit:
        attachment = self._attached.get(marker)
        if attachment is None:
            found = await self.recover(marker, handle)
            if isinstance(found, Ended):
                return found.exit
            attachment = self._attached.get(marker)
            if attachment is None:
                raise Lost(found.reason if isinstance(found, Unknown) else f"nothing is known of {marker}")
        await asyncio.wait([attachment.exit])
        if attachment.exit.cancelled():
            raise Lost("it is not looked after any more")
        exit_ = attachment.exit.result()
        await asyncio.to_thread(self._memory.ended, marker, exit_)
        return exit_

    async def stop(self, marker: Marker, handle: Handle, *, signal: int, grace: float) -> StopReport:
        del signal, grace
        if AttachHandle.of(handle).identity.alive():
            await self._release(marker)
            return StopReport(None, released=True)
        exit_ = await self.wait(marker, handle)
        await self._release(marker)
        return StopReport(exit_)

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        raise UsageError(f"cannot signal {marker.key}: harness did not start it and only looks on")

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection:
        known = AttachHandle.of(handle)
        table = await self._scanner.table()
        members = Tree(known.identity, spared=frozenset({os.getpid()})).members(table)
        attachment = self._attached.get(marker)
        logs = ", ".join(known.files.values()) or "none: write log_file to have a file followed"
        more: dict[str, Any] = {"attached": True, "logs": attachment.trouble if attachment else ""}
        more["logs"] = more["logs"] or logs
        return await asyncio.to_thread(inspect_tree, members, known.identity.pid, more)

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        if handle is None or not request.argv:
            why = "no command" if handle is not None else "it is not attached"
            raise ExecNotStarted(f"cannot run in {marker.key}: {why}")
        identity = AttachHandle.of(handle).identity
        env, cwd, program = await asyncio.to_thread(_context_of, identity, marker.key, request.argv[0])
        return await LocalExec.start(
            request.argv,
            program=program,
            cwd=cwd,
            env={**env, **request.env},
            marker=f"{self._context.instance}:{marker}",
            tty=(request.rows, request.columns) if request.tty else None,
            scanner=self._scanner,
        )

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        raise UsageError(
            f"cannot adopt for {spec.marker.key}: it only attaches", hint="give it a target of type process"
        )

    async def forget(self, marker: Marker, handle: Handle | None) -> None:
        await self._release(marker)
        record = await asyncio.to_thread(self._memory.read, marker.key)
        if record is not None and record.epoch <= marker.epoch:
            await asyncio.to_thread(self._memory.forget, marker.key)

    def _hold(self, marker: Marker, handle: AttachHandle) -> Attachment:
        attachment = self._attached.get(marker)
        if attachment is None:
            records = self._memory.folder(marker.key)
            attachment = Attachment(marker, handle, self._context.logs, records, self._pool)
            self._attached[marker] = attachment
        return attachment

    async def _release_others(self, marker: Marker) -> None:
        """Look away from earlier lives: only one at a time may write to the service's streams."""
        for other in [one for one in self._attached if one.key == marker.key and one.epoch < marker.epoch]:
            await self._release(other)

    async def _release(self, marker: Marker) -> None:
        attachment = self._attached.pop(marker, None)
        if attachment is not None:
            await attachment.close()

    def _awaited(self, key: str) -> None:
        for attachment in self._attached.values():
            if attachment.marker.key == key:
                attachment.awaited()


def _home(spec: StartSpec) -> str:
    return spec.env.get("HOME", "")


def _find(spec: StartSpec, options: ProcessAttachOptions, known: Record | None) -> ProcessIdentity:
    """The process that is meant. Raises ``StartFailed``: for good when it cannot be, or can never be again."""
    try:
        identity = find_process(search_of(options, spec.base_dir, _home(spec)))
    except (Conflict, UsageError) as error:
        raise StartFailed(error.message, hint=error.hint, permanent=True) from None
    except NotFound as error:
        gone = options.pid is not None
        raise StartFailed(error.message, hint=error.hint, permanent=gone, absent=not gone) from None
    except HarnessError as error:
        raise StartFailed(error.message, hint=error.hint, absent=True) from None
    if options.pid is not None and known is not None and known.handle.identity.pid == identity.pid:
        former = known.handle.identity
        if (former.start, former.boot_id) != (identity.start, identity.boot_id):
            raise StartFailed(
                f"pid {identity.pid} is another process now",
                hint="name it by pid_file, port or match, which outlive one process",
                permanent=True,
            )
    return identity


def _endpoints(identity: ProcessIdentity, spec: StartSpec, options: ProcessAttachOptions) -> dict[str, Any]:
    """Where it is reached: the ports that the stack file declares, else those on which it listens, by number."""
    if spec.ports:
        return {name: ["127.0.0.1", port, spec.schemes.get(name, "http")] for name, port in spec.ports.items()}
    found: dict[int, str] = {} if options.port is None else {options.port: "127.0.0.1"}
    try:
        for host, port in listening_on(psutil.Process(identity.pid)):
            anywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound
            found.setdefault(port, "127.0.0.1" if anywhere else host)
    except psutil.Error:  # another user's: not ours to see
        pass
    return {str(port): [host, port, "http"] for port, host in found.items()}


def _context_of(identity: ProcessIdentity, key: str, name: str) -> tuple[dict[str, str], Path, Path]:
    """Environment and directory of a process, and what a program's name means there. Raises ``ExecNotStarted``."""
    try:
        process = psutil.Process(identity.pid)
        env, cwd = process.environ(), Path(process.cwd())
    except (psutil.Error, OSError):
        raise ExecNotStarted(f"cannot run in {key}: the context of pid {identity.pid} is not ours to see") from None
    if not identity.alive():
        raise ExecNotStarted(f"cannot run in {key}: it has ended")
    program = shutil.which(str(place_of(cwd, name)) if "/" in name else name, path=env.get("PATH", os.defpath))
    if program is None:
        raise ExecNotStarted(f"cannot run {name} in {key}: there is no such program")
    return env, cwd, place_of(cwd, program)
