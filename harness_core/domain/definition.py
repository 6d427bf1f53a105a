"""A stack as the daemon keeps it: what one stack file came to, complete and free of the file."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from harness_core.domain.secrets import is_telling, secrets_in
from harness_core.domain.spec import HostSpec, Settings, UnitSpec

__all__ = ["StackDefinition"]


class StackDefinition(BaseModel):
    """Immutable, and the same again after ``model_validate_json(model_dump_json())``."""

    model_config = ConfigDict(frozen=True)

    name: str
    """The name of this instance, which may differ from the file's for a second checkout."""
    title: str
    """The `name:` of the file."""
    description: str = ""
    base_dir: str
    filename: str
    """As the user wrote it."""
    text_digest: str
    """SHA-256 of the file's text."""
    settings: Settings = Field(default_factory=Settings)
    units: dict[str, UnitSpec] = Field(default_factory=dict)
    """Services and tasks by name, in the order of the file: services first."""
    secrets: tuple[str, ...] = ()
    """Values of the file's secret variables, which may stand anywhere in it and are shown nowhere."""
    hosts: dict[str, HostSpec] = Field(default_factory=dict)

    def hidden(self, outputs: Mapping[str, Mapping[str, str]] | None = None) -> list[str]:
        """All secret values that are known of this stack, and of its tasks' ``outputs``, the longest first."""
        definition = self.model_dump(mode="json", include={"settings", "units"})
        known = {*filter(is_telling, self.secrets), *secrets_in(definition), *secrets_in(outputs or {})}
        return sorted(known, key=lambda secret: (-len(secret), secret))
