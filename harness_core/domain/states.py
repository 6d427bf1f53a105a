"""The words in which everything speaks about a service: phase, health, what is wanted, and how it ended.

Five vocabularies for one idea is how other tools came to contradict themselves; this file is the only one.
Times are seconds. ``now`` and every deadline are monotonic; wall time exists only where a person reads it.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "ACTIVE",
    "SETTLED",
    "Endpoint",
    "Exit",
    "Handle",
    "Health",
    "Inside",
    "Kind",
    "Phase",
    "Reason",
    "Started",
    "Wanted",
]


class Kind(StrEnum):
    """What a unit of a stack is: something that stays, or something that finishes."""

    SERVICE = "service"
    TASK = "task"


class Wanted(StrEnum):
    """What the user asked for. It always wins over restart, adoption and recovery."""

    UP = "up"
    DOWN = "down"


class Phase(StrEnum):
    """Where a unit stands in its life. The lifecycle machine is the only writer."""

    NOT_STARTED = "not_started"
    #: wanted up, but a dependency is not there yet; the reason names it
    WAITING = "waiting"
    #: the intent is recorded and the executor has been asked to start it
    STARTING = "starting"
    SETUP_REQUIRED = "setup_required"
    SETTING_UP = "setting_up"
    RUNNING = "running"
    #: the executor has been asked to stop it
    STOPPING = "stopping"
    STOPPED = "stopped"
    #: it ended and will be started again at the deadline
    BACKOFF = "backoff"
    #: a task, or a service that may end, ended well
    COMPLETED = "completed"
    FAILED = "failed"
    #: a dependency failed; the reason names it
    BLOCKED = "blocked"
    #: the truth cannot be had at the moment; never shown as success
    UNKNOWN = "unknown"


#: An instance exists, may exist, or is being brought into being or out of it.
ACTIVE = frozenset(
    {Phase.STARTING, Phase.SETUP_REQUIRED, Phase.SETTING_UP, Phase.RUNNING, Phase.STOPPING, Phase.UNKNOWN}
)
#: Nothing exists and nothing will happen by itself.
SETTLED = frozenset({Phase.NOT_STARTED, Phase.STOPPED, Phase.COMPLETED, Phase.FAILED})


class Health(StrEnum):
    """What the checks say. ``NONE`` means that no check was asked for."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a unit is where it is: a stable code for programs, a sentence for people, and who is to blame."""

    code: str = ""
    sentence: str = ""
    #: the name of another unit that this one waits for or failed because of
    culprit: str = ""

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Exit:
    """How an instance ended. With neither code nor signal the end is certain but its manner is unknown."""

    code: int | None = None
    signal: int | None = None
    #: the kernel ended it for want of memory
    oom: bool = False
    #: wall time of the end, where it is known
    at: float | None = None
    #: what else is known of it, said behind its manner: ``its container was removed by somebody else``
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether the manner of the end was seen; an unknown end is never a success."""
        return self.code is not None or self.signal is not None

    @property
    def success(self) -> bool:
        """Exit code 0, seen with certainty."""
        return self.code == 0

    def __str__(self) -> str:
        return f"{self.manner}; {self.note}" if self.note else self.manner

    @property
    def manner(self) -> str:
        if self.oom:
            return "killed by the kernel: out of memory"
        if self.signal is not None:
            try:
                return f"killed by {signal.Signals(self.signal).name}"
            except ValueError:
                return f"killed by signal {self.signal}"
        if self.code is not None:
            return f"exit code {self.code}"
        return "exit code unknown"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address under which a service can be reached from the machine on which the daemon runs."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Handle:
    """What an executor needs to find an instance again after the daemon has died.

    ``data`` holds JSON values only and means nothing to anybody but the executor of that ``kind``.
    ``version`` is the executor's own: it must read every version it ever wrote, or report ``Unknown``.
    """

    kind: str
    data: Mapping[str, object]
    version: int = 1


@dataclass(frozen=True, slots=True)
class Inside:
    """How an instance in a network of its own is reached by others that are in there too."""

    #: what that network is called; empty where nobody in it finds anybody by name
    network: str = ""
    host: str = ""
    #: its numeric address there; empty where unknown
    ip: str = ""
    #: by port name, in the order of ``Started.endpoints``; those that are not published as well
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """A living instance, as the executor that started or recovered it describes it."""

    handle: Handle
    pid: int | None = None
    container_id: str | None = None
    #: by port name; the first one is the service's ``${name.port}``
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    host: str = "127.0.0.1"
    #: of one that is not in this machine's own network, such as a container
    inside: Inside | None = None
