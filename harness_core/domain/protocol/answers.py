"""What is answered: one ``TypedDict`` a kind of row or result, so that a client needs no validation library."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

__all__ = [
    "CertStatus",
    "CheckRow",
    "DaemonStatus",
    "DescribeResult",
    "Diagnostic",
    "DoctorResult",
    "Done",
    "EnvResult",
    "EventRow",
    "EventsResult",
    "ExecResult",
    "ExitInfo",
    "ExplainLine",
    "ExplainResult",
    "Failure",
    "FollowItem",
    "GraphEdge",
    "GraphNode",
    "GraphResult",
    "HealthInfo",
    "Hello",
    "LogLine",
    "LogsResult",
    "OperationResult",
    "PlanResult",
    "PlanStep",
    "PluginRow",
    "PluginsResult",
    "SchemaResult",
    "ServiceRow",
    "StackRow",
    "StatusResult",
    "TaskRow",
    "TasksResult",
    "TextLines",
    "TokenRow",
    "TokenSecret",
    "TokensResult",
    "TopResult",
    "TopRow",
    "ValidateResult",
]


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
    """First one with ``snapshot``, then one for each ``event``, or for several ``events`` that became known at once;
    ``rows`` holds the units as they are after it."""

    seq: int
    snapshot: NotRequired[StatusResult]
    event: NotRequired[EventRow]
    events: NotRequired[list[EventRow]]
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
    #: what only executors of its kind can tell (image, networks, the containers of a project), secrets masked
    details: NotRequired[dict[str, Any]]


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
