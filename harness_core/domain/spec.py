"""One service or task, normalised: no short forms, durations in seconds, dependencies complete.

What a person writes is in ``stackfile.py``; ``loading.py`` makes this of it. Strings may still hold ``${service.…}``
references, which get their values when the unit starts; variables of the environment have been put in already.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness_core.domain.policies import (
    Condition,
    Dependency,
    LimitsSpec,
    LogsSpec,
    OnFull,
    PortSpec,
    RestartPolicy,
    RestartSpec,
    StopSpec,
    signal_number,
)
from harness_core.domain.probes import Check, CommandCheck, FileCheck, HttpCheck, LogCheck, Probe, TcpCheck
from harness_core.domain.quantities import Duration, Size, parse_duration, parse_size
from harness_core.domain.stackfile import MAX_NAME, NAME, HostSpec, RunWhen, ServiceFile, Settings, StackFile, TaskFile
from harness_core.domain.states import Kind

__all__ = [
    "MAX_NAME",
    "NAME",
    "Check",
    "CommandCheck",
    "Condition",
    "Dependency",
    "Duration",
    "Edge",
    "FileCheck",
    "HostSpec",
    "HttpCheck",
    "LimitsSpec",
    "LogCheck",
    "LogsSpec",
    "OnFull",
    "PortSpec",
    "Probe",
    "RestartPolicy",
    "RestartSpec",
    "RunWhen",
    "ServiceFile",
    "Settings",
    "Size",
    "StackFile",
    "StopSpec",
    "TaskFile",
    "TcpCheck",
    "UnitSpec",
    "parse_duration",
    "parse_size",
    "signal_number",
]


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
    hosts: dict[str, HostSpec] = Field(default_factory=dict)
    """By name: the machine that the target names, and those on the way to it."""
    base_dir: str
    """Absolute directory of the stack file."""
    env: dict[str, str] = Field(default_factory=dict)
    """Inherited variables, `settings.env` and the env files' content, in that order; the target's own `env` wins."""
    inherited: tuple[str, ...] = ()
    """Names in `env` whose value came from the caller's session: a new value is no reason for a new instance."""
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
    gpu: dict[str, Any] | None = None
    run: RunWhen = RunWhen.ON_CHANGE
    inputs: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int = 0
    retry_delay: float = 1.0
    digest: str = ""
    """SHA-256 over everything that, when changed, needs a new instance (not over labels, profiles, dependencies,
    restart and stop policy, checks, timeouts, descriptions, inherited variables)."""

    @property
    def key(self) -> str:
        return f"{self.stack}/{self.name}"
