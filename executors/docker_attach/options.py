"""The target of an attachment: what a person writes under ``target:`` with ``type: docker-attach``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness_core.domain.quantities import Model
from harness_core.domain.spec import RestartPolicy

__all__ = ["DockerAttachOptions"]


class DockerAttachOptions(Model):
    """A container that somebody else started: its state, health and logs are followed, and it is never ended."""

    #: a container that ended, whatever its exit code, may be started again by whoever started it
    RESTART: ClassVar[RestartPolicy] = RestartPolicy.ALWAYS

    type: Literal["docker-attach"] = "docker-attach"
    container: str = Field(min_length=1)
    """Its name, its id, or a beginning of its id that fits no other container."""
