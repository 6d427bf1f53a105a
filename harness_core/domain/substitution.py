"""Putting values in for ``${…}``, everywhere a string stands in nested lists and mappings, in two stages.

When a file is loaded, variables of the environment are put in; when a unit starts, the values of other units. Between
the stages a string is still a template, so what a variable brought in is escaped and never read as a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness_core.domain.references import (
    EnvReference,
    Template,
    UnitReference,
    UnresolvedReference,
    parse,
    write,
)

__all__ = ["Found", "Lookup", "MissingVariable", "find", "resolve", "substitute_environment"]


@dataclass(frozen=True, slots=True)
class Found:
    """A reference inside a nested value, and the path of the string that holds it."""

    path: tuple[str | int, ...]
    reference: EnvReference | UnitReference


@dataclass(frozen=True, slots=True)
class MissingVariable:
    """A variable that is not set although a string needs it. Positions count in that string."""

    path: tuple[str | int, ...]
    name: str
    message: str | None
    start: int
    end: int


#: ``lookup(unit, attribute)`` gives the value now, or raises ``UnresolvedReference`` naming what is missing
Lookup = Callable[[str, str], str]


def _strings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        if "${" in value:
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _strings(item, (*path, index))


def find(value: Any) -> list[Found]:
    """All references in the strings of a nested value. Raises ``BadReference``."""
    return [Found(path, ref) for path, text in _strings(value) for ref in parse(text).references()]


def _mapped(value: Any, change: Callable[[str, tuple[str | int, ...]], str], path: tuple[str | int, ...] = ()) -> Any:
    if isinstance(value, str):
        return change(value, path) if "${" in value else value
    if isinstance(value, Mapping):
        return {key: _mapped(item, change, (*path, key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(item, change, (*path, index)) for index, item in enumerate(value)]
    return value


def substitute_environment(value: Any, env: Mapping[str, str]) -> tuple[Any, list[MissingVariable]]:
    """First stage: put in the variables, everywhere a string stands, and name all that are missing.

    References to units stay, and so do strings that lack a variable. Raises ``BadReference``; check with ``find``
    first where the place of a mistake matters.
    """
    missing: list[MissingVariable] = []

    def change(text: str, path: tuple[str | int, ...]) -> str:
        before = len(missing)
        parts = list(_environment(parse(text), env, path, missing))
        return text if len(missing) > before else write(parts)

    return _mapped(value, change), missing


def _environment(
    template: Template, env: Mapping[str, str], path: tuple[str | int, ...], missing: list[MissingVariable]
) -> Iterator[str | UnitReference]:
    for part in template.parts:
        if not isinstance(part, EnvReference):
            yield part
        elif env.get(part.name) or (part.name in env and part.default is None and part.message is None):
            yield env[part.name]
        elif part.default is not None:
            yield from _environment(part.default, env, path, missing)
        else:
            missing.append(MissingVariable(path, part.name, part.message, part.start, part.end))


def resolve(value: Any, lookup: Lookup) -> Any:
    """Second stage: give every reference to a unit its value, everywhere a string stands.

    Raises ``UnresolvedReference`` that names everything missing, not the first alone.
    """
    failures: dict[str, None] = {}

    def change(text: str, path: tuple[str | int, ...]) -> str:
        values: list[str] = []
        for part in parse(text).parts:
            if isinstance(part, str):
                values.append(part)
            elif isinstance(part, UnitReference):
                try:
                    values.append(lookup(part.unit, part.attribute))
                except UnresolvedReference as error:
                    failures[error.message] = None
            else:
                failures[f"variable {part.name} is not set"] = None
        return "".join(values)

    result = _mapped(value, change)
    if failures:
        raise UnresolvedReference("; ".join(failures), hint="harness status   shows what the units have come to")
    return result
