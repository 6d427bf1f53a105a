"""Bringing a project up: what an earlier daemon began, the tool, the files, and then all of its containers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from executors.compose.command import USUAL, Order, Part, order_of, outcome, project_name
from executors.compose.options import ComposeOptions
from executors.compose.project import list_parts, remove_parts
from executors.compose.records import Record, Records
from executors.compose.tool import INSTALL, Tool, ToolFailed, at_work, end_tool, find_tool, run_tool
from executors.docker.address import Address
from executors.docker.engine import Engine
from harness_core.domain.executor import Marker, StartFailed, StartSpec
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.processes import Scanner

__all__ = ["Births"]

#: tools at a time: each is a program of some size
_AT_ONCE = 4
#: how long the tool may take to read its files
_CONFIG = 30.0
#: how often containers are looked at while their health is awaited
_LOOK = 0.25
#: what is useless to try again without a change
_PERMANENT = re.compile(
    r"port is already allocated|address already in use|pull access denied|manifest (?:for .* )?(?:unknown|not found)"
    r"|no such image|repository does not exist|executable file not found|no such file or directory|permission denied"
    r"|source path does not exist|could not be found|not found: manifest|no such service|invalid",
    re.IGNORECASE,
)


class Births:
    """All starts of this daemon's projects, and what is done with the compose tool besides."""

    def __init__(self, instance: str, records: Records, scanner: Scanner) -> None:
        self._instance = instance
        self._records = records
        self._scanner = scanner
        self._free = asyncio.Semaphore(_AT_ONCE)

    def mark(self, marker: Marker) -> str:
        """What the tool carries in its environment."""
        return f"{self._instance}:{marker}/compose"

    async def bear(self, engine: Engine, spec: StartSpec, options: ComposeOptions) -> Record:
        """Have everything up and healthy, and return what is known of it; a start that was made already is that one.

        Raises ``StartFailed``, ``EngineLost`` or ``EngineRefused``; nothing half made is left then.
        """
        marker = spec.marker
        await self.end_tool(marker)  # two of them at one project would get in each other's way
        known = await asyncio.to_thread(self._records.read, marker)
        if known is not None and known.whole and known.exit is None:
            parts = await list_parts(engine, known.order.project)
            if any(part.container.alive for part in parts):
                return known
        project = project_name(self._instance, marker, options)
        order = order_of(options, project, spec.base_dir, spec.env.get("HOME", ""))
        await asyncio.to_thread(self._check_files, marker, order)
        env = _environment(spec.env, options.env, engine.address)
        tool = await self._tool(marker, env)
        there = await list_parts(engine, project)
        ports = {name: (port, spec.schemes.get(name, "http")) for name, port in spec.ports.items()}
        taken_over = options.project is not None and any(part.container.alive for part in there)
        record = Record(marker.epoch, order, env, spec.logs, ports, taken_over=taken_over)
        await self._check_config(marker, tool, record)
        await asyncio.to_thread(self._records.path(marker, "status").unlink, missing_ok=True)
        await asyncio.to_thread(self._records.write, marker, record)
        failpoint("compose.up.before")
        try:
            await self._up(engine, marker, record, tool)
        except ToolFailed as failed:
            await self._undo(engine, marker, record)
            said = str(failed)
            permanent = _PERMANENT.search(said) is not None
            raise StartFailed(f"cannot start {marker.key}: {tool.argv[-1]} says: {said}", permanent=permanent) from None
        except StartFailed:
            await self._undo(engine, marker, record)
            raise
        record = replace(record, whole=True)
        await asyncio.to_thread(self._records.write, marker, record)
        failpoint("compose.up.after")
        return record

    async def settle(self, engine: Engine, marker: Marker, record: Record) -> Record | None:
        """What an earlier daemon did not see the end of: whole after all, or else taken away again (``None``)."""
        status = self._records.path(marker, "status")
        with contextlib.suppress(OSError):
            if await asyncio.to_thread(status.read_text, "ascii") == "0":
                whole = replace(record, whole=True)
                await asyncio.to_thread(self._records.write, marker, whole)
                return whole
        await self._undo(engine, marker, record)
        return None

    async def call(
        self, marker: Marker, record: Record, argv: Sequence[str], deadline: float, *, status: str = "asked"
    ) -> None:
        """Run the tool for a service; how it ended is left in its file ``status``. Raises ``ToolFailed``."""
        async with self._free:
            await run_tool(
                argv,
                env=record.env,
                cwd=record.order.folder,
                output=self._records.path(marker, "out"),
                status=self._records.path(marker, status),
                marker=self.mark(marker),
                deadline=deadline,
                scanner=self._scanner,
            )

    async def end_tool(self, marker: Marker) -> None:
        """End a tool that is at work for this life."""
        leader = await at_work(self.mark(marker), self._scanner)
        if leader is not None:
            await end_tool(leader, self.mark(marker), self._scanner)

    # ── before ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_files(self, marker: Marker, order: Order) -> None:
        begin = f"cannot start {marker.key}"
        if not order.folder.is_dir():
            raise StartFailed(f"{begin}: there is no folder {order.folder}", permanent=True)
        missing = [file for file in (*order.files, *order.env_files) if not file.is_file()]
        if missing:
            raise StartFailed(f"{begin}: there is no file {missing[0]}", permanent=True)
        # the tool would go on looking for one in the folders above
        if not order.files and not any((order.folder / name).is_file() for name in USUAL):
            hint = f"name it in target.files, or call it {USUAL[0]}"
            raise StartFailed(f"{begin}: there is no compose file in {order.folder}", hint=hint, permanent=True)

    async def _tool(self, marker: Marker, env: Mapping[str, str]) -> Tool:
        tool = await asyncio.to_thread(find_tool, env)
        if tool is None:
            message = f"cannot start {marker.key}: neither 'docker compose' nor 'docker-compose' is installed"
            raise StartFailed(message, hint=INSTALL, permanent=True)
        return tool

    async def _check_config(self, marker: Marker, tool: Tool, record: Record) -> None:
        try:
            await self.call(marker, record, record.order.config(tool.argv), _CONFIG)
        except ToolFailed as failed:
            raise StartFailed(f"cannot start {marker.key}: {failed}", permanent=True) from None

    # ── up ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _up(self, engine: Engine, marker: Marker, record: Record, tool: Tool) -> None:
        """Raises ``ToolFailed`` or ``StartFailed``."""
        order, options = record.order, record.order.options
        deadline = asyncio.get_running_loop().time() + options.up_timeout
        if (pull := order.pull(tool.argv)) is not None:
            await self.call(marker, record, pull, options.up_timeout)
        left = max(1.0, deadline - asyncio.get_running_loop().time())
        await self.call(marker, record, order.up(tool.argv), left, status="status")
        while True:
            parts = await list_parts(engine, order.project)
            waiting = self._judged(marker, parts, options.main)
            if not waiting:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise StartFailed(
                    f"cannot start {marker.key}: {', '.join(waiting)} not healthy within {options.up_timeout:g} s",
                    hint="set target.up_timeout if it needs longer",
                )
            await asyncio.sleep(_LOOK)

    def _judged(self, marker: Marker, parts: Sequence[Part], main: str | None) -> list[str]:
        """Who is not healthy yet. Raises ``StartFailed`` when somebody will not be."""
        begin = f"cannot start {marker.key}"
        if not parts:
            hint = "are all of its services in profiles? name them in target.profiles"
            raise StartFailed(f"{begin}: the compose file gives no containers", hint=hint, permanent=True)
        if main is not None and all(part.service != main for part in parts):
            names = ", ".join(sorted({part.service for part in parts}))
            raise StartFailed(f"{begin}: main: there is no service {main}, only {names}", permanent=True)
        if outcome(parts, main) is not None:
            return []  # that it has ended already is told as an end
        for part in parts:
            if part.container.alive and part.health == "unhealthy":
                raise StartFailed(f"{begin}: {part.name} is unhealthy")
        return [part.name for part in parts if part.container.alive and part.health == "starting"]

    async def _undo(self, engine: Engine, marker: Marker, record: Record) -> None:
        """Take away what was made, unless it was there before."""
        await self.end_tool(marker)
        if not record.taken_over:
            await remove_parts(engine, record.order.project)
        await asyncio.to_thread(self._records.forget, marker)


def _environment(inherited: Mapping[str, str], own: Mapping[str, str], address: Address) -> dict[str, str]:
    """The tool's environment. It has to speak to the very engine that we look at."""
    env = {name: value for name, value in inherited.items() if name not in ("DOCKER_CONTEXT", "COMPOSE_FILE")}
    env |= own
    env["DOCKER_HOST"] = address.url
    if address.certificates is not None:
        env |= {"DOCKER_TLS_VERIFY": "1" if address.verify else "", "DOCKER_CERT_PATH": address.certificates}
    return env
