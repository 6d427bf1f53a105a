"""From what a person types to the units that are meant: names, ``stack/name``, stacks and globs. Pure."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from harness_core.domain import graph
from harness_core.domain.errors import NotFound, UsageError
from harness_core.domain.spec import UnitSpec
from harness_core.domain.unit import Unit
from harness_core.domain.world import World

__all__ = ["Selection", "one", "select", "with_dependencies", "with_dependents"]


class Selection(Protocol):
    """Every request that says which units it means."""

    @property
    def names(self) -> list[str]: ...

    @property
    def stack(self) -> str | None: ...

    @property
    def cwd(self) -> str: ...


def select(world: World, names: Sequence[str], *, stack: str | None = None, cwd: str = "") -> list[Unit]:
    """The units that are meant, in the order of their stacks and files; all of them when nothing is named.

    Raises ``NotFound`` with what comes near, ``UsageError`` when a bare name could mean several stacks.
    """
    pool = list(world.units.values())
    if stack is not None:
        if stack not in world.stacks:
            raise _unknown(stack, world.stacks, "stack")
        pool = world.of_stack(stack)
    if not names:
        return pool
    chosen: dict[str, None] = {}
    for name in names:
        chosen.update(dict.fromkeys(unit.key for unit in _matching(world, pool, name, cwd)))
    return [unit for unit in pool if unit.key in chosen]


def one(world: World, name: str, *, stack: str | None = None, cwd: str = "") -> Unit:
    """Exactly one unit."""
    found = select(world, [name], stack=stack, cwd=cwd)
    if len(found) != 1:
        names = ", ".join(unit.key for unit in found[:8])
        raise UsageError(f"{name!r} means {len(found)} units: {names}", hint="name one of them")
    return found[0]


def with_dependencies(world: World, units: Iterable[Unit]) -> list[str]:
    """Keys of the units and of all that they depend on."""
    return _closed(world, units, graph.closure)


def with_dependents(world: World, units: Iterable[Unit]) -> list[str]:
    """Keys of the units and of all that depends on them."""
    return _closed(world, units, graph.dependents_closure)


def _closed(
    world: World, units: Iterable[Unit], close: Callable[[Mapping[str, UnitSpec], Iterable[str]], list[str]]
) -> list[str]:
    keys: list[str] = []
    by_stack: dict[str, list[str]] = {}
    for unit in units:
        by_stack.setdefault(unit.spec.stack, []).append(unit.spec.name)
    for stack, names in by_stack.items():
        specs = {unit.spec.name: unit.spec for unit in world.of_stack(stack)}
        keys += [f"{stack}/{name}" for name in close(specs, names)]
    return keys


def _matching(world: World, pool: list[Unit], name: str, cwd: str) -> list[Unit]:
    if "/" in name:
        found = [unit for unit in pool if fnmatch.fnmatchcase(unit.key, name)]
    elif name in world.stacks:
        found = [unit for unit in pool if unit.spec.stack == name]
        if not world.of_stack(name):
            return found
    elif any(c in name for c in "*?["):
        found = [unit for unit in pool if fnmatch.fnmatchcase(unit.spec.name, name)]
    else:
        found = _bare(world, pool, name, cwd)
    if not found:
        known = [*(unit.spec.name for unit in pool), *world.stacks]
        raise _unknown(name, known, "service, task or stack")
    return found


def _bare(world: World, pool: list[Unit], name: str, cwd: str) -> list[Unit]:
    found = [unit for unit in pool if unit.spec.name == name]
    if len(found) < 2:
        return found
    here = [unit for unit in found if _inside(cwd, unit.spec.base_dir)]
    if here:
        deepest = max(len(unit.spec.base_dir) for unit in here)
        here = [unit for unit in here if len(unit.spec.base_dir) == deepest]
    if len(here) == 1:
        return here
    several = ", ".join(unit.key for unit in found)
    raise UsageError(f"{name!r} is in several stacks: {several}", hint=f"say which: {found[0].key}")


def _inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _unknown(name: str, known: Iterable[str], what: str) -> NotFound:
    near = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    names = sorted(set(known))
    hint = f"did you mean {near[0]!r}?" if near else ""
    if not hint:
        hint = f"known: {', '.join(names[:12])}" if names else "nothing is registered yet: harness start FILE"
    return NotFound(f"no {what} is called {name!r}", hint=hint, data={"did_you_mean": near[0] if near else None})
