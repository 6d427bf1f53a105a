"""What survives a daemon's death about an attachment to a container."""

from __future__ import annotations

from dataclasses import dataclass

from executors.docker.command import Plan
from harness_core.domain.states import Handle

__all__ = ["KIND", "AttachHandle"]

KIND = "docker-attach"


@dataclass(frozen=True, slots=True)
class AttachHandle:
    """The typed content of a ``Handle`` of this executor."""

    id: str
    #: which engine has it: another one that knows nothing of it proves nothing
    engine: str
    #: what a container of ours would carry as a label
    plan: Plan

    @classmethod
    def of(cls, handle: Handle) -> AttachHandle:
        """Read a handle. Raises ``ValueError`` when it is not one that we wrote."""
        if handle.kind != KIND or handle.version != 1:
            raise ValueError(f"a handle of {handle.kind} version {handle.version}, not of {KIND} version 1")
        try:
            return cls(str(handle.data["id"]), str(handle.data["engine"]), Plan.from_label(str(handle.data["plan"])))
        except KeyError as error:
            raise ValueError(f"a damaged handle: {error} is missing") from None

    def to_handle(self) -> Handle:
        return Handle(KIND, {"id": self.id, "engine": self.engine, "plan": self.plan.to_label()})
