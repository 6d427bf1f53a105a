"""An executor without processes: deterministic, with a knob for everything that can go wrong.

What a real machine would hold lives in a ``MockWorld``: give the same world to a second executor to simulate that the
daemon died and a new one came. Instances end by themselves (``run_for``), by ``stop``, or when a test says so::

    world = MockWorld()
    plugin = mock_plugin(world)          # or let the entry-point machinery load this module
    ...
    world.end("shop/db", Exit(code=3))

Delays run on the event loop's own time. Output lines go to the real log folder in the real format.
"""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness_core.domain.errors import ExecNotStarted
from harness_core.domain.executor import (
    Capabilities,
    Ended,
    ExecRequest,
    ExecSession,
    ExecutorContext,
    ExecutorPlugin,
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
from harness_core.domain.hookspecs import hookimpl
from harness_core.domain.spec import Duration
from harness_core.domain.states import Endpoint, Exit, Handle, Started
from harness_core.testing.logs import append_output

__all__ = [
    "MockExecResult",
    "MockExecutor",
    "MockInstance",
    "MockOptions",
    "MockWorld",
    "harness_executors",
    "mock_plugin",
]

KIND = "mock"
#: pids of instances start here: above what the kernel gives out, so that nothing real is ever meant
FIRST_PID = 2**22 + 1


class MockOptions(BaseModel):
    """The knobs. Without any, an instance starts at once and stays until it is stopped."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    run_for: Duration | None = None
    """End by itself after this long, with `exit_code` or `exit_signal`."""
    exit_code: int = 0
    exit_signal: int | None = None
    lines: list[str] = Field(default_factory=list)
    """Written to stdout at the start, a newline after each."""
    error_lines: list[str] = Field(default_factory=list)
    """Written to stderr at the start."""
    start_delay: Duration = 0.0
    """How long a start takes. The instance exists from the beginning: a start that is cancelled can be found."""
    start_error: str = ""
    """Fail every start with this message; nothing exists then."""
    start_error_permanent: bool = False
    """The failure of `start_error` cannot be mended by trying again."""
    start_errors: int | None = None
    """Fail only this many starts of the service, then succeed."""
    ignore_term: bool = False
    """Only a KILL ends it."""
    term_code: int | None = None
    """End with this code when asked to stop, instead of dying from the signal."""
    stop_delay: Duration = 0.0
    """How long it takes to end once asked."""
    kill_fails: bool = False
    """Not even a KILL ends it: a stop reports a leftover."""
    unknown_for: Duration = 0.0
    """For this long after a new daemon opened the executor, `recover` and `wait` cannot know the truth."""


@dataclass(frozen=True, slots=True)
class MockExecResult:
    """What a command run by ``exec`` prints, and how it ends."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit: Exit = field(default_factory=lambda: Exit(code=0))


@dataclass(slots=True, eq=False)
class MockInstance:
    """One instance of the mock's world: living until ``exit`` is set."""

    marker: Marker
    pid: int
    spec: StartSpec
    options: MockOptions
    #: loop time of its birth
    born: float
    #: how it will end by itself
    ending: Exit
    exit: Exit | None = None
    #: loop time at which it ends by itself
    due: float | None = None
    #: signals it was sent, in order
    signals: list[int] = field(default_factory=list)
    watchers: set[Callable[[], None]] = field(default_factory=set)

    @property
    def ended(self) -> bool:
        return self.exit is not None

    def end(self, exit: Exit) -> None:
        """End it now; a second end changes nothing."""
        if self.exit is None:
            self.exit = exit
            for watcher in tuple(self.watchers):
                watcher()


class MockWorld:
    """What outlives a daemon: the instances, and an account of what executors were asked to do."""

    def __init__(self) -> None:
        self.instances: dict[Marker, MockInstance] = {}
        #: lives that an executor was told to forget: they go on, and are not found by their markers
        self.forgotten: set[Marker] = set()
        #: ("start" | "recover" | "stop" | ..., marker) in the order of the calls
        self.calls: list[tuple[str, Marker]] = []
        #: how many instances ever came to life, by "stack/name"
        self.births: dict[str, int] = {}
        #: failed starts so far, by "stack/name"
        self.failures: dict[str, int] = {}
        #: keys whose ``recover`` says unknown and whose ``wait`` is lost, until the key is taken out
        self.unreachable: set[str] = set()
        #: what ``exec`` does; raise ``ExecNotStarted`` to refuse
        self.on_exec: Callable[[Marker, ExecRequest], MockExecResult] = _echo
        #: what ``adopt`` makes the adopted instance behave like
        self.adopted = MockOptions()

    def living(self, key: str | None = None) -> list[MockInstance]:
        """The instances that live, of one service or of all."""
        return [i for i in self.instances.values() if i.exit is None and key in (None, i.marker.key)]

    def instance(self, key: str) -> MockInstance:
        """The newest instance of a service. Raises ``KeyError`` when it never had one."""
        own = [i for i in self.instances.values() if i.marker.key == key]
        if not own:
            raise KeyError(key)
        return max(own, key=lambda i: i.marker.epoch)

    def find(self, marker: Marker) -> MockInstance | None:
        """What an executor can find out: the instance with this marker, unless it was forgotten."""
        return None if marker in self.forgotten else self.instances.get(marker)

    def end(self, key: str, exit: Exit | None = None) -> None:
        """Let the newest instance of a service end now (exit code 0 unless told otherwise)."""
        self.instance(key).end(Exit(code=0) if exit is None else exit)

    def count(self, call: str, key: str) -> int:
        """How often executors were asked for ``call`` on a service."""
        return sum(1 for name, marker in self.calls if name == call and marker.key == key)

    def bear(self, spec: StartSpec, options: MockOptions, now: float) -> MockInstance:
        """Bring an instance to life; executors call this."""
        ending = Exit(signal=options.exit_signal) if options.exit_signal else Exit(code=options.exit_code)
        instance = MockInstance(
            spec.marker,
            FIRST_PID + sum(self.births.values()),
            spec,
            options,
            now,
            ending,
            due=None if options.run_for is None else now + options.run_for,
        )
        self.instances[spec.marker] = instance
        self.forgotten.discard(spec.marker)
        self.births[spec.marker.key] = self.births.get(spec.marker.key, 0) + 1
        return instance


class MockExecutor:
    """The executor over a ``MockWorld``. Keeps the contract of ``Executor``; the conformance suite runs over it."""

    def __init__(self, context: ExecutorContext, world: MockWorld, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.world = world
        self._logs = context.logs
        self._timers: dict[Marker, asyncio.TimerHandle] = {}
        self._opened = 0.0

    async def open(self) -> None:
        self._opened = asyncio.get_running_loop().time()
        for instance in self.world.living():
            if instance.due is not None and instance.due <= self._opened:
                instance.end(instance.ending)
            else:
                self._arm(instance)

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def end(self, key: str, exit: Exit | None = None) -> None:
        """Let a service's newest instance end now; short for ``world.end``."""
        self.world.end(key, exit)

    async def start(self, spec: StartSpec) -> Started:
        self.world.calls.append(("start", spec.marker))
        options = _options(spec)
        instance = self.world.find(spec.marker)
        if instance is None:
            if self._refuses(spec.marker.key, options):
                await asyncio.sleep(options.start_delay)
                raise StartFailed(options.start_error, permanent=options.start_error_permanent)
            instance = self.world.bear(spec, options, asyncio.get_running_loop().time())
            self._print(instance)
            self._arm(instance)
        await asyncio.sleep(options.start_delay)
        return _started(instance)

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        self.world.calls.append(("recover", marker))
        await asyncio.sleep(0)
        instance = self.world.find(marker)
        if self._unreachable(marker, instance):
            return Unknown("the mock was told not to know")
        if instance is None:
            return Gone()
        return Ended(instance.exit) if instance.exit else Running(_started(instance))

    async def wait(self, marker: Marker, handle: Handle) -> Exit:
        self.world.calls.append(("wait", marker))
        instance = self.world.find(marker)
        if self._unreachable(marker, instance):
            raise Lost("the mock was told not to know")
        if instance is None:
            return Exit()
        return await _ended(instance)

    async def stop(self, marker: Marker, handle: Handle, *, signal: int, grace: float) -> StopReport:
        self.world.calls.append(("stop", marker))
        await asyncio.sleep(0)
        instance = self.world.find(marker)
        if instance is None or instance.exit is not None:
            return StopReport(instance.exit if instance else None)
        if grace > 0:
            self._ask(instance, signal)
            try:
                async with asyncio.timeout(grace):
                    return StopReport(await _ended(instance), forced=signals.SIGKILL in instance.signals)
            except TimeoutError:
                pass
        self._ask(instance, signals.SIGKILL)
        leftovers = () if instance.ended else (f"pid {instance.pid}",)
        return StopReport(instance.exit, forced=True, leftovers=leftovers)

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        self.world.calls.append(("signal", marker))
        instance = self.world.find(marker)
        if instance is not None and instance.exit is None:
            self._ask(instance, signum)

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection:
        instance = self.world.find(marker)
        if instance is None or instance.exit is not None:
            return Inspection()
        return Inspection(pids=(instance.pid,), cpu_seconds=0.0, memory_bytes=4096)

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        self.world.calls.append(("exec", marker))
        return _MockExecSession(self.world.on_exec(marker, request))

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        self.world.calls.append(("adopt", spec.marker))
        return _started(self.world.bear(spec, self.world.adopted, asyncio.get_running_loop().time()))

    async def forget(self, marker: Marker, handle: Handle | None) -> None:
        """The instance lives on in the world, but is no longer found by its marker."""
        self.world.calls.append(("forget", marker))
        self.world.forgotten.add(marker)

    def _refuses(self, key: str, options: MockOptions) -> bool:
        failed = self.world.failures.get(key, 0)
        if not options.start_error or (options.start_errors is not None and failed >= options.start_errors):
            return False
        self.world.failures[key] = failed + 1
        return True

    def _unreachable(self, marker: Marker, instance: MockInstance | None) -> bool:
        if marker.key in self.world.unreachable:
            return True
        if instance is None or instance.born >= self._opened:
            return False
        return asyncio.get_running_loop().time() < self._opened + instance.options.unknown_for

    def _print(self, instance: MockInstance) -> None:
        for stream, lines in (("stdout", instance.options.lines), ("stderr", instance.options.error_lines)):
            if lines:
                data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
                directory = self._logs.directory(instance.marker.key)
                append_output(directory, stream, data, epoch=instance.marker.epoch)
                self._logs.grew(instance.marker.key)

    def _ask(self, instance: MockInstance, signum: int) -> None:
        """Deliver a signal, with the effect that the knobs give it."""
        options = instance.options
        instance.signals.append(signum)
        if signum == signals.SIGKILL:
            if not options.kill_fails:
                instance.end(Exit(signal=signum))
        elif not options.ignore_term and signum not in _HARMLESS:
            ending = Exit(signal=signum) if options.term_code is None else Exit(code=options.term_code)
            if options.stop_delay:
                due = asyncio.get_running_loop().time() + options.stop_delay
                instance.due, instance.ending = min(due, instance.due or due), ending
                self._arm(instance)
            else:
                instance.end(ending)

    def _arm(self, instance: MockInstance) -> None:
        """Let the loop end the instance when it is due; one timer an instance."""
        timer = self._timers.pop(instance.marker, None)
        if timer is not None:
            timer.cancel()
        if instance.due is not None:
            loop = asyncio.get_running_loop()
            self._timers[instance.marker] = loop.call_at(instance.due, instance.end, instance.ending)


#: signals that end nothing
_HARMLESS = frozenset({signals.SIGCONT, signals.SIGCHLD, signals.SIGWINCH, signals.SIGURG, 0})


class _MockExecSession:
    def __init__(self, result: MockExecResult) -> None:
        self._result = result
        self._signalled: int | None = None

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        for stream, data in (("stdout", self._result.stdout), ("stderr", self._result.stderr)):
            if data:
                yield stream, data

    async def write(self, data: bytes) -> None:
        await asyncio.sleep(0)

    async def write_eof(self) -> None:
        await asyncio.sleep(0)

    async def resize(self, rows: int, columns: int) -> None:
        await asyncio.sleep(0)

    async def signal(self, signum: int) -> None:
        self._signalled = signum

    async def wait(self) -> Exit:
        await asyncio.sleep(0)
        return self._result.exit if self._signalled is None else Exit(signal=self._signalled)

    async def close(self) -> None:
        await asyncio.sleep(0)


def mock_plugin(world: MockWorld | None = None, capabilities: Capabilities | None = None) -> ExecutorPlugin:
    """The plugin of target type ``mock`` over ``world``; every executor it makes shares that world."""
    shared = MockWorld() if world is None else world
    able = Capabilities(adopt=True) if capabilities is None else capabilities
    return ExecutorPlugin(
        kind=KIND,
        options=MockOptions,
        factory=lambda context: MockExecutor(context, shared, able),
        summary="nothing real: for tests",
    )


@hookimpl
def harness_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Register type ``mock`` with a world of its own."""
    register(mock_plugin())


def _options(spec: StartSpec) -> MockOptions:
    if not isinstance(spec.options, MockOptions):
        raise StartFailed(f"cannot start {spec.marker.key}: these are not options of type mock", permanent=True)
    return spec.options


def _started(instance: MockInstance) -> Started:
    spec = instance.spec
    endpoints = {name: Endpoint("127.0.0.1", port, spec.schemes.get(name, "http")) for name, port in spec.ports.items()}
    handle = Handle(KIND, {"pid": instance.pid, "epoch": instance.marker.epoch})
    return Started(handle, pid=instance.pid, endpoints=endpoints)


async def _ended(instance: MockInstance) -> Exit:
    """Wait for the end of an instance, whoever brings it about."""
    while instance.exit is None:
        ended = asyncio.get_running_loop().create_future()

        def tell(future: asyncio.Future[None] = ended) -> None:
            if not future.done():
                future.set_result(None)

        instance.watchers.add(tell)
        try:
            await ended
        finally:
            instance.watchers.discard(tell)
    return instance.exit


def _echo(marker: Marker, request: ExecRequest) -> MockExecResult:
    if not request.argv:
        raise ExecNotStarted("cannot run a command: none was given")
    return MockExecResult(" ".join(request.argv).encode("utf-8", "surrogateescape") + b"\n")
