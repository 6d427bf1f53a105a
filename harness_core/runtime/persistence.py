"""Between the world and the store: which records changed, and a world from records. No I/O of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from harness_core.domain.definition import StackDefinition
from harness_core.domain.events import Event
from harness_core.domain.spec import UnitSpec
from harness_core.domain.states import Kind, Phase, Reason, Wanted
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
            if _differs(old.units.get(key), unit):
                records["unit", key] = unit_record(unit)
        records.update({("unit", key): None for key in old.units if key not in new.units})
    return records


def _differs(old: Unit | None, new: Unit) -> bool:
    """Whether the disk must know. That a check came out as before is no reason for a write."""
    if old is None or old is new or old.health.status is not new.health.status:
        return old is not new
    return old.health.proven is not new.health.proven or old != new.with_(health=old.health)


def unit_record(unit: Unit) -> dict[str, Any]:
    """A unit whose definition is gone from its stack carries it itself."""
    record = unit_to_json(unit)
    if unit.removed:
        record["spec"] = unit.spec.model_dump(mode="json")
    return record


def world_from_records(
    records: Mapping[RecordKey, Mapping[str, Any]], last_state: Callable[[str], Event | None]
) -> tuple[World, list[str]]:
    """The world that was stored, and in sentences what of it could not be read.

    Nothing that may run is lost sight of: a unit whose own record is damaged or missing is taken from the journal
    (``last_state`` gives the last change of phase by key), one whose definition cannot be read is kept without it.
    """
    stacks: dict[str, StackDefinition] = {}
    read: dict[str, Unit] = {}
    problems: list[str] = []
    for (kind, key), value in records.items():
        if kind == "stack":
            try:
                stacks[key] = StackDefinition.model_validate(value)
            except ValidationError as error:
                first = error.errors()[0]["msg"]
                problems.append(f"cannot read the definition of {key}: {first}; start its file again")
    specs = {spec.key: spec for stack in stacks.values() for spec in stack.units.values()}
    for (kind, key), value in records.items():
        if kind != "unit":
            continue
        try:
            read[key] = unit_from_json(_spec_of(key, value, specs), value)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"cannot read the state of {key}: {error!r}; what runs of it is looked for by its marker")
    # in the order of the files, whatever the order of the rows
    units = {key: read[key] if key in read else _from_journal(spec, last_state(key)) for key, spec in specs.items()}
    units |= read
    return World(stacks, units, dependents_of(units.values())), problems


def _spec_of(key: str, value: Mapping[str, Any], specs: Mapping[str, UnitSpec]) -> UnitSpec:
    if "spec" in value:
        return UnitSpec.model_validate(value["spec"])
    if key in specs:
        return specs[key]
    # enough to watch and to stop what runs, until its file is started again
    stack, name = key.split("/")
    target = {"type": value["started"]["handle"][0] if value["started"] else ""}
    kind = Kind.TASK if value["fingerprint"] else Kind.SERVICE
    return UnitSpec(stack=stack, name=name, kind=kind, target=target, base_dir="/")


def _from_journal(spec: UnitSpec, event: Event | None) -> Unit:
    """A unit as its last change of phase left it; what may live of it is then sought like after every restart."""
    if event is None:
        return Unit(spec)
    phase = Phase(event.data["to"])
    down = phase in (Phase.NOT_STARTED, Phase.STOPPING, Phase.STOPPED)
    return Unit(
        spec,
        wanted=Wanted.DOWN if down else Wanted.UP,
        # the moment of the next try is not known any more
        phase=Phase.WAITING if phase is Phase.BACKOFF else phase,
        epoch=event.epoch,
        reason=Reason("rebuilt", "its record could not be read; this is what the journal says"),
    )
