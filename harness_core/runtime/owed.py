"""What is still owed to the disk: kept in memory while the disk refuses, written with the next commit that succeeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness_core.domain.effects import Effect, Forget, Spawn, Stop
from harness_core.domain.events import Event
from harness_core.domain.store import RecordKey
from harness_core.domain.world import World
from harness_core.runtime.persistence import unit_record

__all__ = ["Owed", "is_irreversible"]


def is_irreversible(effect: Effect) -> bool:
    """Whether it must not begin before the row that says so is on disk."""
    return isinstance(effect, (Spawn, Stop, Forget))


@dataclass(slots=True)
class Owed:
    #: records that belong to no unit and no stack
    meta: dict[RecordKey, Mapping[str, Any]] = field(default_factory=dict)
    #: units and stacks whose rows on disk may be other than memory has them
    keys: set[RecordKey] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    #: irreversible effects that wait; each once, however often it was ordered meanwhile
    effects: dict[tuple[type[Effect], str, int], Effect] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.meta or self.keys or self.events)

    def hold(self, effects: Iterable[Effect]) -> None:
        """Keep the irreversible ones of these back. A stop that was ordered twice is begun as it was ordered first."""
        for effect in effects:
            if isinstance(effect, (Spawn, Stop, Forget)):
                self.effects.setdefault((type(effect), effect.key, effect.epoch), effect)

    def records(self, world: World) -> dict[RecordKey, Mapping[str, Any] | None]:
        """The owed rows as ``world`` has them."""
        owed: dict[RecordKey, Mapping[str, Any] | None] = dict(self.meta)
        for kind, key in self.keys:
            if kind == "unit":
                owed[kind, key] = unit_record(world.units[key]) if key in world.units else None
            else:
                stack = world.stacks.get(key)
                owed[kind, key] = None if stack is None else stack.model_dump(mode="json")
        return owed
