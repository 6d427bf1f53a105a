"""A unit right before its start, every ``${…}`` replaced by the value it has now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from harness_core.domain.errors import InvalidConfiguration
from harness_core.domain.spec import Check, UnitSpec
from harness_core.domain.substitution import Lookup, resolve

__all__ = ["ResolvedUnit", "resolve_unit", "target_options"]


@dataclass(frozen=True, slots=True)
class ResolvedUnit:
    """The parts of a unit that may hold references, without them."""

    target: dict[str, Any]
    #: complete: what the unit inherits, the stack's and the env files' variables, and the target's own
    env: dict[str, str]
    check: Check | None = None
    action: dict[str, Any] | None = None
    stop_command: str | list[str] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    user: str | None = None


def resolve_unit(spec: UnitSpec, lookup: Lookup) -> ResolvedUnit:
    """Give all references their values; ``lookup(unit, attribute)`` is asked with ``spec.name`` for ``self``.

    Raises ``UnresolvedReference`` that names everything missing, or ``InvalidConfiguration`` when a value that came in
    makes a check invalid. Nothing of the values is repeated in an error.
    """

    def ask(unit: str, attribute: str) -> str:
        return lookup(spec.name if unit == "self" else unit, attribute)

    raw = {
        "target": spec.target,
        "env": spec.env,
        "check": None if spec.check is None else spec.check.model_dump(mode="json", exclude_unset=True),
        "action": spec.action,
        "stop": spec.stop.command,
        "labels": spec.labels,
        "user": spec.user,
    }
    values = resolve(raw, ask)
    own = values["target"].get("env")
    return ResolvedUnit(
        target=values["target"],
        env={**values["env"], **({k: str(v) for k, v in own.items()} if isinstance(own, Mapping) else {})},
        check=None if values["check"] is None else _check(spec.name, values["check"]),
        action=values["action"],
        stop_command=values["stop"],
        labels=values["labels"],
        user=values["user"],
    )


def _check(name: str, value: dict[str, Any]) -> Check:
    try:
        return Check.model_validate(_numbered(value))
    except ValidationError as error:
        places = ", ".join(".".join(str(part) for part in e["loc"]) for e in error.errors(include_input=False))
        raise InvalidConfiguration(
            f"cannot check {name}: its health_check is invalid at {places or 'the top'}"
        ) from None


def _numbered(probe: dict[str, Any]) -> dict[str, Any]:
    """Ports that a reference turned into digits become numbers, as if they had been written so."""
    changed = dict(probe)
    for kind in ("http", "tcp"):
        port = probe[kind].get("port") if isinstance(probe.get(kind), dict) else None
        if isinstance(port, str) and port.isascii() and port.isdecimal():
            changed[kind] = {**probe[kind], "port": int(port)}
    for kind in ("all", "any"):
        if isinstance(probe.get(kind), list):
            changed[kind] = [_numbered(part) for part in probe[kind]]
    return changed


def target_options(model: type[BaseModel], target: Mapping[str, Any]) -> BaseModel:
    """An instance of a plugin's options model. ``type`` is left out unless the model has such a field.

    Raises pydantic's ``ValidationError``.
    """
    if "type" in model.model_fields:
        return model.model_validate(dict(target))
    return model.model_validate({key: value for key, value in target.items() if key != "type"})
