"""Several probes taken together: all of them, or any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness_core.runtime.probes.base import Outcome, Probing

__all__ = ["AllProbe", "AnyProbe"]


class _Composite:
    word = ""

    def __init__(self, parts: Sequence[Probing]) -> None:
        self._parts = parts
        self.subject = f"{self.word} of {len(parts)} checks"

    @property
    def reads_output(self) -> bool:
        return any(part.reads_output for part in self._parts)

    async def _outcomes(self, decisive: bool) -> list[Outcome]:
        """The parts' answers in their order; what still runs when a decisive one is there is given up."""
        outcomes: dict[int, Outcome] = {}

        async def look(place: int, part: Probing) -> None:
            outcomes[place] = await part.look()
            if outcomes[place].ok is decisive:
                for task in tasks:
                    if task is not asyncio.current_task():
                        task.cancel()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(look(place, part)) for place, part in enumerate(self._parts)]
        return [outcomes[place] for place in sorted(outcomes)]


class AllProbe(_Composite):
    """Succeeds when every part does. One part that cannot be known makes the whole unknown, unless one has failed."""

    word = "all"

    async def look(self) -> Outcome:
        outcomes = await self._outcomes(decisive=False)
        return _first(outcomes, False) or _first(outcomes, None) or Outcome(True, _together(outcomes))


class AnyProbe(_Composite):
    """Succeeds as soon as one part does. Otherwise one part that cannot be known makes the whole unknown."""

    word = "any"

    async def look(self) -> Outcome:
        outcomes = await self._outcomes(decisive=True)
        if good := _first(outcomes, True):
            return good
        return Outcome(None if _first(outcomes, None) else False, _together(outcomes))


def _first(outcomes: Sequence[Outcome], ok: bool | None) -> Outcome | None:
    return next((outcome for outcome in outcomes if outcome.ok is ok), None)


def _together(outcomes: Sequence[Outcome]) -> str:
    return "; ".join(dict.fromkeys(outcome.detail for outcome in outcomes))
