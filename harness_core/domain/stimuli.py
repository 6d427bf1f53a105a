"""What may happen: the only ways in which the world changes. Wishes of users, news of instances, passing time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness_core.domain.definition import StackDefinition
from harness_core.domain.executor import Recovery, StopReport
from harness_core.domain.states import Exit, Started

__all__ = [
    "Apply",
    "Boot",
    "Checked",
    "Exited",
    "Give",
    "Lost",
    "News",
    "Progressed",
    "Recovered",
    "SpawnFailed",
    "Spawned",
    "Stimulus",
    "StopEnded",
    "Taken",
    "TimePassed",
    "WantDown",
    "WantUp",
]


# ── wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class WantUp:
    """Start these units (their dependencies are the caller's business); what is up already stays as it is."""

    keys: tuple[str, ...]
    request: str = ""
    cause: str = "asked to start"
    #: end the present instance and start a new one
    restart: bool = False
    #: run tasks that are done
    rerun: bool = False
    #: do not wait for dependencies
    ungated: bool = False
    #: what each task would do now, as a digest
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WantDown:
    """Stop these units. It wins over everything that would start them."""

    keys: tuple[str, ...]
    request: str = ""
    cause: str = "asked to stop"
    #: seconds between asking and killing, instead of each definition's; 0 kills at once
    grace: float | None = None


@dataclass(frozen=True, slots=True)
class Apply:
    """Define a stack, new or changed, and start ``want`` of it, in one turn."""

    definition: StackDefinition
    want: tuple[str, ...] = ()
    request: str = ""
    #: by unit key, port name: what was chosen for ``auto``
    ports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    rerun: bool = False
    ungated: bool = False


@dataclass(frozen=True, slots=True)
class Give:
    """Give a unit up without touching what runs, or remove a stack whose units are all down."""

    key: str
    request: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """Something that ran already was taken over as this unit's instance."""

    key: str
    started: Started
    request: str = ""


# ── news of one life; of another epoch it is dropped ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Spawned:
    key: str
    epoch: int
    started: Started
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    key: str
    epoch: int
    message: str
    permanent: bool = False
    jitter: float = 0.0
    #: what it is to attach to is not there yet
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Progressed:
    """A start is not at its end yet, and says how far it has come."""

    key: str
    epoch: int
    message: str


@dataclass(frozen=True, slots=True)
class Exited:
    key: str
    epoch: int
    exit: Exit


@dataclass(frozen=True, slots=True)
class StopEnded:
    """A stop came to its end. ``outputs`` are what a task wrote to its output file."""

    key: str
    epoch: int
    report: StopReport
    #: wall time, for the record of a task that is done
    at: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Lost:
    key: str
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Recovered:
    key: str
    epoch: int
    recovery: Recovery


@dataclass(frozen=True, slots=True)
class Checked:
    """One answer of a health check; ``ok`` is None when it could not be found out."""

    key: str
    epoch: int
    ok: bool | None
    detail: str
    seconds: float = 0.0


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Some deadline may have passed; ``now`` says which."""


@dataclass(frozen=True, slots=True)
class Boot:
    """A daemon has loaded this world. ``same_boot`` is false when the machine was restarted since it was written."""

    same_boot: bool
    #: the world was copied from another state directory, whose daemon and instances may live
    copied: bool = False


News = Spawned | SpawnFailed | Progressed | Exited | StopEnded | Lost | Recovered | Checked
Stimulus = WantUp | WantDown | Apply | Give | Taken | News | TimePassed | Boot
