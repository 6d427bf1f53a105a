"""What starting a stack file would do, said beforehand. Pure; the same differences decide when it is done."""

from __future__ import annotations

from collections.abc import Sequence

from harness_core.domain import graph
from harness_core.domain.definition import StackDefinition
from harness_core.domain.protocol import PlanStep
from harness_core.domain.spec import RunWhen, UnitSpec
from harness_core.domain.states import ACTIVE, Kind, Wanted
from harness_core.domain.unit import Unit
from harness_core.domain.units import changes
from harness_core.domain.world import World

__all__ = ["plan", "wanted_names"]


def wanted_names(stack: StackDefinition, names: Sequence[str], profiles: Sequence[str]) -> list[str]:
    """Units that a start means: the named ones with what they depend on, or all that are enabled in these profiles."""
    if names:
        return graph.closure(stack.units, names)
    chosen = [
        name
        for name, unit in stack.units.items()
        if unit.enabled and (not unit.profiles or set(unit.profiles) & set(profiles))
    ]
    return graph.closure(stack.units, chosen)


def plan(
    world: World, stack: StackDefinition, names: Sequence[str], profiles: Sequence[str], fingerprints: dict[str, str]
) -> list[PlanStep]:
    """The steps in the order in which they would begin; "keep" for what stays as it is."""
    wanted = set(wanted_names(stack, names, profiles))
    wave_of = {name: index for index, wave in enumerate(graph.waves(stack.units)) for name in wave}
    steps = [
        _step(spec, world.units.get(spec.key), spec.name in wanted, wave_of[spec.name], fingerprints.get(spec.key, ""))
        for spec in stack.units.values()
    ]
    steps.sort(key=lambda step: step["wave"])
    steps = _with_followers(steps, stack)
    gone = [unit for unit in world.of_stack(stack.name) if unit.spec.name not in stack.units]
    removed = [_named(u.spec, "remove", "no longer in the stack file", [], 0) for u in gone]
    return removed + steps


def _step(spec: UnitSpec, unit: Unit | None, wanted: bool, wave: int, fingerprint: str) -> PlanStep:
    differing = changes(unit.spec, spec) if unit else []
    needs_new = unit is not None and unit.running_digest not in ("", spec.digest)
    up = unit is not None and unit.phase in ACTIVE and unit.wanted is Wanted.UP
    if not wanted:
        why = "not enabled" if not spec.enabled else "not asked for"
        return _named(spec, "keep" if up else "skip", why, differing, wave)
    if spec.kind is Kind.TASK:
        return _task_step(spec, unit, differing, wave, fingerprint)
    if up and needs_new:
        why = f"changed: {', '.join(differing)}" if differing else "its instance has an older definition"
        return _named(spec, "restart", why, differing, wave)
    if up:
        why = f"takes over without a restart: {', '.join(differing)}" if differing else "is up and unchanged"
        return _named(spec, "keep", why, differing, wave)
    return _named(spec, "start", "new" if unit is None else "is not running", differing, wave)


def _with_followers(steps: Sequence[PlanStep], stack: StackDefinition) -> list[PlanStep]:
    """Also what asked to be restarted after what is restarted or run. Dependencies come first in ``steps``."""
    anew: set[str] = set()
    found: list[PlanStep] = []
    for step in steps:
        spec = stack.units[step["name"]]
        first = next((edge.name for edge in spec.edges if edge.restart and edge.name in anew), None)
        if first is not None and step["action"] == "keep" and spec.kind is Kind.SERVICE:
            step = _named(spec, "restart", f"restarts after {first}", step["changes"], step["wave"])
        if step["action"] in ("restart", "run"):
            anew.add(spec.name)
        found.append(step)
    return found


def _task_step(spec: UnitSpec, unit: Unit | None, differing: list[str], wave: int, fingerprint: str) -> PlanStep:
    done = unit.done if unit else None
    if done is None:
        return _named(spec, "run", "was never done", differing, wave)
    if spec.run is RunWhen.ALWAYS:
        return _named(spec, "run", "runs at every start", differing, wave)
    if spec.run is RunWhen.ONCE or done.fingerprint == fingerprint:
        return _named(spec, "keep", "done before and unchanged since", differing, wave)
    return _named(spec, "run", "its definition or an input changed", differing, wave)


def _named(spec: UnitSpec, action: str, why: str, differing: list[str], wave: int) -> PlanStep:
    return {
        "name": spec.name,
        "kind": spec.kind.value,
        "action": action,
        "why": why,
        "changes": differing,
        "wave": wave,
    }
