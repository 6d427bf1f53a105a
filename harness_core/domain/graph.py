"""The dependency graph of one stack: orders, waves, closures, cycles and the critical path.

Everything is a function of ``{name: UnitSpec}`` in the order of the file, which breaks every tie, so that the same file
always gives the same order. Edges to units outside the mapping are ignored, which lets a selection be treated like a
stack. Nothing recurses: a chain of a thousand units is ordinary.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence

from harness_core.domain.errors import InvalidConfiguration
from harness_core.domain.spec import UnitSpec

__all__ = [
    "CycleError",
    "closure",
    "critical_path",
    "cycle_in",
    "dependencies",
    "dependents",
    "dependents_closure",
    "find_cycle",
    "order",
    "reverse_order",
    "waves",
]

Units = Mapping[str, UnitSpec]


class CycleError(InvalidConfiguration):
    """Units depend on each other in a circle; ``path`` begins and ends with the same name."""

    def __init__(self, path: list[str]) -> None:
        super().__init__(f"dependencies form a cycle: {' → '.join(path)}", data={"cycle": path})
        self.path = path


def dependencies(units: Units) -> dict[str, list[str]]:
    """For each unit the units it depends on, each once, in the order of its edges."""
    return {name: list(dict.fromkeys(e.name for e in unit.edges if e.name in units)) for name, unit in units.items()}


def dependents(units: Units) -> dict[str, list[str]]:
    """For each unit the units that depend on it, in the order of the file."""
    found: dict[str, list[str]] = {name: [] for name in units}
    for name, needed in dependencies(units).items():
        for other in needed:
            found[other].append(name)
    return found


def order(units: Units) -> list[str]:
    """Every unit after all it depends on. Raises ``CycleError``."""
    needed, needing = dependencies(units), dependents(units)
    position = {name: index for index, name in enumerate(units)}
    open_edges = {name: len(others) for name, others in needed.items()}
    ready = [position[name] for name, count in open_edges.items() if count == 0]
    names = list(units)
    done: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        done.append(name)
        for other in needing[name]:
            open_edges[other] -= 1
            if open_edges[other] == 0:
                heapq.heappush(ready, position[other])
    if len(done) < len(units):
        raise CycleError(find_cycle(units) or [])
    return done


def reverse_order(units: Units) -> list[str]:
    """Every unit before all it depends on: the order of stopping. Raises ``CycleError``."""
    return order(units)[::-1]


def waves(units: Units) -> list[list[str]]:
    """Units that can start together, wave after wave, each in the order of the file. Raises ``CycleError``."""
    needed = dependencies(units)
    level: dict[str, int] = {}
    for name in order(units):
        level[name] = 1 + max((level[other] for other in needed[name]), default=-1)
    found: list[list[str]] = [[] for _ in range(1 + max(level.values(), default=-1))]
    for name in units:
        found[level[name]].append(name)
    return found


def find_cycle(units: Units) -> list[str] | None:
    """The first cycle as a path that ends where it begins (``["a", "b", "a"]``), or ``None``."""
    return cycle_in(dependencies(units))


def cycle_in(needed: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The same for plain names; every name that is needed must also be a key."""
    done: set[str] = set()
    for root in needed:
        path: list[str] = []
        on_path: set[str] = set()
        pending = [] if root in done else [(root, iter(needed[root]))]
        if pending:
            path.append(root)
            on_path.add(root)
        while pending:
            name, rest = pending[-1]
            other = next(rest, None)
            if other is None:
                pending.pop()
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif other in on_path:
                return [*path[path.index(other) :], other]
            elif other not in done:
                pending.append((other, iter(needed[other])))
                path.append(other)
                on_path.add(other)
    return None


def _reachable(start: Iterable[str], edges: Mapping[str, list[str]]) -> list[str]:
    seen = {name for name in start if name in edges}
    pending = list(seen)
    while pending:
        fresh = [other for other in edges[pending.pop()] if other not in seen]
        seen.update(fresh)
        pending.extend(fresh)
    return [name for name in edges if name in seen]


def closure(units: Units, names: Iterable[str]) -> list[str]:
    """The named units and everything they depend on, in the order of the file."""
    return _reachable(names, dependencies(units))


def dependents_closure(units: Units, names: Iterable[str]) -> list[str]:
    """The named units and everything that depends on them, in the order of the file."""
    return _reachable(names, dependents(units))


def critical_path(units: Units, seconds: Callable[[str], float] | Mapping[str, float]) -> tuple[list[str], float]:
    """The chain that took longest, first unit first, and its duration; units without a figure count as 0.

    ``seconds`` gives each unit's own time from being able to start to being ready. Raises ``CycleError``.
    """
    needed = dependencies(units)
    own = seconds if callable(seconds) else lambda name: seconds.get(name, 0.0)
    total: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for name in order(units):
        slowest = max(needed[name], key=total.__getitem__, default=None)
        before[name] = slowest
        total[name] = own(name) + (total[slowest] if slowest is not None else 0.0)
    last = max(total, key=total.__getitem__, default=None)
    if last is None:
        return [], 0.0
    path: list[str] = []
    step: str | None = last
    while step is not None:
        path.append(step)
        step = before[step]
    return path[::-1], total[last]
