"""Durations and sizes as people write them, and the base of every model of the stack file."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Duration", "Model", "Size", "parse_duration", "parse_size"]

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_NUMBER = re.compile(r"\s*\d+(?:\.\d+)?\s*")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 10 * 365 * 86400
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", re.IGNORECASE)
_SIZE_UNITS = {"": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("", 1000), ("i", 1024))
}


def parse_duration(value: object) -> float:
    """Seconds from ``30``, ``"30s"``, ``"1m30s"``, ``"500ms"``, ``"2h"``. Raises ``ValueError`` with an example."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= _LONGEST else math.inf
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        seconds = float(value)
    elif isinstance(value, str) and value.strip():
        seconds, at = 0.0, 0
        while at < len(value):
            match = _DURATION.match(value, at)
            if match is None:
                raise ValueError(f"{value!r} is not a duration; write for example 30s, 1m30s or 500ms")
            seconds += float(match[1]) * _DURATION_UNITS[match[2]]
            at = match.end()
    else:
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 1m30s or 500ms")
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{value!r} is out of range for a duration")
    return seconds


def parse_size(value: object) -> int:
    """Bytes from ``1048576``, ``"512MiB"``, ``"2G"``. Raises ``ValueError`` with an example."""
    if isinstance(value, int) and not isinstance(value, bool):
        size: float = value
    else:
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{value!r} is not a size; write for example 512MiB or 2G")
        size = float(match[1]) * _SIZE_UNITS[(match[2] or "").lower()]
    if not 0 <= size < 2**63:
        raise ValueError(f"{value!r} is out of range for a size")
    return int(size)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=str | float),
    Field(examples=["30s", "1m30s", "500ms"]),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size, json_schema_input_type=str | int),
    Field(examples=["512MiB", "2G"]),
]


class Model(BaseModel):
    """Frozen, and refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    #: JSON Schema of the short form that may stand for the whole mapping
    SHORT: ClassVar[dict[str, Any] | None] = None
