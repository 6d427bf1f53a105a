"""What is asked: one frozen dataclass a kind of request, with the defaults that people expect."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "Act",
    "Adopt",
    "CreateToken",
    "DaemonLogs",
    "EnvNames",
    "Events",
    "Exec",
    "Follow",
    "Graph",
    "Logs",
    "Name",
    "Nothing",
    "PlanStack",
    "RunTask",
    "Select",
    "StackName",
    "StackSource",
    "StartStack",
    "StopDaemon",
    "TokenId",
    "Top",
    "ValidateStack",
    "Wait",
]


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
    """Take over what runs already for a registered, not running service: a process by one of pid, port, pid_file and
    match, or a container by its name or id."""

    pid: int | None = None
    port: int | None = None
    pid_file: str | None = None
    match: str | None = None
    container: str | None = None


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
