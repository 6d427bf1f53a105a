"""What a plugin answers is checked before it is believed: an executor is foreign code, and the world lives on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import TypeVar

from harness_core.domain.executor import Marker, Running
from harness_core.domain.states import Started
from harness_core.domain.unit import Unit, started_to_json

__all__ = ["BadAnswer", "ask", "marker", "words"]

T = TypeVar("T")


class BadAnswer(Exception):
    """A plugin answered with something that the contract does not know, or not at all."""


async def ask(work: Awaitable[T], *expected: type) -> T:
    """Await a plugin's answer of one of these types.

    Whatever the plugin raises is raised; a cancellation that came from within it, and not from us, is a ``BadAnswer``,
    so that nobody takes it for the end of our own task.
    """
    try:
        answer = await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BadAnswer("it was cancelled from within") from None
    if not isinstance(answer, expected):
        raise BadAnswer(f"it answered with {type(answer).__name__}, not {expected[0].__name__}")
    if isinstance(answer, Started):
        _can_be_stored(answer)
    elif isinstance(answer, Running):
        _can_be_stored(answer.started)
    return answer


def marker(unit: Unit, epoch: int) -> Marker:
    """The identity of one life of a unit, as plugins are told it."""
    return Marker(unit.spec.stack, unit.spec.name, epoch)


def words(error: BaseException) -> str:
    """What a plugin raised, for people."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _can_be_stored(started: object) -> None:
    """A handle that cannot be written down could not be found again, and its row would never reach the disk."""
    if not isinstance(started, Started):
        raise BadAnswer(f"it says that {type(started).__name__} runs")
    try:
        json.dumps(started_to_json(started), allow_nan=False)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadAnswer(f"its handle cannot be stored: {error}") from None
