"""The target of an attachment: what a person writes under ``target:`` with ``type: process-attach``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness_core.domain.spec import RestartPolicy

__all__ = ["ProcessAttachOptions"]

Named = Annotated[str, Field(min_length=1)]


class ProcessAttachOptions(BaseModel):
    """A process that somebody else started: its state, health and logs are followed, and it is never ended."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    #: a process that ended, whatever its exit code, may be started again by whoever started it
    RESTART: ClassVar[RestartPolicy] = RestartPolicy.ALWAYS

    type: Literal["process-attach"] = "process-attach"
    pid: int | None = Field(default=None, ge=1)
    """The process with this id: this one process, and none that gets the same id later."""
    pid_file: Named | None = None
    """The process whose id this file holds, relative to the stack file."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """The process that listens on this TCP port."""
    match: Named | None = None
    """The process with exactly this name, program path, or command line; several are an error."""
    log_file: Named | None = None
    """A file that it writes, followed as its standard output; relative to the stack file."""
    log_files: dict[Literal["stdout", "stderr"], Named] = Field(default_factory=dict)
    """The files that are followed as each of its streams, instead of `log_file`."""

    @model_validator(mode="after")
    def _one_way(self) -> ProcessAttachOptions:
        ways = (self.pid, self.pid_file, self.port, self.match)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("say which process is meant by exactly one of pid, pid_file, port and match")
        if self.log_file is not None and self.log_files:
            raise ValueError("log_file is short for log_files: {stdout: …}; write one of them")
        return self
