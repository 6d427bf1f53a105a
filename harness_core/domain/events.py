"""What is told: the journal's records, each with its place in one total order.

Output lines are not here: they are bytes in segment files, read by cursor. ``seq`` is strictly increasing over the
whole life of a state directory; a reader who has seen ``seq`` N has missed nothing before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Event", "EventType"]


class EventType(StrEnum):
    #: an instance was started (data: pid or container_id, ports)
    STARTED = "started"
    #: an instance ended (data: code, signal, oom, uptime_seconds)
    EXITED = "exited"
    #: a unit changed phase (data: from, to)
    STATE = "state"
    #: the judgement of a health check changed (data: from, to, detail, failures)
    HEALTH = "health"
    #: a task finished, was skipped or failed (data: outputs' names, fingerprint)
    TASK = "task"
    SETUP = "setup"
    ACTION = "action"
    GPU = "gpu"
    #: output was lost or removed (data: stream, from, to, bytes, why)
    LOG_GAP = "log_gap"
    #: a definition was added, changed or removed (data: changes)
    STACK = "stack"
    #: the daemon or its keeper started, stopped, or was out of order
    DAEMON = "daemon"


@dataclass(frozen=True, slots=True)
class Event:
    seq: int
    #: wall time, seconds since 1970, for people only
    at: float
    type: EventType
    #: "stack/name", the bare stack name, or "" for the daemon itself
    service: str = ""
    epoch: int = 0
    #: the sentence that says why
    cause: str = ""
    #: the request that led to it, "" where nobody asked
    request: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": self.at,
            "type": self.type.value,
            "service": self.service,
            "epoch": self.epoch,
            "cause": self.cause,
            "request": self.request,
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Event:
        return cls(
            seq=int(value["seq"]),
            at=float(value["at"]),
            type=EventType(value["type"]),
            service=str(value.get("service", "")),
            epoch=int(value.get("epoch", 0)),
            cause=str(value.get("cause", "")),
            request=str(value.get("request", "")),
            data=dict(value.get("data", {})),
        )
