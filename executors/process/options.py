"""The target of a process: what a person writes under ``target:`` with ``type: process``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["ProcessOptions"]


def _text(value: Any) -> Any:
    # YAML reads 8080 and 1.5 as numbers; where a program gets words, that is what was meant
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _umask(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            raise ValueError(f"{value!r} is not a umask; write for example '027'") from None
    if isinstance(value, int):
        # YAML 1.2 reads 027 as twenty-seven; the digits are what was meant
        raise ValueError(f"write the umask in quotes: '{value:03d}'")
    return value


Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | float)]
Umask = Annotated[
    int,
    BeforeValidator(_umask, json_schema_input_type=str),
    Field(ge=0, le=0o777, description="octal digits in quotes, such as '027'"),
]


class ProcessOptions(BaseModel):
    """A process on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    type: Literal["process"] = "process"
    binary: str | None = Field(default=None, min_length=1)
    """A program: a name looked up on PATH, or a path, relative to `working_dir` or else to the stack file."""
    args: list[Text] = Field(default_factory=list)
    """Its arguments, one by one; no shell sees them."""
    shell: str | None = Field(default=None, min_length=1)
    """A command line for `/bin/sh -c`, instead of `binary` and `args`."""
    env: dict[str, Text] = Field(default_factory=dict)
    """Environment variables."""
    working_dir: str | None = Field(default=None, min_length=1)
    """Where it runs, relative to the stack file; default: the stack file's folder."""
    stdin: str | None = Field(default=None, min_length=1)
    """A file that it reads as standard input, relative to `working_dir`; default: nothing."""
    umask: Umask = 0o022
    """What its new files are not permitted."""
    pid_file: str | None = Field(default=None, min_length=1)
    """It goes into the background by itself: `binary` or `shell` only starts it and ends, and this file, relative to
    `working_dir`, then names the process that stays."""
    success_exit_codes: list[Annotated[int, Field(ge=0, le=255)]] = Field(default_factory=lambda: [0])
    """Exit codes that count as success."""

    @model_validator(mode="after")
    def _one_program(self) -> ProcessOptions:
        if (self.binary is None) == (self.shell is None):
            raise ValueError("a process needs either binary (with args) or shell")
        if self.shell is not None and self.args:
            raise ValueError("args go with binary; put them into the shell line")
        return self
