"""The executor of processes on other machines: a shell there starts, finds and ends them, and lives on without us."""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from executors.remote.births import launch, state_of
from executors.remote.command import life_of, run_of
from executors.remote.handle import RemoteHandle
from executors.remote.lives import Life, ends_of, exit_of
from executors.remote.lost import LinkLost
from executors.remote.options import RemoteOptions
from executors.remote.records import Record, Records
from executors.remote.route import Route
from executors.remote.stopping import stop_run
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
from harness_core.domain.states import Exit as End
from harness_core.domain.states import Handle, Started
from harness_core.runtime.stopping import Grace

if TYPE_CHECKING:
    from executors.remote.machine import Machine

__all__ = ["RemoteExecutor"]

#: within the time that the daemon gives an answer to whether something lives
_RECOVERY = 4.5
#: the last output of what has ended
_LAST_WORDS = 10.0


class RemoteExecutor:
    """Implements ``harness_core.domain.executor.Executor`` for processes on other machines."""

    capabilities = Capabilities(adopt=False, listens_here=False)

    def __init__(self, context: ExecutorContext) -> None:
        self._context = context
        self._records = Records(context.state_dir / "lives")
        self._machines: dict[str, Machine] = {}
        self._lives: dict[Marker, Life] = {}
        self._stops: dict[Marker, tuple[Grace, asyncio.Task[StopReport]]] = {}
        context.logs.on_awaited(self._awaited)

    async def open(self) -> None:
        """Nothing to make ready: machines are called when somebody needs them."""

    async def close(self) -> None:
        stops = [task for _, task in self._stops.values()]
        for task in stops:
            task.cancel()
        await asyncio.gather(*stops, return_exceptions=True)
        await asyncio.gather(*(machine.close() for machine in self._machines.values()))
        for life in self._lives.values():
            await asyncio.to_thread(life.close)

    async def start(self, spec: StartSpec) -> Started:
        assert isinstance(spec.options, RemoteOptions), "the plugin's own model"
        marker, route = spec.marker, _route(spec, spec.options)
        script = life_of(spec, spec.options)
        machine = self._machine(route)
        try:
            shell = await machine.link.shell()
            await self._clear_former(marker)
        except LinkLost as lost:
            message = f"cannot start {marker.key}: {lost.reason}"
            raise StartFailed(message, hint=lost.hint, permanent=lost.permanent) from None
        record = await self._record(spec, route)
        try:
            _, pid, start = await launch(shell, machine.link, marker, script)
        except StartFailed:
            await asyncio.to_thread(self._records.remove, marker)
            raise
        except LinkLost as lost:
            raise Lost(f"whether {marker.key} was started is unknown: {lost.reason}") from None
        return self._hold(marker, RemoteHandle(route, pid, start, record.ports), record).handle.to_started()

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        try:
            known = None if handle is None else RemoteHandle.of(handle)
        except ValueError as error:
            return Unknown(f"cannot read its handle: {error}")
        record = await asyncio.to_thread(self._records.read, marker)
        if record is not None and record.exit is not None:
            return Ended(record.exit)
        if record is None and known is None:
            return Gone()
        route = record.route if record is not None else known.route if known is not None else None
        assert route is not None, "one of the two is there"
        machine = self._machine(route)
        try:
            async with asyncio.timeout(_RECOVERY):
                return await self._find(machine, marker, known, record)
        except LinkLost as lost:
            return Unknown(lost.reason)
        except Lost as lost:
            return Unknown(str(lost))
        except TimeoutError:
            return Unknown(f"{machine.link.name} has not answered within {_RECOVERY:g} s")

    async def wait(self, marker: Marker, handle: Handle) -> End:
        life = self._lives.get(marker)
        if life is None or life.trouble:
            found = await self.recover(marker, handle)
            if isinstance(found, Ended):
                return found.exit
            life = self._lives.get(marker)
            if not isinstance(found, Running) or life is None:
                raise Lost(found.reason if isinstance(found, Unknown) else f"nothing is known of {marker}")
        return await life.wait()

    async def stop(self, marker: Marker, handle: Handle, *, signal: int, grace: float) -> StopReport:
        if marker in self._stops:
            self._stops[marker][0].shorten(grace)
        else:
            patience = Grace(grace)
            task = asyncio.create_task(self._stop(marker, RemoteHandle.of(handle), signal, patience))
            self._stops[marker] = (patience, task)
            task.add_done_callback(lambda task: self._stopped(marker, task))
        return await asyncio.shield(self._stops[marker][1])

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        machine = self._machine(RemoteHandle.of(handle).route)
        try:
            sent = await (await machine.link.shell()).ask(f"h_tell {run_of(marker)} {_name(signum)}")
        except LinkLost as lost:
            raise Lost(lost.reason) from None
        if sent.strip() != b"sent":
            raise NotFound(f"cannot signal {marker.key}: it has ended")

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection:
        link = self._machine(RemoteHandle.of(handle).route).link
        try:
            answer = await (await link.shell()).ask(f"h_members {run_of(marker)}", limit=1 << 20)
        except LinkLost as lost:
            return Inspection(details={"host": link.name, "trouble": lost.reason})
        pids = tuple(int(line.split()[0]) for line in answer.splitlines() if line[:1].isdigit())
        details = {"host": link.name, "directory": f"{link.root}/{run_of(marker)}"}
        if not link.setsid:
            details["session"] = "none of its own: the machine has no setsid, so what it starts is found by a mark only"
        return Inspection(pids, details=details)

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        assert isinstance(spec.options, RemoteOptions), "the plugin's own model"
        if not request.argv:
            raise ExecNotStarted(f"cannot run in {marker.key}: no command")
        from executors.remote.session import RemoteExec  # as above

        route = _route(spec, spec.options) if handle is None else RemoteHandle.of(handle).route
        return await RemoteExec.start(self._machine(route).link, spec, spec.options, request)

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        raise UsageError(f"cannot adopt for {spec.marker.key}: what runs on another machine is not taken over")

    async def forget(self, marker: Marker, handle: Handle | None) -> None:
        life = self._lives.get(marker)
        if life is not None:
            await self._drop(life)
        await asyncio.to_thread(self._records.forget, marker)

    # ── finding and holding ──────────────────────────────────────────────────────────────────────────────────────────

    async def _find(
        self, machine: Machine, marker: Marker, known: RemoteHandle | None, record: Record | None
    ) -> Recovery:
        shell = await machine.link.shell()
        state = await state_of(shell, run_of(marker))
        if state[0] in ("absent", "failed") and known is None:
            return Gone()
        if record is None:
            record = Record(machine.link.route, await asyncio.to_thread(ends_of, marker, self._context.logs), {})
        if state[0] == "alive":
            handle = known or RemoteHandle(machine.link.route, int(state[1]), state[2], record.ports)
            return Running(self._hold(marker, handle, record).handle.to_started())
        if exit_of(state) is None:
            return Unknown(f"{machine.link.name} says {' '.join(state)[:80]!r} of it")
        life = self._hold(marker, known or RemoteHandle(machine.link.route, 0, "", record.ports), record)
        # what it wrote while nobody looked is read before its end is told
        return Ended(await life.wait())

    def _machine(self, route: Route) -> Machine:
        machine = self._machines.get(route.key)
        if machine is None:
            # asyncssh takes long to import; only who has other machines pays for it
            from executors.remote.machine import Machine

            before = route.before
            way = None if before is None else self._machine(before).link
            machine = Machine(route, way, self._context.instance, self._records, self._context.logs)
            self._machines[route.key] = machine
        return machine

    def _hold(self, marker: Marker, handle: RemoteHandle, record: Record) -> Life:
        life = self._lives.get(marker)
        if life is None:
            life = self._lives[marker] = Life(marker, handle, record, self._context.logs)
        if not life.exit.done():
            self._machine(handle.route).hold(life)
        return life

    async def _drop(self, life: Life) -> None:
        self._lives.pop(life.marker, None)
        self._machine(life.handle.route).drop(life)
        life.lose("it is not looked after any more")
        await asyncio.to_thread(life.close)

    async def _record(self, spec: StartSpec, route: Route) -> Record:
        """The word that is left before anything is begun; a second start of one life finds the first one's."""
        record = await asyncio.to_thread(self._records.read, spec.marker)
        if record is not None:
            return record
        ports = {name: (port, spec.schemes.get(name, "http")) for name, port in spec.ports.items()}
        kept = {"max_size": spec.logs.max_size, "max_files": spec.logs.max_files}
        begun = await asyncio.to_thread(ends_of, spec.marker, self._context.logs)
        record = Record(route, begun, kept, ports)
        try:
            await asyncio.to_thread(self._records.write, spec.marker, record)
        except OSError as error:
            raise StartFailed(f"cannot start {spec.marker.key}: cannot keep a record of it: {error}") from None
        return record

    async def _clear_former(self, marker: Marker) -> None:
        """End what earlier lives of the service left behind, and drop what is kept of them. Raises ``LinkLost``."""
        for former in await asyncio.to_thread(self._records.before, marker):
            life = self._lives.get(former)
            if life is not None:
                await self._drop(life)
            record = await asyncio.to_thread(self._records.read, former)
            if record is not None and record.exit is not None:
                shell = await self._machine(record.route).link.shell()
                await shell.ask(f"h_signal {run_of(former)} KILL; h_remove {run_of(former)}", limit=1 << 20)
                await asyncio.to_thread(self._records.remove, former)

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _stop(self, marker: Marker, known: RemoteHandle, signum: int, grace: Grace) -> StopReport:
        link = self._machine(known.route).link
        try:
            forced, leftovers = await stop_run(link, run_of(marker), _name(signum), grace)
        except LinkLost as lost:
            return StopReport(None, leftovers=(f"whatever lives on {link.name}: {lost.reason}",))
        end: End | None = None
        if not leftovers:
            with contextlib.suppress(TimeoutError, Lost):
                async with asyncio.timeout(_LAST_WORDS):
                    end = await self.wait(marker, known.to_started().handle)
        return StopReport(end, forced, leftovers)

    def _stopped(self, marker: Marker, task: asyncio.Task[StopReport]) -> None:
        del self._stops[marker]
        if not task.cancelled():
            task.exception()  # whoever asked has it, unless they left

    def _awaited(self, key: str) -> None:
        for machine in self._machines.values():
            machine.awaited(key)


def _route(spec: StartSpec, options: RemoteOptions) -> Route:
    return Route(options.host, options.user or spec.user, spec.hosts)


def _name(signum: int) -> str:
    return signals.Signals(signum).name.removeprefix("SIG")
