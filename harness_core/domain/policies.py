"""The smaller parts of a unit: when it is restarted, how it is stopped, what it may use, what it waits for."""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from harness_core.domain.quantities import Duration, Model, Size

__all__ = [
    "CONDITION_PREFIXES",
    "POLICY_WORDS",
    "Condition",
    "Dependency",
    "LimitsSpec",
    "LogsSpec",
    "OnFull",
    "PortNumber",
    "PortSpec",
    "RestartPolicy",
    "RestartSpec",
    "StopSpec",
    "signal_number",
]


class RestartPolicy(StrEnum):
    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


#: words of other tools for the same things; a user's stop always wins here, so "unless-stopped" is "always"
POLICY_WORDS = {"never": "no", "on_failure": "on-failure", "unless-stopped": "always", "unless_stopped": "always"}


def _policy(value: object) -> object:
    if value is False:
        return "no"
    return POLICY_WORDS.get(value, value) if isinstance(value, str) else value


class RestartSpec(Model):
    """When and how often a service that ended is started again."""

    SHORT: ClassVar[dict[str, Any] | None] = {"enum": [*RestartPolicy, *POLICY_WORDS]}

    policy: Annotated[RestartPolicy, BeforeValidator(_policy)] = RestartPolicy.ON_FAILURE
    """no: never; on-failure: after an exit code other than 0 or a signal; always: also after exit code 0."""
    delay: Duration = 0.5
    """Wait before the first restart; doubled at each further one."""
    max_delay: Duration = 30.0
    """The longest wait between two restarts."""
    reset_after: Duration = 30.0
    """After running this long, the delay starts small again."""
    burst: int = Field(default=5, ge=0, le=10_000)
    """Give up as failed after this many starts within `window`; 0 never gives up."""
    window: Duration = 10.0
    """In which the starts for `burst` are counted."""
    on_unhealthy: bool = False
    """Also restart a service whose health check fails."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value


def signal_number(name: str) -> int:
    """The number of ``TERM``, ``SIGTERM`` or ``15``. Raises ``ValueError`` for anything else."""
    text = name.strip().upper().removeprefix("SIG")
    if text.isascii() and text.isdecimal() and len(text) < 4:
        return int(signal.Signals(int(text)))
    try:
        return int(signal.Signals[f"SIG{text}"])
    except KeyError:
        raise ValueError(f"{name!r} is not the name of a signal") from None


def _signal_name(value: str) -> str:
    try:
        return signal.Signals(signal_number(value)).name.removeprefix("SIG")
    except ValueError:
        known = [s.name.removeprefix("SIG") for s in signal.Signals]
        raise PydanticCustomError("signal", "{shown} is not a signal", {"shown": repr(value), "known": known}) from None


class StopSpec(Model):
    """How a service is asked to end."""

    signal: Annotated[str, AfterValidator(_signal_name)] = "TERM"
    """A name (TERM, INT, …) or a number."""
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
    """Bytes of memory, all its processes together."""
    cpu: float | None = Field(default=None, gt=0, le=100_000)
    """Cores' worth of processor time, 0.5 for half a core."""
    nofile: int | None = Field(default=None, ge=8, le=1 << 30)
    """Open files."""


PortNumber = Annotated[int, Field(ge=1, le=65535)]


class PortSpec(Model):
    """A port the service listens on; `auto` lets the daemon choose a free one."""

    SHORT: ClassVar[dict[str, Any] | None] = {
        "anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 65535}]
    }

    port: PortNumber | Literal["auto"] = "auto"
    """A number, or `auto`; one that was chosen is kept for the service's next lives."""
    scheme: str = Field(default="http", pattern=r"^[a-zA-Z][a-zA-Z0-9+.-]*$")
    """Used to build `${service.url}`."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"port": value} if isinstance(value, (int, str)) and not isinstance(value, bool) else value


class Condition(StrEnum):
    STARTED = "started"
    HEALTHY = "healthy"
    COMPLETED = "completed"
    COMPLETED_SUCCESSFULLY = "completed_successfully"
    LOG_READY = "log_ready"


#: other tools write ``service_healthy`` and ``process_healthy``
CONDITION_PREFIXES = ("service_", "process_")


def _condition(value: object) -> object:
    for prefix in CONDITION_PREFIXES:
        value = value.removeprefix(prefix) if isinstance(value, str) else value
    return value


class Dependency(Model):
    """What must hold before this unit starts. A bare name means the service of that name."""

    SHORT: ClassVar[dict[str, Any] | None] = {"type": "string"}

    service: str | None = None
    """The name of a service; exactly one of `service` and `task` is given."""
    task: str | None = None
    """The name of a task."""
    condition: Annotated[Condition | None, BeforeValidator(_condition)] = None
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
