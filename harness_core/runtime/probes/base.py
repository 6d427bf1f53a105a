"""What all kinds of probes share: the answer, the surroundings they look at, and how a failure is put into words."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness_core.domain.executor import ExecSession
from harness_core.domain.states import Endpoint

__all__ = ["Bounded", "CannotCheck", "Outcome", "ProbeContext", "Probing", "clip", "why"]

MAX_DETAIL = 300
#: a deadline that comes so many seconds too late says more about this process than about the service
LATE = 0.1
_ERRNO = re.compile(r"\[Errno (\d+)\]")
#: C0 and C1 control characters, DEL, and the marks that turn the direction of text
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer. ``ok`` None means that it could not be found out; ``detail`` is a sentence for people."""

    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """The instance that is looked at, as its probes see it."""

    #: by port name, the first one being the service's main port
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    #: where ports are that the endpoints do not know
    host: str = "127.0.0.1"
    #: starts a command in the instance's context; ``None`` where the kind of service runs no commands
    execute: Callable[[Sequence[str]], Awaitable[ExecSession]] | None = None
    base_dir: Path = Path("/")
    #: relative paths of file checks are meant from here; else from ``base_dir``
    working_dir: Path | None = None

    def endpoint(self, port: int | str | None) -> Endpoint:
        """The address behind a port's name or number, the main port for ``None``. Raises ``CannotCheck``."""
        if port is None:
            if not self.endpoints:
                raise CannotCheck("cannot check: the service has no port, and the check names none")
            return next(iter(self.endpoints.values()))
        name = str(port)
        if name in self.endpoints:
            return self.endpoints[name]
        if name.isdecimal() and int(name) < 65536:
            same = (endpoint for endpoint in self.endpoints.values() if endpoint.port == int(name))
            return next(same, Endpoint(self.host, int(name)))
        known = ", ".join(self.endpoints) or "none"
        raise CannotCheck(f"cannot check: the service has no port {name!r}; known: {known}")


class CannotCheck(Exception):
    """The check makes no sense for this service, so that it always fails; the message says why in a sentence."""


class Probing(Protocol):
    """One probe of one life of a service. ``look`` may be called again and again, never twice at a time."""

    @property
    def subject(self) -> str:
        """What is looked at, to begin a sentence with: ``GET http://127.0.0.1:8000/healthz``."""
        ...

    @property
    def reads_output(self) -> bool:
        """Whether new output of the service may change the answer."""
        ...

    async def look(self) -> Outcome:
        """Find out now. Cancelling it leaves nothing behind."""
        ...


class Bounded:
    """A probe with a deadline for the whole of a look; running into it is a failure that says so.

    Unless the deadline itself came late: then it was this process that was away (the machine slept, or somebody
    stopped it), nobody was there to hear the answer, and it is looked once more.
    """

    def __init__(self, probe: Probing, timeout: float) -> None:
        self._probe = probe
        self._timeout = timeout
        self.subject = probe.subject

    @property
    def reads_output(self) -> bool:
        return self._probe.reads_output

    async def look(self) -> Outcome:
        outcome, late = await self._look()
        if late > LATE:
            outcome, _ = await self._look()
        return outcome

    async def _look(self) -> tuple[Outcome, float]:
        """The outcome, and by how many seconds its deadline came too late."""
        loop = asyncio.get_running_loop()
        due, late = loop.time() + self._timeout, 0.0

        def ring() -> None:
            nonlocal late
            late = loop.time() - due

        alarm = loop.call_at(due, ring)
        try:
            async with asyncio.timeout_at(due):
                return await self._probe.look(), 0.0
        except TimeoutError:
            return Outcome(False, f"{self.subject} gave no answer within {self._timeout:g} s"), late
        finally:
            alarm.cancel()


def why(error: OSError) -> str:
    """The reason of a failed connection or file access in words, without Python's decoration."""
    number = error.errno
    if number is None and (match := _ERRNO.search(str(error))):
        # several addresses were tried; asyncio then hides the numbers in the text
        number = int(match[1])
    if number == errno.ECONNREFUSED:
        return "refused"
    if number is None or number not in errno.errorcode:
        return clip(error.strerror or str(error) or type(error).__name__).lower()
    return os.strerror(number).lower()


def clip(text: str, limit: int = MAX_DETAIL) -> str:
    """One line of plain text that fits into a status table, whatever a service answered."""
    flat = _CONTROL.sub(" ", text).strip()
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
