"""What survives a daemon's death: who the process is, and where its service can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness_core.domain.states import Endpoint, Handle, Started
from harness_core.runtime.processes import ProcessIdentity


@dataclass(frozen=True, slots=True)
class DetachedHandle:
    """Written as version 1. A later version would have to read this one too."""

    identity: ProcessIdentity
    ports: Mapping[str, Any]

    @classmethod
    def of(cls, handle: Handle) -> DetachedHandle:
        """Raises ``KeyError`` or ``ValueError`` for a handle that is none of ours."""
        ports = handle.data.get("ports")
        return cls(ProcessIdentity.from_data(handle.data), ports if isinstance(ports, dict) else {})

    def started(self) -> Started:
        endpoints = {name: Endpoint("127.0.0.1", int(port), scheme) for name, (port, scheme) in self.ports.items()}
        handle = Handle("detached", {**self.identity.to_data(), "ports": dict(self.ports)})
        return Started(handle, pid=self.identity.pid, endpoints=endpoints)
