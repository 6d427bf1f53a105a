"""What survives a daemon's death about a container, and how the engine's description of one is read."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from executors.docker.command import LABELS, Plan
from harness_core.domain.executor import Marker
from harness_core.domain.states import Endpoint, Exit, Handle, Inside, Started

__all__ = ["KIND", "Container", "DockerHandle", "seconds_of"]

KIND = "docker"
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class DockerHandle:
    """The typed content of a ``Handle`` of this executor."""

    id: str
    #: which engine has it: another one that knows nothing of it proves nothing
    engine: str
    #: of one that was taken over while it ran, and so carries none as a label
    plan: Plan | None = None

    @classmethod
    def of(cls, handle: Handle) -> DockerHandle:
        """Read a handle. Raises ``ValueError`` when it is not one that we wrote."""
        if handle.kind != KIND or handle.version != 1:
            raise ValueError(f"a handle of {handle.kind} version {handle.version}, not of {KIND} version 1")
        try:
            plan = handle.data.get("plan")
            adopted = None if plan is None else Plan.from_label(str(plan))
            return cls(str(handle.data["id"]), str(handle.data["engine"]), adopted)
        except KeyError as error:
            raise ValueError(f"a damaged handle: {error} is missing") from None

    def to_handle(self) -> Handle:
        adopted = {} if self.plan is None else {"plan": self.plan.to_label()}
        return Handle(KIND, {"id": self.id, "engine": self.engine, **adopted})


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine describes it now."""

    raw: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.raw["Id"])

    @property
    def name(self) -> str:
        return str(self.raw["Name"]).lstrip("/")

    @property
    def state(self) -> Mapping[str, Any]:
        state: Mapping[str, Any] = self.raw["State"]
        return state

    @property
    def status(self) -> str:
        """``created``, ``running``, ``paused``, ``restarting``, ``removing``, ``exited`` or ``dead``."""
        return str(self.state.get("Status", ""))

    @property
    def alive(self) -> bool:
        return self.status in ("running", "paused", "restarting")

    @property
    def begun(self) -> bool:
        """Whether its program ever ran."""
        return self.alive or (self.status != "created" and seconds_of(str(self.state.get("StartedAt", ""))) is not None)

    @property
    def shares_network(self) -> bool:
        """Whether it is in its machine's own network, so that its ports are that machine's."""
        return str((self.raw.get("HostConfig") or {}).get("NetworkMode")) == "host"

    @property
    def labels(self) -> Mapping[str, str]:
        return self.raw["Config"].get("Labels") or {}

    def marker(self, instance: str) -> Marker | None:
        """Whose life it is, if it is one of this daemon's."""
        labels = self.labels
        epoch = labels.get(LABELS.EPOCH, "")
        if labels.get(LABELS.INSTANCE) != instance or not epoch.isdecimal():
            return None
        return Marker(labels.get(LABELS.STACK, ""), labels.get(LABELS.SERVICE, ""), int(epoch))

    def plan(self) -> Plan:
        """Raises ``ValueError`` when it carries none."""
        return Plan.from_label(self.labels.get(LABELS.PLAN, ""))

    def exit(self) -> Exit:
        """How it ended. The engine tells an end by a signal as 128 and its number, as shells do."""
        code = self.state.get("ExitCode")
        at = seconds_of(str(self.state.get("FinishedAt", "")))
        return Exit(code=code if isinstance(code, int) else None, oom=bool(self.state.get("OOMKilled")), at=at)

    def started(self, engine: str, host: str) -> Started:
        """A living one, as the world is told of it; ``host`` is where the engine publishes ports."""
        return self.described(DockerHandle(self.id, engine).to_handle(), self.plan(), host)

    def described(self, handle: Handle, plan: Plan, host: str) -> Started:
        """The same of one whose handle and plan are kept elsewhere."""
        networks: Mapping[str, Any] = self.raw["NetworkSettings"].get("Networks") or {}
        ip = next((str(one["IPAddress"]) for one in networks.values() if one.get("IPAddress")), "")
        published: Mapping[str, Any] = self.raw["NetworkSettings"].get("Ports") or {}
        endpoints, inside = {}, {}
        for name, (key, scheme) in plan.ports.items():
            if plan.alias:
                inside[name] = Endpoint(plan.alias, int(key.partition("/")[0]), scheme)
            if self.shares_network:
                endpoints[name] = Endpoint(host, int(key.partition("/")[0]), scheme)
            for binding in (published.get(key) or ())[:1]:
                address = _ANY.get(str(binding["HostIp"]), str(binding["HostIp"]))
                where = host if address.startswith(("127.", "::1")) else address
                endpoints[name] = Endpoint(where, int(binding["HostPort"]), scheme)
        return Started(
            handle,
            pid=self.state.get("Pid") or None,
            container_id=self.id,
            endpoints=endpoints,
            host=host,
            inside=None if self.shares_network else Inside(plan.network, plan.alias, ip, inside),
        )


def seconds_of(stamp: str) -> float | None:
    """Wall time of the engine's ``2026-01-02T03:04:05.678Z``; ``None`` for its zero, which means never."""
    whole, _, rest = stamp.rstrip("Z").partition(".")
    try:
        parsed = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    if parsed.tm_year < 1970:
        return None
    return calendar.timegm(parsed) + (float(f"0.{rest}") if rest.isdecimal() else 0.0)
