"""What a person writes under ``target:`` with ``type: detached``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DetachedOptions(BaseModel):
    """A process with a holder of its own."""

    # unknown keys are errors with file, line and a suggestion; the docstrings become the schema's descriptions
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    argv: list[str] = Field(min_length=1)
    """The program and its arguments; no shell sees them."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables; the daemon has put them into the start's environment already."""
    working_dir: str | None = None
    """Relative to the stack file's folder, which is the default."""
