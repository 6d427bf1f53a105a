"""The language between a daemon and those who talk to it: every operation, its request, its answer, its role.

Requests are dataclasses and answers are ``TypedDict``s, so that a command line can speak it without importing a
validation library; the daemon's doors validate both with the same types. ``OPERATIONS`` is the one table from which
WebSocket, HTTP, and later REST and MCP are fed.

The wire is JSON-RPC 2.0 over the WebSocket subprotocol ``harness.v1``, or one POST of the same request to ``/rpc``:

    → {"jsonrpc":"2.0","id":7,"method":"status","params":{"names":["db"]}}
    ← {"jsonrpc":"2.0","id":7,"result":{…}}                       or "error": {"code","message","data":{"code","hint"}}

A streaming operation (WebSocket only) answers first with ``{"subscription": S}``, then sends notifications

    ← {"jsonrpc":"2.0","method":"stream.item","params":{"subscription":S,"seq":1,"item":{…}}}
    ← {"jsonrpc":"2.0","method":"stream.end","params":{"subscription":S,"result":{…}}}     or "error": {…}

and may be ended by ``{"method":"stream.cancel","params":{"subscription":S}}``. ``exec`` takes its input the same way:
``{"method":"stream.send","params":{"subscription":S,"item":{"stdin":"<base64>"} | {"eof":true} |
{"resize":[rows,columns]} | {"signal":2}}}``. Output bytes (``logs``, ``exec``) come as binary frames so that nothing is
escaped or copied: 4 bytes big-endian length, that many bytes of JSON header, then the raw bytes (``BINARY_HEADER``).
Unknown fields are ignored by whoever receives them.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NotRequired

from typing_extensions import TypedDict

__all__ = [
    "OPERATIONS",
    "PROTOCOL_VERSION",
    "SUBPROTOCOL",
    "Operation",
    "Role",
    "decode_binary",
    "encode_binary",
]

SUBPROTOCOL = "harness.v1"
PROTOCOL_VERSION = 1
BINARY_HEADER = struct.Struct(">I")


def encode_binary(header: dict[str, Any], payload: bytes | memoryview) -> bytes:
    """One binary frame: length of the JSON header, the header, the bytes."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((BINARY_HEADER.pack(len(head)), head, payload))


def decode_binary(frame: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header and the bytes of a frame. Raises ``ValueError`` on anything else."""
    if len(frame) < BINARY_HEADER.size:
        raise ValueError("binary frame is too short")
    (length,) = BINARY_HEADER.unpack_from(frame)
    body = memoryview(frame)[BINARY_HEADER.size :]
    if length > len(body):
        raise ValueError("binary frame is cut short")
    header = json.loads(bytes(body[:length]))
    if not isinstance(header, dict):
        raise ValueError("binary frame has no header object")
    return header, body[length:]


class Role(IntEnum):
    """Who may do what; each role includes those before it."""

    #: list, status, events
    VIEWER = 1
    #: also the content of logs, which may hold secrets
    LOGS = 2
    #: also start, stop and restart what is registered
    OPERATOR = 3
    #: also define what is run: that is running commands as the daemon's user
    ADMIN = 4


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A request without parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """Which units are meant: names, "stack/name", stack names, or globs of them; with nothing given, all.

    A bare name that several stacks know means the one whose directory holds ``cwd``; otherwise it is ambiguous.
    """

    names: list[str] = field(default_factory=list)
    stack: str | None = None
    cwd: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSource:
    """A stack file as the client read it, with the variables that it names and the client has."""

    text: str
    #: as the user wrote it; shown in diagnostics
    filename: str
    #: absolute directory of the file
    base_dir: str
    env: dict[str, str] = field(default_factory=dict)
    #: overrides the ``name:`` of the file
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStack:
    source: StackSource
    #: units to start, with what they depend on; empty means all that are enabled
    names: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)
    #: do not start what they depend on
    no_deps: bool = False
    #: seconds to wait for all to be ready; ``None`` leaves it to each service's start_timeout
    timeout: float | None = None
    #: return as soon as the wish is recorded
    wait: bool = True
    #: put the old definition back when the new one does not become ready
    rollback: bool = False
    #: run tasks again that are already done
    rerun_tasks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStack:
    source: StackSource
    names: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateStack:
    source: StackSource
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Select):
    """Start, stop or restart registered units."""

    all: bool = False
    no_deps: bool = False
    timeout: float | None = None
    wait: bool = True
    #: stop: kill at once instead of asking first
    force: bool = False
    #: stop: seconds between asking and killing, instead of each unit's own
    grace: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Select):
    #: "ready", "healthy", "running", "stopped", "completed"
    condition: str = "ready"
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask(Select):
    #: run even when it is done already
    again: bool = False
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow(Select):
    #: replay journal events after this sequence number before the live ones
    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Events(Select):
    after: int = 0
    types: list[str] = field(default_factory=list)
    #: wall time, seconds since 1970
    since: float | None = None
    limit: int = 1000
    #: the newest ``limit`` instead of the oldest
    newest: bool = False
    follow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs(Select):
    #: lines per stream of each unit from the end; ``None`` means all
    tail: int | None = 100
    since: float | None = None
    until: float | None = None
    #: a regular expression that a line must contain
    grep: str | None = None
    #: "stdout", "stderr", or "" for both
    stream: str = ""
    #: the life before the present one
    previous: bool = False
    follow: bool = False
    #: resume: "stack/name:stream" → offset, as the headers of earlier frames told
    cursors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """Exactly one unit."""

    name: str
    stack: str | None = None
    cwd: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph(Select):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Top(Select):
    #: seconds between samples of the stream
    interval: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec(Name):
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    tty: bool = False
    rows: int = 24
    columns: int = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt(Name):
    """Take over a running process for a registered, not running service: one of pid, port, pid_file."""

    pid: int | None = None
    port: int | None = None
    pid_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackName:
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDaemon:
    stop_services: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonLogs:
    tail: int | None = 100
    follow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvNames:
    names: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateToken:
    name: str
    #: "viewer", "logs", "operator", "admin"
    role: str = "viewer"
    #: seconds of life
    expires_in: float = 90 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenId:
    id: str


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────────


class HealthInfo(TypedDict):
    status: str
    detail: str
    #: wall time of the last change, seconds since 1970
    since: float | None
    failures: int
    checks: int
    last_duration: float | None


class ExitInfo(TypedDict):
    code: int | None
    signal: int | None
    oom: bool
    at: float | None
    #: in words
    text: str


class ServiceRow(TypedDict):
    """One unit. ``state`` is the word for people; ``phase``, ``health``, ``wanted`` are the truth."""

    name: str
    stack: str
    kind: str  # "service" or "task"
    target: str  # "process", …
    state: str  # ready, starting, waiting, unhealthy, failed, …
    phase: str
    health: str
    wanted: str
    reason: str
    reason_code: str
    culprit: str
    pid: int | None
    container_id: str | None
    epoch: int
    restarts: int
    #: of the present instance; null when none runs
    uptime_seconds: float | None
    #: since when it is in this phase, wall time
    since: float
    host: str
    ports: dict[str, int]
    url: str | None
    endpoints: dict[str, str]
    dependencies: list[str]
    exit: ExitInfo | None
    #: seconds until the next thing that will happen by itself (a retry), where there is one
    next_in: float | None
    #: seconds from the wish to readiness, once ready
    took_seconds: float | None
    enabled: bool
    outdated: bool
    seq: int


class StackRow(TypedDict):
    name: str
    #: the ``name:`` of the file, which differs from ``name`` for a second checkout
    title: str
    base_dir: str
    filename: str
    services: int
    ready: int
    state: str  # "up", "starting", "degraded", "down"


class StatusResult(TypedDict):
    api_version: str
    seq: int
    at: float
    stacks: list[StackRow]
    services: list[ServiceRow]


class EventRow(TypedDict):
    seq: int
    at: float
    type: str
    service: str
    epoch: int
    cause: str
    request: str
    data: dict[str, Any]


class FollowItem(TypedDict):
    """First one with ``snapshot``, then one per event, ``rows`` holding the units as they are after it."""

    seq: int
    snapshot: NotRequired[StatusResult]
    event: NotRequired[EventRow]
    rows: NotRequired[list[ServiceRow]]
    removed: NotRequired[list[str]]


class Failure(TypedDict):
    """Why a unit did not get where it was wanted, with what a person needs to go on."""

    service: str
    stack: str
    state: str
    reason: str
    exit: ExitInfo | None
    #: the last lines of its own output
    last_lines: list[str]
    #: names of units that were not started because of it
    skipped: list[str]
    hint: str


class OperationResult(TypedDict):
    """How a start, stop, restart, wait or run ended. ``ok`` is true only when every unit got where it was wanted."""

    ok: bool
    #: nothing had to be done
    unchanged: bool
    stack: str
    services: list[ServiceRow]
    failures: list[Failure]
    #: "" or what ended the wait: "timeout"
    ended_by: str
    seconds: float
    rolled_back: bool
    warnings: list[str]
    #: names in the order in which they became ready (or went down)
    order: list[str]


class PlanStep(TypedDict):
    name: str
    kind: str
    #: "start", "restart", "stop", "keep", "run", "skip", "remove"
    action: str
    why: str
    #: for a changed definition: dotted keys that differ
    changes: list[str]
    wave: int


class PlanResult(TypedDict):
    stack: str
    steps: list[PlanStep]
    #: things that would go wrong: taken ports, missing binaries
    problems: list[str]
    #: True when nothing would be done
    empty: bool


class Diagnostic(TypedDict):
    """One finding in a stack file. Lines and columns count from 1; ``end_column`` is exclusive."""

    code: str
    severity: str  # "error" or "warning"
    message: str
    file: str
    line: int
    column: int
    end_column: int
    #: the source line
    text: str
    #: "did you mean 'process'?"
    label: str
    notes: list[str]


class ValidateResult(TypedDict):
    ok: bool
    diagnostics: list[Diagnostic]
    #: the effective configuration; null when there are errors
    resolved: dict[str, Any] | None


class DescribeResult(TypedDict):
    service: ServiceRow
    health: HealthInfo
    #: normalised definition, secrets masked
    definition: dict[str, Any]
    environment: dict[str, str]
    pids: list[int]
    cpu_seconds: float | None
    memory_bytes: int | None
    listening: list[str]
    outputs: dict[str, str]
    recent: list[EventRow]
    logs: dict[str, str]


class ExplainLine(TypedDict):
    at: float
    seq: int
    text: str
    cause: str


class ExplainResult(TypedDict):
    service: ServiceRow
    #: one sentence: why it is as it is
    verdict: str
    #: the chain of causes, nearest first: this unit, what it waits for, what that waits for …
    chain: list[str]
    story: list[ExplainLine]
    hints: list[str]


class GraphNode(TypedDict):
    name: str
    stack: str
    kind: str
    state: str
    wave: int
    #: seconds from being able to start to being ready; null when it is not
    took_seconds: float | None
    critical: bool


class GraphEdge(TypedDict):
    source: str
    target: str
    condition: str
    required: bool
    implied: bool


class GraphResult(TypedDict):
    nodes: list[GraphNode]
    #: source depends on target
    edges: list[GraphEdge]
    critical_path: list[str]
    critical_seconds: float


class TopRow(TypedDict):
    name: str
    stack: str
    pid: int | None
    processes: int
    cpu_percent: float | None
    memory_bytes: int | None
    state: str
    uptime_seconds: float | None


class TopResult(TypedDict):
    services: list[TopRow]
    daemon_cpu_percent: float | None
    daemon_memory_bytes: int | None


class LogLine(TypedDict):
    service: str
    stream: str
    at: float
    epoch: int
    text: str


class LogsResult(TypedDict):
    lines: list[LogLine]
    gaps: list[str]


class TextLines(TypedDict):
    lines: list[str]


class DaemonStatus(TypedDict):
    pid: int
    url: str
    version: str
    state_dir: str
    protocol: int
    uptime_seconds: float
    started_at: float
    services: int
    running: int
    connections: int
    #: "" or why changes are refused
    read_only: str
    executors: list[str]
    keeper_pid: int | None
    problems: list[str]
    certificate_expires: float | None


class Hello(TypedDict):
    version: str
    protocol: int
    role: str
    capabilities: list[str]
    api_version: str


class EventsResult(TypedDict):
    events: list[EventRow]
    first_seq: int
    last_seq: int


class TokenRow(TypedDict):
    id: str
    name: str
    role: str
    created: float
    expires: float | None
    last_used: float | None
    revoked: bool


class TokensResult(TypedDict):
    tokens: list[TokenRow]


class TokenSecret(TypedDict):
    id: str
    #: shown once, never stored
    token: str
    #: harness://host:port/#h1.<pin>.<token>
    connection: str


class CertStatus(TypedDict):
    subject_names: list[str]
    not_before: float
    not_after: float
    pin: str
    ca_path: str
    renewed: bool


class PluginRow(TypedDict):
    name: str
    distribution: str
    version: str
    types: list[str]
    status: str  # "ok" or "broken"
    problem: str


class PluginsResult(TypedDict):
    plugins: list[PluginRow]


class CheckRow(TypedDict):
    name: str
    status: str  # "ok", "warning", "problem"
    detail: str
    hint: str


class DoctorResult(TypedDict):
    checks: list[CheckRow]


class SchemaResult(TypedDict):
    json_schema: dict[str, Any]


class TaskRow(TypedDict):
    name: str
    stack: str
    state: str
    run: str
    done: bool
    done_at: float | None
    exit: ExitInfo | None
    outputs: dict[str, str]
    fingerprint: str


class TasksResult(TypedDict):
    tasks: list[TaskRow]


class EnvResult(TypedDict):
    #: values of the daemon's environment; those of secrets as "***"; null where unset
    values: dict[str, str | None]


class ExecResult(TypedDict):
    exit: ExitInfo


class Done(TypedDict):
    ok: bool
    message: str


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked of a daemon."""

    name: str
    role: Role
    request: type
    response: Any
    summary: str
    #: a stream sends ``item`` notifications and ends with ``response``; ``bytes`` marks binary frames
    item: Any = None
    #: changes something: audited, refused while the disk cannot be written
    mutates: bool = False

    @property
    def streams(self) -> bool:
        return self.item is not None


OPERATIONS: dict[str, Operation] = {
    op.name: op
    for op in (
        Operation("hello", Role.VIEWER, Nothing, Hello, "versions, role and capabilities"),
        Operation("daemon.status", Role.VIEWER, Nothing, DaemonStatus, "the daemon itself"),
        Operation("daemon.stop", Role.ADMIN, StopDaemon, Done, "end the daemon; services stay", mutates=True),
        Operation("daemon.logs", Role.ADMIN, DaemonLogs, Done, "the daemon's own log", item=TextLines),
        Operation("daemon.env", Role.ADMIN, EnvNames, EnvResult, "named variables of the daemon's environment"),
        Operation("stack.validate", Role.OPERATOR, ValidateStack, ValidateResult, "check a stack file"),
        Operation("stack.plan", Role.OPERATOR, PlanStack, PlanResult, "what starting this file would do"),
        Operation(
            "stack.start", Role.ADMIN, StartStack, OperationResult, "define and start a stack", FollowItem, mutates=True
        ),
        Operation("stack.forget", Role.OPERATOR, StackName, Done, "remove a stopped stack's record", mutates=True),
        Operation("service.start", Role.OPERATOR, Act, OperationResult, "start units", FollowItem, mutates=True),
        Operation("service.stop", Role.OPERATOR, Act, OperationResult, "stop units", FollowItem, mutates=True),
        Operation("service.restart", Role.OPERATOR, Act, OperationResult, "restart units", FollowItem, mutates=True),
        Operation("service.wait", Role.VIEWER, Wait, OperationResult, "wait for a condition", FollowItem),
        Operation("service.affected", Role.VIEWER, Act, PlanResult, "what stopping these would stop besides"),
        Operation("service.adopt", Role.ADMIN, Adopt, Done, "take over a running process", mutates=True),
        Operation("service.forget", Role.OPERATOR, Name, Done, "give up without stopping", mutates=True),
        Operation("task.run", Role.OPERATOR, RunTask, OperationResult, "run tasks", FollowItem, mutates=True),
        Operation("task.list", Role.VIEWER, Select, TasksResult, "tasks and whether they are done"),
        Operation("status", Role.VIEWER, Select, StatusResult, "all units as they are"),
        Operation("status.follow", Role.VIEWER, Follow, Done, "a snapshot, then every change", FollowItem),
        Operation("describe", Role.VIEWER, Name, DescribeResult, "everything about one unit"),
        Operation("explain", Role.VIEWER, Name, ExplainResult, "why a unit is as it is"),
        Operation("graph", Role.VIEWER, Graph, GraphResult, "the dependency graph"),
        Operation("top", Role.VIEWER, Top, Done, "processor time and memory, live", TopResult),
        Operation("events", Role.VIEWER, Events, EventsResult, "the journal"),
        Operation("events.follow", Role.VIEWER, Events, EventsResult, "the journal, then live", EventRow),
        Operation("logs", Role.LOGS, Logs, LogsResult, "stored lines, at most 10,000"),
        Operation("logs.follow", Role.LOGS, Logs, LogsResult, "output as raw bytes, stored then live", bytes),
        Operation("logs.clear", Role.OPERATOR, Select, Done, "drop stored output", mutates=True),
        Operation("exec", Role.ADMIN, Exec, ExecResult, "run a command in a unit's context", bytes, mutates=True),
        Operation("token.create", Role.ADMIN, CreateToken, TokenSecret, "a new token", mutates=True),
        Operation("token.list", Role.ADMIN, Nothing, TokensResult, "tokens, without their secrets"),
        Operation("token.revoke", Role.ADMIN, TokenId, Done, "end a token now", mutates=True),
        Operation("cert.status", Role.VIEWER, Nothing, CertStatus, "the daemon's certificate"),
        Operation("cert.rotate", Role.ADMIN, Nothing, CertStatus, "a new certificate now", mutates=True),
        Operation("plugins", Role.VIEWER, Nothing, PluginsResult, "installed plugins, the broken ones named"),
        Operation("schema", Role.VIEWER, Nothing, SchemaResult, "the JSON Schema of stack files"),
        Operation("doctor", Role.VIEWER, Nothing, DoctorResult, "checks of the daemon's side"),
    )
}
