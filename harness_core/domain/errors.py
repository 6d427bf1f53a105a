"""Every error a person can meet, as one tree; the exit code belongs to the class.

Wording: lower case, "cannot X: why", and the next step in ``hint``. ``Fault.THEIRS`` is the service's or the user's
doing; ``Fault.OURS`` counts against us and is logged with its traceback under the request's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar

__all__ = [
    "Conflict",
    "DaemonUnreachable",
    "ExecNotStarted",
    "ExitCode",
    "HarnessError",
    "InternalError",
    "InvalidConfiguration",
    "NotAllowed",
    "NotFound",
    "OperationFailed",
    "Overloaded",
    "ReadOnly",
    "TimedOut",
    "UsageError",
    "error_from_wire",
]


class ExitCode(IntEnum):
    """The exit codes of the command line; they are part of the interface and never change meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    AUTHENTICATION = 4
    UNREACHABLE = 5
    CONFLICT = 6
    NOT_FOUND = 7
    TIMEOUT = 8
    EXEC = 125
    INTERRUPTED = 130


class HarnessError(Exception):
    """Base of all. ``message`` says what could not be done and why; ``hint`` what to do next."""

    code: ClassVar[str] = "failed"
    #: JSON-RPC error number; the range -32000 … -32099 is the application's
    number: ClassVar[int] = -32000
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "", data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        #: machine-readable particulars, JSON values only
        self.data: dict[str, Any] = dict(data or {})

    def to_wire(self) -> dict[str, Any]:
        """The JSON-RPC error object; never a traceback."""
        body: dict[str, Any] = {"code": self.code, "hint": self.hint}
        if self.data:
            body["detail"] = self.data
        return {"code": self.number, "message": self.message, "data": body}


class OperationFailed(HarnessError):
    """A service failed, is unhealthy, or would not stop."""


class UsageError(HarnessError):
    """The request itself makes no sense: an ambiguous name, options that exclude each other."""

    code = "usage"
    number = -32602
    exit_code = ExitCode.USAGE


class InvalidConfiguration(HarnessError):
    """A stack file or a setting is wrong; ``data["diagnostics"]`` lists every finding with its place."""

    code = "invalid-configuration"
    number = -32001
    exit_code = ExitCode.CONFIGURATION


class NotAllowed(HarnessError):
    """No credential, a wrong one, a role too low, or a certificate that cannot be trusted."""

    code = "not-allowed"
    number = -32002
    exit_code = ExitCode.AUTHENTICATION


class DaemonUnreachable(HarnessError):
    """No daemon answers; nothing is known about the services, which go on without it."""

    code = "daemon-unreachable"
    number = -32003
    exit_code = ExitCode.UNREACHABLE


class Conflict(HarnessError):
    """A port, a lock, a name or a device is in other hands; ``data["holders"]`` names them where known."""

    code = "conflict"
    number = -32004
    exit_code = ExitCode.CONFLICT


class NotFound(HarnessError):
    """No such stack, service, task or operation; ``data["did_you_mean"]`` may offer one."""

    code = "not-found"
    number = -32005
    exit_code = ExitCode.NOT_FOUND


class TimedOut(HarnessError):
    """The wait ended, not the work: nothing was undone."""

    code = "timeout"
    number = -32006
    exit_code = ExitCode.TIMEOUT


class ExecNotStarted(HarnessError):
    """The command of an ``exec`` or ``run`` could not be started at all."""

    code = "exec-not-started"
    number = -32007
    exit_code = ExitCode.EXEC


class ReadOnly(HarnessError):
    """State cannot be written at the moment (disk full, say): changes are refused, reading and services go on."""

    code = "read-only"
    number = -32008


class Overloaded(HarnessError):
    """Too many requests, connections or subscriptions; try again after ``data["retry_after"]`` seconds."""

    code = "overloaded"
    number = -32009


class InternalError(HarnessError):
    """A defect of ours; the daemon's log holds the traceback under the request's id."""

    code = "internal"
    number = -32603


_BY_CODE: dict[str, type[HarnessError]] = {
    cls.code: cls
    for cls in (
        OperationFailed,
        UsageError,
        InvalidConfiguration,
        NotAllowed,
        DaemonUnreachable,
        Conflict,
        NotFound,
        TimedOut,
        ExecNotStarted,
        ReadOnly,
        Overloaded,
        InternalError,
    )
}


def error_from_wire(error: Mapping[str, Any]) -> HarnessError:
    """Rebuild the error that a daemon sent; an unknown code of a newer daemon becomes ``OperationFailed``."""
    body = error.get("data")
    data: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    cls = _BY_CODE.get(str(data.get("code", "")), OperationFailed)
    detail = data.get("detail")
    return cls(
        str(error.get("message", "the daemon gave no message")),
        hint=str(data.get("hint", "")),
        data=detail if isinstance(detail, Mapping) else None,
    )
