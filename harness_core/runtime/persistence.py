"""Between the world and the store: which records changed, and a world from records. No I/O of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness_core.domain.definition import StackDefinition
from harness_core.domain.spec import UnitSpec
from harness_core.domain.store import RecordKey
from harness_core.domain.unit import Unit, unit_from_json, unit_to_json
from harness_core.domain.world import World, dependents_of

__all__ = ["changed_records", "world_from_records"]


def changed_records(old: World, new: World) -> dict[RecordKey, Mapping[str, Any] | None]:
    """What a commit must write so that the store holds ``new`` where it held ``old``."""
    records: dict[RecordKey, Mapping[str, Any] | None] = {}
    if old.stacks is not new.stacks:
        for name, stack in new.stacks.items():
            if old.stacks.get(name) is not stack:
                records["stack", name] = stack.model_dump(mode="json")
        records.update({("stack", name): None for name in old.stacks if name not in new.stacks})
    if old.units is not new.units:
        for key, unit in new.units.items():
            if old.units.get(key) is not unit:
                records["unit", key] = unit_record(unit)
        records.update({("unit", key): None for key in old.units if key not in new.units})
    return records


def unit_record(unit: Unit) -> dict[str, Any]:
    """A unit whose definition is gone from its stack carries it itself."""
    record = unit_to_json(unit)
    if unit.removed:
        record["spec"] = unit.spec.model_dump(mode="json")
    return record


def world_from_records(records: Mapping[RecordKey, Mapping[str, Any]]) -> tuple[World, list[str]]:
    """The world that was stored, and in sentences what of it could not be read."""
    stacks: dict[str, StackDefinition] = {}
    units: dict[str, Unit] = {}
    problems: list[str] = []
    for (kind, key), value in records.items():
        if kind == "stack":
            try:
                stacks[key] = StackDefinition.model_validate(value)
            except ValidationError as error:
                problems.append(f"cannot read the definition of {key}: {error.errors()[0]['msg']}")
    specs = {spec.key: spec for stack in stacks.values() for spec in stack.units.values()}
    for spec in specs.values():
        units[spec.key] = Unit(spec)
    for (kind, key), value in records.items():
        if kind != "unit":
            continue
        try:
            spec = UnitSpec.model_validate(value["spec"]) if "spec" in value else specs[key]
            units[key] = unit_from_json(spec, value)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"cannot read the state of {key}: {error!r}; what runs of it is looked for by its marker")
    return World(stacks, units, dependents_of(units.values())), problems
