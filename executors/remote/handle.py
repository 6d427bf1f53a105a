"""What survives a daemon's death: on which machine, as which process, and the ways to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from executors.remote.route import Route
from harness_core.domain.states import Endpoint, Handle, Started

__all__ = ["KIND", "RemoteHandle"]

KIND = "remote"


@dataclass(frozen=True, slots=True)
class RemoteHandle:
    """Written as version 1. A later version would have to read this one too."""

    route: Route
    pid: int
    #: the kernel's start time of that process, in its ticks: with the pid and the boot, its identity
    start: str
    #: port and scheme by name
    ports: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, handle: Handle) -> RemoteHandle:
        """Raises ``ValueError`` for a handle that is none of ours."""
        if handle.kind != KIND or handle.version != 1:
            raise ValueError(f"a handle of {handle.kind} version {handle.version}, not of {KIND} version 1")
        data = handle.data
        try:
            ports = data.get("ports", {})
            if not isinstance(ports, Mapping):
                raise TypeError("not a mapping")
            return cls(
                Route.from_data(data["route"]),
                int(str(data["pid"])),
                str(data["start"]),
                {str(name): (int(port), str(scheme)) for name, (port, scheme) in ports.items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a damaged handle: {error}") from None

    def to_started(self) -> Started:
        ports = {name: [port, scheme] for name, (port, scheme) in self.ports.items()}
        data = {"route": self.route.to_data(), "pid": self.pid, "start": self.start, "ports": ports}
        endpoints = {name: Endpoint(self.route.address, port, scheme) for name, (port, scheme) in self.ports.items()}
        return Started(Handle(KIND, data), pid=self.pid, endpoints=endpoints, host=self.route.address)
