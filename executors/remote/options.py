"""The target of a process on another machine: what a person writes under ``target:`` with ``type: remote``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["RemoteOptions"]


def _text(value: Any) -> Any:
    # YAML reads 8080 and 1.5 as numbers; where a program gets words, that is what was meant
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | float)]
Named = Annotated[str, Field(min_length=1)]


class RemoteOptions(BaseModel):
    """A process on another machine, over SSH; that machine needs a POSIX shell and nothing of harness."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    type: Literal["remote"] = "remote"
    host: Named
    """One of the stack's `hosts`, or a name that `~/.ssh/config` or the network knows."""
    binary: Named
    """A program there: a name looked up on PATH, or a path, relative to `working_dir`."""
    args: list[Text] = Field(default_factory=list)
    """Its arguments, one by one; no shell reads them."""
    env: dict[str, Text] = Field(default_factory=dict)
    """Environment variables, put over those of a login there."""
    working_dir: Named | None = None
    """Where it runs there, relative to the home directory, which is the default."""
    user: Named | None = None
    """Log in as this user, instead of the host's."""
    success_exit_codes: list[Annotated[int, Field(ge=0, le=255)]] = Field(default_factory=lambda: [0])
    """Exit codes that count as success."""
