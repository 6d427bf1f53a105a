"""Which tests an executor gets: those for what it declares to be able to do, and no others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from harness_core.domain.executor import Capabilities
from harness_core.testing.conformance.program import Feature

__all__ = ["needs", "unclaimed"]

Test = TypeVar("Test", bound=Callable[..., Awaitable[None]])
_NEEDS = "__conformance_needs__"


def needs(*features: Feature, able: str = "", unable: str = "") -> Callable[[Test], Test]:
    """Mark a test: it wants these features of the target, and the named field of ``Capabilities`` (or several) to be
    true, or to be false."""

    def mark(test: Test) -> Test:
        setattr(test, _NEEDS, (frozenset(features), tuple(able.split()), tuple(unable.split())))
        return test

    return mark


def unclaimed(suite: type[Any], capabilities: Capabilities, features: frozenset[Feature]) -> list[str]:
    """The names of the suite's tests that want more than is claimed."""
    names = []
    for name in dir(suite):
        wanted, able, unable = getattr(getattr(suite, name), _NEEDS, (frozenset(), (), ()))
        can = all(getattr(capabilities, one) for one in able) and not any(getattr(capabilities, one) for one in unable)
        if not (can and wanted <= features):
            names.append(name)
    return names
