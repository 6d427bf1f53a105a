"""The border to the world of processes, containers and hosts: what an executor promises, and what it is given.

An executor serves one target ``type``. It holds no truth: the world is told what happened and decides. It must be
able to find an instance again from a handle or, where the daemon died before it could store one, from the
``Marker`` that every instance carries from birth (an environment variable, a container label, a run directory).

Plugins hand over an ``ExecutorPlugin`` in the hook ``harness_executors(register)``; see ``hookspecs.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from harness_core.domain.addresses import Viewpoint
from harness_core.domain.errors import HarnessError
from harness_core.domain.spec import HostSpec, LimitsSpec, LogsSpec, UnitSpec
from harness_core.domain.states import Exit, Handle, Started

__all__ = [
    "Capabilities",
    "Ended",
    "ExecRequest",
    "ExecSession",
    "Executor",
    "ExecutorContext",
    "ExecutorPlugin",
    "Finding",
    "Gone",
    "Inspection",
    "LogSink",
    "Lost",
    "Marker",
    "Recovery",
    "Running",
    "StartFailed",
    "StartSpec",
    "StopReport",
    "Unknown",
]


@dataclass(frozen=True, slots=True, order=True)
class Marker:
    """The identity an instance carries from birth: which service, which life, which state directory."""

    stack: str
    name: str
    epoch: int

    @property
    def key(self) -> str:
        return f"{self.stack}/{self.name}"

    def __str__(self) -> str:
        return f"{self.stack}/{self.name}#{self.epoch}"


@dataclass(frozen=True, slots=True)
class StartSpec:
    """All that is needed to start one instance; every ``${…}`` has been replaced by its value."""

    marker: Marker
    #: an instance of the plugin's options model
    options: BaseModel
    #: the whole environment of the instance, complete
    env: Mapping[str, str]
    #: absolute directory against which relative paths of the options are meant
    base_dir: Path
    #: by name, in the order of the stack file, auto ports already chosen
    ports: Mapping[str, int] = field(default_factory=dict)
    schemes: Mapping[str, str] = field(default_factory=dict)
    limits: LimitsSpec = field(default_factory=LimitsSpec)
    logs: LogsSpec = field(default_factory=LogsSpec)
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    #: names in ``env`` that only the caller's session set: they mean nothing to an instance in another world
    inherited: frozenset[str] = frozenset()
    #: by name: the machine that the target names, and those on the way to it, as far as the stack file defines them
    hosts: Mapping[str, HostSpec] = field(default_factory=dict)


class StartFailed(HarnessError):
    """An instance could not be started; nothing of it is left behind.

    ``permanent`` says that trying again without a change is useless (a missing binary), so it is not tried.
    ``absent`` says that what is to be attached to is not there yet: the same life is asked for again every second,
    until the unit's ``start_timeout`` is over.
    """

    code = "start-failed"

    def __init__(self, message: str, *, hint: str = "", permanent: bool = False, absent: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent
        self.absent = absent


class Lost(Exception):
    """The link to an instance is gone: it may live or not. Never an exit."""


@dataclass(frozen=True, slots=True)
class Running:
    """Recovered: it lives, and this is how to reach it."""

    started: Started


@dataclass(frozen=True, slots=True)
class Ended:
    """It ran and has ended; the exit may be of unknown manner."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class Gone:
    """It was never started, or nothing is left that could tell of it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The truth cannot be had now (engine frozen, link down); ask again later.

    ``started`` is given where the instance is certainly there and can be ended, although it does not run (it is
    paused): one that is not wanted any more is then stopped, and not waited for.
    """

    reason: str
    started: Started | None = None


Recovery = Running | Ended | Gone | Unknown


@dataclass(frozen=True, slots=True)
class StopReport:
    """What a stop found out. ``leftovers`` names what could not be ended; empty means verified gone."""

    exit: Exit | None
    #: whether KILL was needed after the grace period
    forced: bool = False
    leftovers: tuple[str, ...] = ()
    #: it was never ours to end: it lives on, and is not looked after any more
    released: bool = False


@dataclass(frozen=True, slots=True)
class Inspection:
    """Particulars of a living instance, for people: never a ground for decisions."""

    pids: tuple[int, ...] = ()
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    listening: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """A command to run beside an instance, in its context (environment, directory, container)."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    tty: bool = False
    rows: int = 24
    columns: int = 80


class ExecSession(Protocol):
    """A running ``exec``. Closing it ends the command and all it started."""

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield ``("stdout" | "stderr", bytes)`` until both end; a tty has stdout only."""
        ...

    async def write(self, data: bytes) -> None:
        """Send to its standard input; returns once accepted."""
        ...

    async def write_eof(self) -> None: ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def signal(self, signum: int) -> None: ...

    async def wait(self) -> Exit: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Optional abilities; what is not declared is refused with the executor's name."""

    #: without it, the executor only attaches: instances were there before it, and ``stop`` lets go of them
    stop: bool = True
    exec: bool = True
    adopt: bool = False
    stdin: bool = False
    tty: bool = False
    logs: bool = True
    #: the instance itself listens on this machine's ports, so that a taken port is found before the start
    listens_here: bool = True
    #: how long a start may take, in seconds; what has to be fetched first takes longer
    start_deadline: float = 30.0


class Executor(Protocol):
    """One kind of target. All methods run on the daemon's event loop and must not block it.

    Calls for different instances come concurrently; for one instance at most one ``start`` is in flight, while
    ``stop`` may come again with a shorter grace while an earlier ``stop`` still waits. Every method may be
    cancelled: what was begun must then still be findable through ``recover``.
    """

    capabilities: Capabilities

    async def open(self) -> None:
        """Make ready, within 10 s. Raise to be reported as out of order; the daemon goes on without this kind."""
        ...

    async def close(self) -> None:
        """The daemon leaves; every instance stays."""
        ...

    async def start(self, spec: StartSpec) -> Started:
        """Start one instance, or return the one that already carries ``spec.marker``: never a second one.

        Raises ``StartFailed`` with the cause as people would say it.
        """
        ...

    async def recover(self, marker: Marker, handle: Handle | None) -> Recovery:
        """Find out the truth about an instance of an earlier daemon. Idempotent, without side effect on it."""
        ...

    async def wait(self, marker: Marker, handle: Handle) -> Exit:
        """Return when it has ended and its last output is stored. Raises ``Lost`` when that cannot be known."""
        ...

    async def stop(self, marker: Marker, handle: Handle, *, signal: int, grace: float) -> StopReport:
        """Ask to end, after ``grace`` seconds make it end, then verify that nothing of it is left.

        ``grace`` 0 kills at once. Never touches what is not proven to be this instance. An executor without the
        capability touches nothing at all and reports what lives on as ``released``.
        """
        ...

    async def signal(self, marker: Marker, handle: Handle, signum: int) -> None:
        """Send one signal to the instance's main process, proven ours."""
        ...

    async def inspect(self, marker: Marker, handle: Handle) -> Inspection: ...

    async def exec(self, marker: Marker, handle: Handle | None, spec: StartSpec, request: ExecRequest) -> ExecSession:
        """Run a command in the instance's context. Raises ``ExecNotStarted``."""
        ...

    async def adopt(self, spec: StartSpec, what: Mapping[str, Any]) -> Started:
        """Take over something that already runs (``{"pid": 4}``, ``{"port": 80}``); needs ``capabilities.adopt``."""
        ...

    async def forget(self, marker: Marker, handle: Handle | None) -> None:
        """Give the instance up without touching it, and drop what was kept about it."""
        ...


class LogSink(Protocol):
    """Where the output of instances goes: one append-only byte stream per service and stream name."""

    def directory(self, key: str) -> Path:
        """The private directory of one service's streams; made when missing."""
        ...

    def grew(self, key: str) -> None:
        """Say that bytes were appended, so that followers read on. Thread-safe and cheap."""
        ...

    def awaited(self, key: str) -> bool:
        """Whether anybody waits for this service's output at the moment; saying ``grew`` is idle otherwise."""
        ...

    def on_awaited(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(key)`` called on the event loop whenever somebody begins to wait for a service's output."""
        ...


@dataclass(frozen=True, slots=True)
class ExecutorContext:
    """What the daemon lends an executor."""

    #: a private directory for this executor's own files, mode 0700
    state_dir: Path
    logs: LogSink
    #: identifies this state directory among others on the machine; part of every marker outside
    instance: str
    #: say, on the event loop, how far a start has come that takes long (an image is fetched): a short sentence that is
    #: shown as the unit's reason until the start ends. At most once a second for each start: each is stored
    progress: Callable[[Marker, str], None] = lambda marker, how_far: None


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``harness doctor``."""

    name: str
    #: ``ok``, ``warning`` or ``problem``
    status: str
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ExecutorPlugin:
    """What a plugin registers: the target type it serves, the model of its options, and how to make the executor."""

    kind: str
    #: may have a ``RESTART``: the restart policy of services that give none, instead of ``on-failure``
    options: type[BaseModel]
    factory: Callable[[ExecutorContext], Executor]
    summary: str = ""
    #: problems of a target that can be told before a start (a missing binary): sentences, empty when none
    check: Callable[[BaseModel, Path, Mapping[str, str]], list[str]] | None = None
    #: from where an instance of a unit asks for the addresses of others; ``None``: from this machine
    viewpoint: Callable[[UnitSpec], Viewpoint] | None = None
    #: what ``harness doctor`` says of what this kind needs; ``None``: nothing
    doctor: Callable[[], Awaitable[Sequence[Finding]]] | None = None
