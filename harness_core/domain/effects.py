"""What the world wants done or told. Effects are values; the engine carries them out after the state that ordered them
is on disk, and posts what came of each as a stimulus. No effect is without an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness_core.domain.events import EventType

__all__ = ["Effect", "Forget", "Recover", "Spawn", "StartChecks", "Stop", "StopChecks", "Tell", "Watch"]


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start an instance; answered by ``Spawned`` or ``SpawnFailed``. The stored unit is the intent."""

    key: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Wait for the end of the instance; answered by ``Exited`` or ``Lost``."""

    key: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask, wait ``grace`` seconds, kill, verify; answered by ``StopEnded``."""

    key: str
    epoch: int
    grace: float


@dataclass(frozen=True, slots=True)
class Recover:
    """Find out the truth; answered by ``Recovered``."""

    key: str
    epoch: int


@dataclass(frozen=True, slots=True)
class StartChecks:
    """Check the health from now on; each result comes as ``Checked``."""

    key: str
    epoch: int


@dataclass(frozen=True, slots=True)
class StopChecks:
    key: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop what the executor and the logs keep about a unit that is no more; nothing is answered."""

    key: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Tell:
    """An event for the journal, without its place and time."""

    type: EventType
    key: str
    epoch: int
    cause: str = ""
    request: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


Effect = Spawn | Watch | Stop | Recover | StartChecks | StopChecks | Forget | Tell
