"""How the health of a service is found out: the models of ``health_check``."""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from harness_core.domain.policies import PortNumber
from harness_core.domain.quantities import Duration, Model
from harness_core.domain.references import holds_reference

__all__ = ["Check", "CommandCheck", "FileCheck", "HttpCheck", "LogCheck", "Probe", "TcpCheck"]

_MAX_PATTERN = 1000
_TEXT: dict[str, Any] = {"type": "string"}


def _compiles(pattern: str) -> str:
    if len(pattern) > _MAX_PATTERN:
        raise ValueError(f"a regular expression may have at most {_MAX_PATTERN} characters")
    if holds_reference(pattern):
        return pattern
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"this is not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class HttpCheck(Model):
    """GET a path or URL; 200 to 399 is success unless `status` says otherwise. Redirects are not followed."""

    SHORT: ClassVar[dict[str, Any] | None] = _TEXT

    path: str = "/"
    """A path on the service's own address, or a whole URL."""
    port: PortNumber | str | None = None
    """A port name or number of this service; its first port when absent."""
    status: list[int | str] | None = None
    """Accepted codes and ranges, such as `[200, "204-299"]`."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with the request."""
    body: Pattern | None = None
    """A regular expression that must be found in the first 64 KiB of the answer."""
    verify_tls: bool = True
    """false: any certificate will do, for a service that made its own."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class TcpCheck(Model):
    """Connect to a port."""

    SHORT: ClassVar[dict[str, Any] | None] = {"type": ["integer", "string", "boolean"]}

    port: PortNumber | str | None = None
    """A port name or number of this service; its first port when absent."""
    host: str | None = None
    """Another address than the service's own."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if value is True:
            return {}
        return {"port": value} if isinstance(value, (int, str)) else value


class CommandCheck(Model):
    """Run a command in the service's context; exit code 0 is success. A string is given to `/bin/sh -c`."""

    SHORT: ClassVar[dict[str, Any] | None] = {"type": ["string", "array"], "items": _TEXT}

    run: str | Annotated[list[str], Field(min_length=1)]
    """A line for the shell, or a program and its arguments."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"run": value} if isinstance(value, (str, list)) else value


class LogCheck(Model):
    """Healthy once a line of this life's output matches a regular expression."""

    SHORT: ClassVar[dict[str, Any] | None] = _TEXT

    pattern: Pattern
    """Searched in each line."""
    stream: Literal["stdout", "stderr", "any"] = "any"
    """Where to look."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"pattern": value} if isinstance(value, str) else value


class FileCheck(Model):
    """Healthy while a file exists and, with `max_age`, was touched that recently (a heartbeat)."""

    SHORT: ClassVar[dict[str, Any] | None] = _TEXT

    path: str
    """Relative to the service's working directory."""
    max_age: Duration | None = None
    """Unhealthy when it was not touched for so long; without one, it is enough that it exists."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class Probe(Model):
    """One thing to look at; exactly one key."""

    http: HttpCheck | None = None
    """Ask a URL."""
    tcp: TcpCheck | None = None
    """Connect to a port."""
    command: CommandCheck | None = None
    """Run a command."""
    log: LogCheck | None = None
    """Wait for a line of output."""
    file: FileCheck | None = None
    """Look at a file."""
    all: list[Probe] | None = Field(default=None, min_length=1, max_length=32)
    """Healthy when all of these are."""
    any: list[Probe] | None = Field(default=None, min_length=1, max_length=32)
    """Healthy when one of these is."""

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
    retries: int = Field(default=3, ge=1, le=1_000_000)
    """This many failures in a row make it unhealthy."""
    success_threshold: int = Field(default=1, ge=1, le=1_000_000)
    """This many successes in a row make it healthy."""
    start_period: Duration = 0.0
    """Failures within this time after the start do not count."""
    initial_delay: Duration = 0.0
    """No check before this time after the start."""
