"""Drafts to finished specifications, and what a difference between two of them means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from harness_core.domain.drafts import Draft
from harness_core.domain.hosts import hosts_for
from harness_core.domain.spec import (
    Condition,
    Edge,
    HostSpec,
    RestartPolicy,
    ServiceFile,
    Settings,
    StopSpec,
    TaskFile,
    UnitSpec,
)
from harness_core.domain.states import Kind

__all__ = ["build_unit", "changes", "digest_of"]

#: what an instance is made of: a change of anything here needs a new one
_MADE_OF = {
    "kind",
    "target",
    "base_dir",
    "ports",
    "logs",
    "limits",
    "user",
    "service_type",
    "task_type",
    "action",
    "gpu",
}
#: the file's words for fields that have another name here
_WRITTEN = {"edges": "dependencies", "check": "health_check"}


def build_unit(
    draft: Draft,
    drafts: Mapping[str, Draft],
    *,
    stack: str,
    base_dir: str,
    settings: Settings,
    inherited: Mapping[str, str],
    restart: RestartPolicy | None = None,
    hosts: Mapping[str, HostSpec] | None = None,
) -> UnitSpec:
    """The specification of a draft without errors; ``restart`` is the policy of its target type where none is given."""
    model = draft.model
    assert model is not None
    own = {**settings.env, **draft.env}
    common: dict[str, Any] = {
        "stack": stack,
        "name": draft.name,
        "kind": draft.kind,
        "target": model.target,
        "hosts": hosts_for(model.target, hosts or {}) if draft.target_type == "remote" else {},
        "base_dir": base_dir,
        "env": {**inherited, **own},
        "inherited": tuple(sorted(set(inherited) - set(own))),
        "edges": _edges(draft, drafts),
        "stop": _stop(model.stop, settings),
        "logs": model.logs,
        "limits": model.limits,
        "start_timeout": settings.start_timeout,
        "autostart": settings.autostart,
        "user": model.user,
        "enabled": model.enabled,
        "profiles": tuple(model.profiles),
        "labels": model.labels,
        "description": model.description,
    }
    unit = UnitSpec(**{**common, **(_service(model, restart) if isinstance(model, ServiceFile) else _task(model))})
    return unit.model_copy(update={"digest": digest_of(unit)})


def _service(model: ServiceFile, policy: RestartPolicy | None) -> dict[str, Any]:
    usual = policy is not None and "policy" not in model.restart.model_fields_set
    special: dict[str, Any] = {
        "ports": model.ports,
        "check": model.health_check,
        "restart": model.restart.model_copy(update={"policy": policy}) if usual else model.restart,
        "provides": tuple(model.provides),
        "service_type": model.service_type,
        "gpu": model.gpu,
    }
    return special if model.start_timeout is None else {**special, "start_timeout": model.start_timeout}


def _task(model: TaskFile) -> dict[str, Any]:
    return {
        "task_type": model.task_type,
        "action": model.action,
        "run": model.run,
        "inputs": tuple(model.inputs),
        "timeout": model.timeout,
        "retries": model.retries,
        "retry_delay": model.retry_delay,
    }


def _stop(stop: StopSpec, settings: Settings) -> StopSpec:
    if "timeout" in stop.model_fields_set or settings.stop_timeout is None:
        return stop
    return stop.model_copy(update={"timeout": settings.stop_timeout})


def _edges(draft: Draft, drafts: Mapping[str, Draft]) -> tuple[Edge, ...]:
    """Explicit dependencies, each unit once, then those that references imply."""
    edges: dict[str, Edge] = {}
    for _, given in draft.dependencies:
        other = drafts.get(given.name)
        if other is not None and given.name not in edges and other is not draft:
            edges[given.name] = Edge(
                name=given.name,
                kind=other.kind,
                condition=given.condition or _default_condition(other),
                required=given.required,
                restart=given.restart,
            )
    for use in draft.uses:
        name = use.reference.unit
        other = drafts.get(name)
        if other is not None and name not in edges and other is not draft:
            edges[name] = Edge(name=name, kind=other.kind, condition=_default_condition(other), implied=True)
    return tuple(edges.values())


def _default_condition(other: Draft) -> Condition:
    if other.kind is Kind.TASK:
        return Condition.COMPLETED_SUCCESSFULLY
    checked = isinstance(other.model, ServiceFile) and other.model.health_check is not None
    return Condition.HEALTHY if checked else Condition.STARTED


def digest_of(unit: UnitSpec) -> str:
    """SHA-256 over what an instance is made of, the same for equal units in every process."""
    made_of = unit.model_dump(mode="json", include=_MADE_OF)
    made_of["env"] = {k: v for k, v in unit.env.items() if k not in unit.inherited}
    if unit.hosts:  # left out when empty: the digests of all other units stay what they were
        made_of["hosts"] = {name: host.model_dump(exclude={"labels"}) for name, host in unit.hosts.items()}
    canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def changes(old: UnitSpec, new: UnitSpec) -> list[str]:
    """The dotted keys that differ, sorted: ``["health_check.interval", "target.args"]``. Lists count as one value, and
    variables that only came from the caller's session do not count."""
    before, after = _flat(old), _flat(new)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _flat(unit: UnitSpec) -> dict[str, Any]:
    values = unit.model_dump(mode="json", exclude={"digest", "inherited"})
    values["env"] = {k: v for k, v in unit.env.items() if k not in unit.inherited}
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                walk(f"{prefix}.{key}", item)
        elif value not in (None, {}, []):
            flat[prefix] = value

    for key, value in values.items():
        walk(_WRITTEN.get(key, key), value)
    return flat
