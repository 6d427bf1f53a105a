"""The target of a compose project: what a person writes under ``target:`` with ``type: compose``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from harness_core.domain.quantities import Duration

__all__ = ["ComposeOptions", "OnStop", "Pull"]

_PROJECT = r"^[a-z0-9][a-z0-9_-]*$"


class Pull(StrEnum):
    """When images are fetched from their registries."""

    MISSING = "missing"
    ALWAYS = "always"


class OnStop(StrEnum):
    """What a stop does with the containers."""

    DOWN = "down"
    STOP = "stop"


def _text(value: Any) -> Any:
    # YAML reads 8080 and 1.5 as numbers; where a variable gets text, that is what was meant
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _alone(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | float)]
Texts = Annotated[list[str], BeforeValidator(_alone, json_schema_input_type=str | list[str])]


class ComposeOptions(BaseModel):
    """A compose project, with all its containers, as one service."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    type: Literal["compose"] = "compose"
    files: Texts = Field(default_factory=list)
    """Compose files, the later ones on top; default: what lies in `working_dir` under the usual names."""
    working_dir: str | None = Field(default=None, min_length=1)
    """The project's folder, relative to the stack file, which is the default."""
    project: str | None = Field(default=None, pattern=_PROJECT)
    """The project's name; one of that name that runs already is taken over. Default: a name of this service's own."""
    services: list[str] = Field(default_factory=list)
    """Only these services of it, and what they depend on."""
    profiles: list[str] = Field(default_factory=list)
    """Profiles of the compose file to be in."""
    env_file: Texts = Field(default_factory=list)
    """Where the compose file's variables come from, instead of the `.env` in its folder."""
    env: dict[str, Text] = Field(default_factory=dict)
    """Variables for the compose file; they win over its env files."""
    build: bool = False
    """Build images anew at each start."""
    pull: Pull = Pull.MISSING
    """When images are fetched: `missing` or `always`."""
    main: str | None = None
    """The service of it that stands for the whole: its end is the end, and commands run in it."""
    on_stop: OnStop = OnStop.DOWN
    """down: containers and networks are removed; stop: they stay, and the next start makes new ones of what changed."""
    remove_volumes: bool = False
    """Remove its volumes, and all that is in them, whenever it is taken down."""
    up_timeout: Annotated[Duration, Field(gt=0, le=1800)] = 120.0
    """How long it may take until all is up, images and health checks of the compose file included."""
    down_timeout: Annotated[Duration, Field(gt=0, le=1800)] = 60.0
    """How long taking it down may take once its containers have ended."""
