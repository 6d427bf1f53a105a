"""What survives a daemon's death about a project: its name, and on whose engine it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from executors.compose.command import Part
from harness_core.domain.states import Endpoint, Handle, Started

__all__ = ["KIND", "ComposeHandle", "front"]

KIND = "compose"


@dataclass(frozen=True, slots=True)
class ComposeHandle:
    """The typed content of a ``Handle`` of this executor."""

    project: str
    #: which engine has it: another one that knows nothing of it proves nothing
    engine: str
    main: str | None = None
    #: by name: port and scheme, as the service's own ``ports`` say
    ports: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, handle: Handle) -> ComposeHandle:
        """Read a handle. Raises ``ValueError`` when it is not one that we wrote."""
        if handle.kind != KIND or handle.version != 1:
            raise ValueError(f"a handle of {handle.kind} version {handle.version}, not of {KIND} version 1")
        data = handle.data
        try:
            ports = data["ports"]
            assert isinstance(ports, Mapping)
            named = {str(name): (int(port), str(scheme)) for name, (port, scheme) in ports.items()}
            main = data["main"]
            return cls(str(data["project"]), str(data["engine"]), None if main is None else str(main), named)
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            raise ValueError(f"a damaged handle: {error}") from None

    def to_handle(self) -> Handle:
        ports = {name: list(value) for name, value in self.ports.items()}
        data = {"project": self.project, "engine": self.engine, "main": self.main, "ports": ports}
        return Handle(KIND, data)

    def started(self, parts: Sequence[Part], host: str) -> Started:
        """A living project, as the world is told of it; ``host`` is where its engine publishes ports."""
        chosen = front(parts, self.main)
        endpoints = {name: Endpoint(host, port, scheme) for name, (port, scheme) in self.ports.items()}
        for part in sorted(parts, key=lambda part: part is not chosen):
            for inner, port in _published(part):
                name = part.service.lower()
                if name in endpoints:
                    name = f"{name}-{inner}"
                endpoints.setdefault(name, Endpoint(host, port))
        container = None if chosen is None else chosen.container
        return Started(
            self.to_handle(),
            pid=None if container is None else container.state.get("Pid") or None,
            container_id=None if container is None else container.id,
            endpoints=endpoints,
            host=host,
        )


def front(parts: Sequence[Part], main: str | None) -> Part | None:
    """The container that stands for the whole: that of ``main``, or the first one, living ones before others."""
    chosen = [part for part in parts if main is None or part.service == main]
    return min(chosen, key=lambda part: not part.container.alive, default=None)


def _published(part: Part) -> list[tuple[str, int]]:
    """The ports of a container that can be reached from outside: its own number, and the other."""
    ports: Mapping[str, Sequence[Mapping[str, str]] | None] = part.container.raw["NetworkSettings"].get("Ports") or {}
    return [
        (key.partition("/")[0], int(bindings[0]["HostPort"]))
        for key, bindings in sorted(ports.items())
        if bindings and key.endswith("/tcp")
    ]
