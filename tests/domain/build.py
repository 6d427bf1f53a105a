"""Short ways to make the values that tests of the domain speak about."""

from __future__ import annotations

from typing import Any

from harness_core.domain.definition import StackDefinition
from harness_core.domain.effects import Effect, Tell
from harness_core.domain.spec import Check, Condition, Edge, RestartSpec, Settings, UnitSpec
from harness_core.domain.states import Handle, Kind, Started
from harness_core.domain.stimuli import Apply, Stimulus
from harness_core.domain.unit import Unit
from harness_core.domain.world import World, handle

CHECK = Check.model_validate({"tcp": 1, "interval": 1, "retries": 2})


def service(name: str, *needs: str | Edge, **fields: Any) -> UnitSpec:
    edges = tuple(edge(need) if isinstance(need, str) else need for need in needs)
    fields = {"target": {"type": "mock"}, "base_dir": "/", "edges": edges, "digest": "1"} | fields
    fields.setdefault("restart", RestartSpec())
    return UnitSpec(stack="s", name=name, kind=Kind.SERVICE, **fields)


def task(name: str, *needs: str | Edge, **fields: Any) -> UnitSpec:
    return service(name, *needs, **fields).model_copy(update={"kind": Kind.TASK})


def edge(name: str, condition: Condition = Condition.STARTED, **fields: Any) -> Edge:
    kind = Kind.TASK if condition is Condition.COMPLETED_SUCCESSFULLY else Kind.SERVICE
    return Edge(name=name, kind=kind, condition=condition, **fields)


def stack(*specs: UnitSpec) -> StackDefinition:
    return StackDefinition(
        name="s",
        title="s",
        base_dir="/",
        filename="s.yaml",
        text_digest="",
        settings=Settings(),
        units={spec.name: spec for spec in specs},
    )


def started(pid: int = 7) -> Started:
    return Started(Handle("mock", {"pid": pid}), pid=pid)


class Play:
    """A world and what it ordered so far: stimuli in, effects out, time by hand."""

    def __init__(self, *specs: UnitSpec, want: tuple[str, ...] | None = None, **apply: Any) -> None:
        self.world, self.now = World(), 100.0
        self.effects: list[Effect] = []
        names = [spec.name for spec in specs] if want is None else list(want)
        self.feel(Apply(stack(*specs), tuple(f"s/{name}" for name in names), **apply))

    def feel(self, stimulus: Stimulus) -> list[Effect]:
        """Let something happen; returns what is to be done, without what is only told."""
        self.world, effects = handle(self.world, stimulus, self.now)
        self.effects += effects
        return [effect for effect in effects if not isinstance(effect, Tell)]

    def later(self, seconds: float) -> list[Effect]:
        from harness_core.domain.stimuli import TimePassed

        self.now += seconds
        return self.feel(TimePassed())

    def __getitem__(self, name: str) -> Unit:
        return self.world.units[f"s/{name}"]
