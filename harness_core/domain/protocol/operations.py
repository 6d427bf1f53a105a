"""The one table of operations: what can be asked of a daemon, by whom, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from harness_core.domain.protocol.answers import (
    CertStatus,
    DaemonStatus,
    DescribeResult,
    DoctorResult,
    Done,
    EnvResult,
    EventRow,
    EventsResult,
    ExecResult,
    ExplainResult,
    FollowItem,
    GraphResult,
    Hello,
    LogsResult,
    OperationResult,
    PlanResult,
    PluginsResult,
    SchemaResult,
    StatusResult,
    TasksResult,
    TextLines,
    TokenSecret,
    TokensResult,
    TopResult,
    ValidateResult,
)
from harness_core.domain.protocol.requests import (
    Act,
    Adopt,
    CreateToken,
    DaemonLogs,
    EnvNames,
    Events,
    Exec,
    Follow,
    Graph,
    Logs,
    Name,
    Nothing,
    PlanStack,
    RunTask,
    Select,
    StackName,
    StartStack,
    StopDaemon,
    TokenId,
    Top,
    ValidateStack,
    Wait,
)

__all__ = ["OPERATIONS", "Operation", "Role"]


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
