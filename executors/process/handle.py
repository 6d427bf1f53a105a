"""What survives a daemon's death about a process: who it is, and whether it is ours by birth or by adoption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness_core.domain.states import Endpoint, Handle, Started
from harness_core.runtime.processes import ProcessIdentity

__all__ = ["KIND", "ProcessHandle", "endpoints_of"]

KIND = "process"


@dataclass(frozen=True, slots=True)
class ProcessHandle:
    """The typed content of a ``Handle`` of this executor."""

    identity: ProcessIdentity
    #: taken over while it ran: not a child of the keeper, without logs
    adopted: bool = False
    cgroups: tuple[str, ...] = ()
    #: what could not be kept of its limits
    notes: tuple[str, ...] = ()
    #: how its output is kept, as the keeper was told
    logs: Mapping[str, object] = field(default_factory=dict)
    #: by port name: host, port, scheme
    endpoints: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, handle: Handle) -> ProcessHandle:
        """Read a handle. Raises ``ValueError`` when it is not one that we wrote."""
        if handle.kind != KIND or handle.version != 1:
            raise ValueError(f"a handle of {handle.kind} version {handle.version}, not of {KIND} version 1")
        try:
            return cls(
                ProcessIdentity.from_data(_object(handle.data["identity"])),
                bool(handle.data.get("adopted", False)),
                _strings(handle.data.get("cgroups", ())),
                _strings(handle.data.get("notes", ())),
                _object(handle.data.get("logs", {})),
                _object(handle.data.get("endpoints", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a damaged handle: {error}") from None

    def to_handle(self) -> Handle:
        data = {
            "identity": self.identity.to_data(),
            "adopted": self.adopted,
            "cgroups": list(self.cgroups),
            "notes": list(self.notes),
            "logs": dict(self.logs),
            "endpoints": dict(self.endpoints),
        }
        return Handle(KIND, data)

    def details(self) -> dict[str, object]:
        """What is particular about it, for people."""
        details: dict[str, object] = {"keeper": not self.adopted}
        if self.adopted:
            details["logs"] = "none: it was taken over while it ran, so its output goes where it went before"
        if self.notes:
            details["limits"] = list(self.notes)
        return details

    def to_started(self) -> Started:
        """A living instance, as the world is told of it."""
        endpoints = {}
        for name, value in self.endpoints.items():
            host, port, scheme = _strings(value)
            endpoints[name] = Endpoint(host, int(port), scheme)
        return Started(self.to_handle(), pid=self.identity.pid, endpoints=endpoints)


def endpoints_of(ports: Mapping[str, int], schemes: Mapping[str, str]) -> dict[str, object]:
    """Where a process of this machine is reached, as a handle keeps it."""
    return {name: ["127.0.0.1", port, schemes.get(name, "http")] for name, port in ports.items()}


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError("not an object")
    return value


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError("not a list")
    return tuple(str(item) for item in value)
