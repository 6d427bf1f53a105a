"""A stack file as a person writes it, with its short forms: the only place that knows the names which stand in YAML."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from harness_core.domain.policies import Dependency, LimitsSpec, LogsSpec, PortNumber, PortSpec, RestartSpec, StopSpec
from harness_core.domain.probes import Check
from harness_core.domain.quantities import Duration, Model

__all__ = ["MAX_NAME", "NAME", "HostSpec", "RunWhen", "ServiceFile", "Settings", "StackFile", "TaskFile"]

MAX_NAME = 63
#: names become folders, host names and environment variables, so they are plain
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

#: a port's name stands after a dot in ``${db.ports.http}``, so it holds none
PortName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


def _is_port(value: object) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


class _UnitFile(Model):
    target: dict[str, Any]
    """What is run, by `type`: process, … (`harness plugins` lists the installed types)."""
    dependencies: list[Dependency] = Field(default_factory=list)
    """What must hold before this starts: names, or mappings with a condition."""
    env_file: list[str] = Field(default_factory=list)
    """Files of KEY=value lines, read before `env`; a leading `?` marks one that may be missing."""
    profiles: list[str] = Field(default_factory=list)
    """Start only when one of these profiles is asked for."""
    enabled: bool = True
    """false: shown, but not started."""
    stop: StopSpec = Field(default_factory=StopSpec)
    """How it is asked to end."""
    logs: LogsSpec = Field(default_factory=LogsSpec)
    """How much of its output is kept."""
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    """What it may use of the machine."""
    user: str | None = None
    """Run as this user (the daemon must be allowed to)."""
    labels: dict[str, str] = Field(default_factory=dict)
    """For people and other tools; executors hand them on where they can."""
    description: str = ""
    """A sentence for people."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        changed = dict(value)
        if isinstance(value.get("env_file"), str):
            changed["env_file"] = [value["env_file"]]
        needed = value.get("dependencies")
        if isinstance(needed, dict) and all(isinstance(v, dict) or v is None for v in needed.values()):
            changed["dependencies"] = [{"service": k, **(v or {})} for k, v in needed.items()]
        return changed


class ServiceFile(_UnitFile):
    """A service: it stays up until somebody stops it."""

    service_type: str | None = None
    """The domain daemon's implementation that this service is linked to."""
    ports: dict[PortName, PortSpec] = Field(default_factory=dict)
    """By name; `auto` lets the daemon choose. The first one is `${service.port}`."""
    health_check: Check | None = None
    """How to find out whether it is healthy; without one, running is ready."""
    restart: RestartSpec = Field(default_factory=RestartSpec)
    """What happens when it ends by itself; a word alone is the policy."""
    start_timeout: Duration | None = None
    """How long it may take to become ready; else the stack's setting, else 120 s."""
    gpu: dict[str, Any] | None = None
    """What it needs of a graphics card."""
    provides: list[str] = Field(default_factory=list)
    """Words under which it can be found."""

    @model_validator(mode="before")
    @classmethod
    def _short_ports(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("ports"), list):
            ports = value["ports"]
            if all(_is_port(p) for p in ports):
                return {**value, "ports": {str(p) if p != "auto" else f"port{i}": p for i, p in enumerate(ports)}}
        return value


class RunWhen(StrEnum):
    ON_CHANGE = "on_change"
    ONCE = "once"
    ALWAYS = "always"


class TaskFile(_UnitFile):
    """A task: it runs to completion, once."""

    task_type: str | None = None
    """The domain daemon's implementation that this task is linked to."""
    action: dict[str, Any] | None = None
    """Parameters for the task's implementation, with `type`."""
    run: RunWhen = RunWhen.ON_CHANGE
    """on_change: again when its definition or an input file changed; once: never again; always: at every start."""
    inputs: list[str] = Field(default_factory=list)
    """Files and globs whose contents belong to the task's fingerprint."""
    timeout: Duration | None = None
    """How long it may run; without one, as long as it likes."""
    retries: int = Field(default=0, ge=0, le=1000)
    """How often to try again after a failure."""
    retry_delay: Duration = 1.0
    """Wait before each further try."""

    @model_validator(mode="before")
    @classmethod
    def _without_target(cls, value: Any) -> Any:
        """A task with an implementation in the daemon needs no target of its own."""
        if isinstance(value, dict) and "target" not in value and value.get("task_type") is not None:
            return {**value, "target": {"type": "action"}}
        return value


class Settings(Model):
    """Defaults for all services of the stack."""

    start_timeout: Duration = 120.0
    """How long a service may take to become ready."""
    stop_timeout: Duration | None = None
    """How long a service may take to end before it is killed; else 10 s."""
    autostart: bool = False
    """Start what was wanted up when the daemon starts after the machine was restarted."""
    env: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of every process of the stack."""


def _plain(value: str) -> str:
    # configuration may put either into a command line of a shell's (ProxyCommand), as OpenSSH fears too
    if not re.fullmatch(r"[^\s\x00-\x20\x7f'\"`$\\;&<>|(){}-][^\s\x00-\x20\x7f'\"`$\\;&<>|(){}]*", value):
        raise ValueError("write it without spaces, quotes and signs that a shell knows, and without a leading dash")
    return value


class HostSpec(Model):
    """Another machine, reached over SSH."""

    address: Annotated[str, AfterValidator(_plain)]
    """A name or an address."""
    port: PortNumber = 22
    """Of its SSH server."""
    user: Annotated[str, AfterValidator(_plain)] | None = None
    """Log in as this user."""
    identity_file: str | None = None
    """A private key."""
    known_hosts: str | None = None
    """A file with the host keys that are trusted."""
    jump: str | None = None
    """Another of `hosts` to go through."""
    labels: dict[str, str] = Field(default_factory=dict)
    """For people and other tools."""


class StackFile(Model):
    """One stack, as written. Keys that begin with `x-` are left alone: a place for YAML anchors."""

    name: str
    """Lower-case letters, digits, `.`, `_` and `-`; the stack is called so everywhere."""
    description: str = ""
    """A sentence for people."""
    settings: Settings = Field(default_factory=Settings)
    """Defaults for all that follows."""
    services: dict[str, ServiceFile] = Field(default_factory=dict)
    """By name: what stays up."""
    tasks: dict[str, TaskFile] = Field(default_factory=dict)
    """By name: what runs to its end."""
    hosts: dict[str, HostSpec] = Field(default_factory=dict)
    """By name: other machines."""
