"""One service or task as the world holds it: what is wanted, what is, and why. Only ``lifecycle`` makes new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness_core.domain.health import HealthState
from harness_core.domain.spec import RunWhen, UnitSpec
from harness_core.domain.states import (
    ACTIVE,
    Endpoint,
    Exit,
    Handle,
    Health,
    Inside,
    Kind,
    Phase,
    Reason,
    Started,
    Wanted,
)

__all__ = ["Done", "Unit", "started_to_json", "unit_from_json", "unit_to_json"]


@dataclass(frozen=True, slots=True)
class Done:
    """A task's memory of having been done: for which fingerprint, when (wall time), and what it gave."""

    fingerprint: str
    at: float
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    spec: UnitSpec
    wanted: Wanted = Wanted.DOWN
    phase: Phase = Phase.NOT_STARTED
    #: which life this is; news of another one is dropped
    epoch: int = 0
    #: monotonic time of the last change of phase
    since: float = 0.0
    reason: Reason = field(default_factory=Reason)
    #: when, monotonic, something happens by itself; what, follows from the phase
    deadline: float | None = None
    health: HealthState = field(default_factory=HealthState)
    #: the living instance, or the one being looked for
    started: Started | None = None
    started_at: float | None = None
    #: when the dependencies let it go, and when it was ready: their difference is what it cost
    released_at: float | None = None
    ready_at: float | None = None
    #: chosen ports by name, kept from life to life
    ports: Mapping[str, int] = field(default_factory=dict)
    #: how the last instance ended
    exit: Exit | None = None
    #: lives after the first since the user last asked for it
    restarts: int = 0
    #: monotonic times of recent starts, for the restart budget
    starts: tuple[float, ...] = ()
    #: the last back-off without jitter
    delay: float = 0.0
    #: failures of a task so far
    attempts: int = 0
    #: the present instance is to end and a new one to follow
    replace: bool = False
    #: we end the instance because of this; its end counts as a failure for this reason
    verdict: Reason | None = None
    #: seconds of grace that the user asked for, instead of the definition's
    grace: float | None = None
    #: start without looking at the dependencies
    ungated: bool = False
    #: the definition is gone; drop the unit once nothing of it lives
    removed: bool = False
    #: digest of the definition that the present instance was started with
    running_digest: str = ""
    fingerprint: str = ""
    #: run the task although it is done
    rerun: bool = False
    done: Done | None = None
    #: when the stop that is under way began, monotonic: a restarted daemon resumes the grace
    stopping_since: float | None = None
    #: the request that last touched it
    request: str = ""

    @property
    def key(self) -> str:
        return self.spec.key

    @property
    def ready(self) -> bool:
        """Running and healthy (or without a check), or a task that is done."""
        if self.spec.kind is Kind.TASK:
            return self.phase is Phase.COMPLETED
        return self.phase is Phase.RUNNING and self.health.status in (Health.NONE, Health.HEALTHY)

    def succeeded(self, exit_: Exit) -> bool:
        """Whether an end is a good one: exit code 0, or else one of the target's ``success_exit_codes``."""
        codes = self.spec.target.get("success_exit_codes")
        return exit_.success if codes is None else str(exit_.code) in map(str, codes)

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """Where it can be reached, by port name: as the executor says, else the chosen ports on its host."""
        if self.started is not None and self.started.endpoints:
            return self.started.endpoints
        host = self.started.host if self.started is not None else "127.0.0.1"
        return {
            name: Endpoint(host, port, self.spec.ports[name].scheme)
            for name, port in self.ports.items()
            if name in self.spec.ports
        }

    @property
    def outdated(self) -> bool:
        """The instance that there is, or is about to be, was made from an older definition."""
        return self.phase in ACTIVE and self.running_digest not in ("", self.spec.digest)

    @property
    def is_done(self) -> bool:
        """Whether a task need not run: done before, for what it would do now."""
        if self.done is None or self.rerun or self.spec.run is RunWhen.ALWAYS:
            return False
        return self.spec.run is RunWhen.ONCE or self.done.fingerprint == self.fingerprint

    @property
    def outputs(self) -> Mapping[str, str]:
        return self.done.outputs if self.done else {}

    def with_(self, **changes: Any) -> Unit:
        return replace(self, **changes)


def unit_to_json(unit: Unit) -> dict[str, Any]:
    """Everything but the definition, which is stored on its own because it changes seldom."""
    exit_ = unit.exit
    return {
        "wanted": unit.wanted.value,
        "phase": unit.phase.value,
        "epoch": unit.epoch,
        "since": unit.since,
        "reason": _reason_to_json(unit.reason),
        "deadline": unit.deadline,
        "health": unit.health.to_json(),
        "started": started_to_json(unit.started) if unit.started else None,
        "started_at": unit.started_at,
        "released_at": unit.released_at,
        "ready_at": unit.ready_at,
        "ports": dict(unit.ports),
        "exit": None if exit_ is None else [exit_.code, exit_.signal, exit_.oom, exit_.at, exit_.note],
        "restarts": unit.restarts,
        "starts": list(unit.starts),
        "delay": unit.delay,
        "attempts": unit.attempts,
        "replace": unit.replace,
        "verdict": _reason_to_json(unit.verdict) if unit.verdict else None,
        "grace": unit.grace,
        "ungated": unit.ungated,
        "removed": unit.removed,
        "running_digest": unit.running_digest,
        "fingerprint": unit.fingerprint,
        "rerun": unit.rerun,
        "done": None if unit.done is None else [unit.done.fingerprint, unit.done.at, dict(unit.done.outputs)],
        "stopping_since": unit.stopping_since,
        "request": unit.request,
    }


def unit_from_json(spec: UnitSpec, value: Mapping[str, Any]) -> Unit:
    """The unit that was stored. Raises ``KeyError``, ``TypeError`` or ``ValueError`` on a record that is none."""
    exit_, done, verdict, started = value["exit"], value["done"], value["verdict"], value["started"]
    return Unit(
        spec=spec,
        wanted=Wanted(value["wanted"]),
        phase=Phase(value["phase"]),
        epoch=int(value["epoch"]),
        since=float(value["since"]),
        reason=Reason(*value["reason"]),
        deadline=value["deadline"],
        health=HealthState.from_json(value["health"]),
        started=_started_from_json(started) if started else None,
        started_at=value["started_at"],
        released_at=value["released_at"],
        ready_at=value["ready_at"],
        ports=dict(value["ports"]),
        exit=None if exit_ is None else Exit(*exit_),
        restarts=int(value["restarts"]),
        starts=tuple(value["starts"]),
        delay=float(value["delay"]),
        attempts=int(value["attempts"]),
        replace=bool(value["replace"]),
        verdict=Reason(*verdict) if verdict else None,
        grace=value["grace"],
        ungated=bool(value["ungated"]),
        removed=bool(value["removed"]),
        running_digest=str(value["running_digest"]),
        fingerprint=str(value["fingerprint"]),
        rerun=bool(value["rerun"]),
        done=Done(*done) if done else None,
        stopping_since=value["stopping_since"],
        request=str(value["request"]),
    )


def _reason_to_json(reason: Reason) -> list[str]:
    return [reason.code, reason.sentence, reason.culprit]


def _endpoints_to_json(endpoints: Mapping[str, Endpoint]) -> dict[str, Any]:
    return {name: [e.host, e.port, e.scheme] for name, e in endpoints.items()}


def _endpoints_from_json(value: Mapping[str, Any]) -> dict[str, Endpoint]:
    return {name: Endpoint(*e) for name, e in value.items()}


def started_to_json(started: Started) -> dict[str, Any]:
    """A living instance as it is stored."""
    inside = started.inside
    return {
        "handle": [started.handle.kind, dict(started.handle.data), started.handle.version],
        "pid": started.pid,
        "container_id": started.container_id,
        "endpoints": _endpoints_to_json(started.endpoints),
        "host": started.host,
        "inside": None
        if inside is None
        else [inside.network, inside.host, inside.ip, _endpoints_to_json(inside.endpoints)],
    }


def _started_from_json(value: Mapping[str, Any]) -> Started:
    inside = value.get("inside")  # records of an older daemon have none
    return Started(
        handle=Handle(*value["handle"]),
        pid=value["pid"],
        container_id=value["container_id"],
        endpoints=_endpoints_from_json(value["endpoints"]),
        host=str(value["host"]),
        inside=None if inside is None else _inside_from_json(*inside),
    )


def _inside_from_json(network: str, host: str, ip: str, endpoints: Mapping[str, Any]) -> Inside:
    return Inside(network, host, ip, _endpoints_from_json(endpoints))
