"""The models of a stack file: the only place that knows the names which stand in YAML.

Two layers. ``StackFile`` and what it holds is what a person writes, with its short forms. ``UnitSpec`` is one service
or task normalised, as the world keeps it: no short forms, durations in seconds, dependencies complete. Strings in both
may still hold ``${service.…}`` references, which get their values when the unit starts; ``${VARIABLE}`` from the
environment has been replaced already.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from harness_core.domain.states import Kind

__all__ = [
    "MAX_NAME",
    "NAME",
    "Check",
    "Condition",
    "Dependency",
    "Duration",
    "HostSpec",
    "LimitsSpec",
    "LogsSpec",
    "OnFull",
    "PortSpec",
    "RestartPolicy",
    "RestartSpec",
    "RunWhen",
    "ServiceFile",
    "Settings",
    "Size",
    "StackFile",
    "StopSpec",
    "TaskFile",
    "UnitSpec",
    "parse_duration",
    "parse_size",
]

MAX_NAME = 63
#: names become folders, host names and environment variables, so they are plain
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", re.IGNORECASE)
_SIZE_UNITS = {"": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("", 1000), ("i", 1024))
}


def parse_duration(value: object) -> float:
    """Seconds from ``30``, ``"30s"``, ``"1m30s"``, ``"500ms"``, ``"2h"``. Raises ``ValueError`` with an example."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and value.strip():
        seconds, at = 0.0, 0
        while at < len(value):
            match = _DURATION.match(value, at)
            if match is None:
                raise ValueError(f"{value!r} is not a duration; write for example 30s, 1m30s or 500ms")
            seconds += float(match[1]) * _DURATION_UNITS[match[2] or "s"]
            at = match.end()
    else:
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 1m30s or 500ms")
    if not 0 <= seconds <= 10 * 365 * 86400:
        raise ValueError(f"{value!r} is out of range for a duration")
    return seconds


def parse_size(value: object) -> int:
    """Bytes from ``1048576``, ``"512MiB"``, ``"2G"``. Raises ``ValueError`` with an example."""
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{value!r} is not a size; write for example 512MiB or 2G")
        size = int(float(match[1]) * _SIZE_UNITS[(match[2] or "").lower()])
    if not 0 <= size < 2**63:
        raise ValueError(f"{value!r} is out of range for a size")
    return size


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=str | float),
    Field(description="a duration: 30s, 1m30s, 500ms, or a number of seconds"),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size, json_schema_input_type=str | int),
    Field(description="a size in bytes: 512MiB, 2G, or a number"),
]


class Model(BaseModel):
    """Frozen, and refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RestartPolicy(StrEnum):
    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class RestartSpec(Model):
    """When and how often a service that ended is started again."""

    policy: RestartPolicy = RestartPolicy.ON_FAILURE
    delay: Duration = 0.5
    """Wait before the first restart; doubled at each further one."""
    max_delay: Duration = 30.0
    """The longest wait between two restarts."""
    reset_after: Duration = 30.0
    """After running this long, the delay starts small again."""
    burst: int = Field(default=5, ge=0, le=10_000)
    """Give up as failed after this many starts within `window`; 0 never gives up."""
    window: Duration = 10.0
    on_unhealthy: bool = False
    """Also restart a service whose health check fails."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value


class StopSpec(Model):
    """How a service is asked to end."""

    signal: str = "TERM"
    timeout: Duration = 10.0
    """How long it may take before it is killed."""
    command: str | list[str] | None = None
    """Run this instead of sending the signal, with the service's environment and directory."""


class OnFull(StrEnum):
    BLOCK = "block"
    DROP = "drop"


class LogsSpec(Model):
    """How much output is kept, per stream, and what happens when the disk is full."""

    max_size: Size = 50_000_000
    """Start a new file at this size."""
    max_files: int = Field(default=10, ge=2, le=10_000)
    """Keep this many files; the oldest are removed."""
    on_full: OnFull = OnFull.BLOCK
    """block: the service waits and nothing is lost; drop: output is dropped and the gap counted."""


class LimitsSpec(Model):
    """Resource limits of one instance."""

    memory: Size | None = None
    cpu: float | None = Field(default=None, gt=0)
    """Cores' worth of processor time, 0.5 for half a core."""
    nofile: int | None = Field(default=None, ge=8)
    """Open files."""


class PortSpec(Model):
    """A port the service listens on; `auto` lets the daemon choose a free one."""

    port: int | Literal["auto"] = "auto"
    scheme: str = "http"
    """Used to build `${service.url}`."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"port": value} if isinstance(value, (int, str)) else value


class HttpCheck(Model):
    """GET a path or URL; 200 to 399 is success unless `status` says otherwise. Redirects are not followed."""

    path: str = "/"
    """A path on the service's own address, or a whole URL."""
    port: int | str | None = None
    """A port name or number of this service; its first port when absent."""
    status: list[int | str] | None = None
    """Accepted codes and ranges, such as `[200, "204-299"]`."""
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    """A regular expression that must be found in the first 64 KiB of the answer."""
    verify_tls: bool = True

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class TcpCheck(Model):
    """Connect to a port."""

    port: int | str | None = None
    host: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if value is True:
            return {}
        return {"port": value} if isinstance(value, (int, str)) else value


class CommandCheck(Model):
    """Run a command in the service's context; exit code 0 is success. A string is given to `/bin/sh -c`."""

    run: str | list[str]

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"run": value} if isinstance(value, (str, list)) else value


class LogCheck(Model):
    """Healthy once a line of this life's output matches a regular expression."""

    pattern: str
    stream: Literal["stdout", "stderr", "any"] = "any"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"pattern": value} if isinstance(value, str) else value


class FileCheck(Model):
    """Healthy while a file exists and, with `max_age`, was touched that recently (a heartbeat)."""

    path: str
    max_age: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class Probe(Model):
    """One thing to look at; exactly one key."""

    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: CommandCheck | None = None
    log: LogCheck | None = None
    file: FileCheck | None = None
    all: list[Probe] | None = Field(default=None, min_length=1, max_length=32)
    any: list[Probe] | None = Field(default=None, min_length=1, max_length=32)

    @model_validator(mode="after")
    def _one(self) -> Probe:
        kinds = [k for k in ("http", "tcp", "command", "log", "file", "all", "any") if getattr(self, k) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) if kinds else "none"
            raise ValueError(f"a check has exactly one of http, tcp, command, log, file, all, any; found {found}")
        return self


class Check(Probe):
    """How the service's health is found out, and how the answers are judged."""

    interval: Duration = 10.0
    """Between checks once the service is ready; until then it is looked at about twice a second."""
    timeout: Duration = 2.0
    """For one check as a whole."""
    retries: int = Field(default=3, ge=1)
    """This many failures in a row make it unhealthy."""
    success_threshold: int = Field(default=1, ge=1)
    """This many successes in a row make it healthy."""
    start_period: Duration = 0.0
    """Failures within this time after the start do not count."""
    initial_delay: Duration = 0.0
    """No check before this time after the start."""


class Condition(StrEnum):
    STARTED = "started"
    HEALTHY = "healthy"
    COMPLETED = "completed"
    COMPLETED_SUCCESSFULLY = "completed_successfully"
    LOG_READY = "log_ready"


class Dependency(Model):
    """What must hold before this unit starts. A bare name means the service of that name."""

    service: str | None = None
    task: str | None = None
    condition: Condition | None = None
    """Default: `healthy` for a service with a check, `started` without, `completed_successfully` for a task."""
    required: bool = True
    """false: the start goes on when the dependency fails."""
    restart: bool = False
    """Restart this unit when the dependency was restarted."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"service": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> Dependency:
        if (self.service is None) == (self.task is None):
            raise ValueError("a dependency names either a service or a task")
        return self

    @property
    def name(self) -> str:
        return self.service or self.task or ""


class _UnitFile(Model):
    target: dict[str, Any]
    """What is run, by `type`: process, … (`harness plugins` lists the installed types)."""
    dependencies: list[Dependency] = Field(default_factory=list)
    env_file: list[str] = Field(default_factory=list)
    """Files of KEY=value lines, read before `env`; a leading `?` marks one that may be missing."""
    profiles: list[str] = Field(default_factory=list)
    """Start only when one of these profiles is asked for."""
    enabled: bool = True
    stop: StopSpec = Field(default_factory=StopSpec)
    logs: LogsSpec = Field(default_factory=LogsSpec)
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    user: str | None = None
    """Run as this user (the daemon must be allowed to)."""
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_env_file(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("env_file"), str):
            return {**value, "env_file": [value["env_file"]]}
        return value


class ServiceFile(_UnitFile):
    """A service: it stays up until somebody stops it."""

    service_type: str | None = None
    """The domain daemon's implementation that this service is linked to."""
    ports: dict[str, PortSpec] = Field(default_factory=dict)
    health_check: Check | None = None
    restart: RestartSpec = Field(default_factory=RestartSpec)
    start_timeout: Duration | None = None
    """How long it may take to become ready; else the stack's setting, else 120 s."""
    gpu: dict[str, Any] | None = None
    provides: list[str] = Field(default_factory=list)
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short_ports(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("ports"), list):
            ports = value["ports"]
            if all(isinstance(p, (int, str)) for p in ports):
                return {**value, "ports": {str(p) if p != "auto" else f"port{i}": p for i, p in enumerate(ports)}}
        return value


class RunWhen(StrEnum):
    ON_CHANGE = "on_change"
    ONCE = "once"
    ALWAYS = "always"


class TaskFile(_UnitFile):
    """A task: it runs to completion, once."""

    task_type: str | None = None
    action: dict[str, Any] | None = None
    run: RunWhen = RunWhen.ON_CHANGE
    """on_change: again when its definition or an input file changed; once: never again; always: at every start."""
    inputs: list[str] = Field(default_factory=list)
    """Files and globs whose contents belong to the task's fingerprint."""
    timeout: Duration | None = None
    retries: int = Field(default=0, ge=0, le=1000)
    """How often to try again after a failure."""
    retry_delay: Duration = 1.0
    description: str = ""


class Settings(Model):
    """Defaults for all services of the stack."""

    start_timeout: Duration = 120.0
    stop_timeout: Duration | None = None
    autostart: bool = False
    """Start what was wanted up when the daemon starts after the machine was restarted."""
    env: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of every process of the stack."""


class HostSpec(Model):
    """Another machine, reached over SSH."""

    address: str
    port: int = 22
    user: str | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    jump: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class StackFile(Model):
    """One stack, as written."""

    name: str
    description: str = ""
    settings: Settings = Field(default_factory=Settings)
    services: dict[str, ServiceFile] = Field(default_factory=dict)
    tasks: dict[str, TaskFile] = Field(default_factory=dict)
    hosts: dict[str, HostSpec] = Field(default_factory=dict)


class Edge(BaseModel):
    """A dependency made complete: which unit, which condition, whether it was only implied by a reference."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    condition: Condition
    required: bool = True
    restart: bool = False
    implied: bool = False


class UnitSpec(BaseModel):
    """One service or task, normalised; what the world keeps and the registry stores."""

    model_config = ConfigDict(frozen=True)

    stack: str
    name: str
    kind: Kind
    target: dict[str, Any]
    """With `type`; validated by the plugin's options model at loading and again, resolved, at the start."""
    base_dir: str
    """Absolute directory of the stack file."""
    env: dict[str, str] = Field(default_factory=dict)
    """Inherited variables, `settings.env` and the env files' content, in that order; the target's own `env` wins."""
    edges: tuple[Edge, ...] = ()
    ports: dict[str, PortSpec] = Field(default_factory=dict)
    check: Check | None = None
    restart: RestartSpec = Field(default_factory=RestartSpec)
    stop: StopSpec = Field(default_factory=StopSpec)
    logs: LogsSpec = Field(default_factory=LogsSpec)
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    start_timeout: float = 120.0
    autostart: bool = False
    user: str | None = None
    enabled: bool = True
    profiles: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    provides: tuple[str, ...] = ()
    description: str = ""
    service_type: str | None = None
    task_type: str | None = None
    action: dict[str, Any] | None = None
    run: RunWhen = RunWhen.ON_CHANGE
    inputs: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int = 0
    retry_delay: float = 1.0
    digest: str = ""
    """SHA-256 over everything that, when changed, needs a new instance (not over labels, profiles, dependencies,
    restart policy, checks, descriptions)."""

    @property
    def key(self) -> str:
        return f"{self.stack}/{self.name}"
