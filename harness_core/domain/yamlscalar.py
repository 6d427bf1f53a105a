"""Plain YAML scalars to values, by the rules of YAML 1.2, keeping the text as written.

The text is kept because a field that wants text gets it as it stands in the file: ``1.10`` given as an argument is
``"1.10"``, not ``"1.1"``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from harness_core.domain.diagnostics import Diagnostics, Place

__all__ = ["MAX_DIGITS", "Scalar", "read_scalar"]

#: longer numbers have no use here, and converting them costs the square of their length
MAX_DIGITS = 300

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
#: what YAML 1.1 takes for a boolean, an octal or base-60 number, or a number with underscores
_OTHERWISE = re.compile(
    r"(?P<boolean>[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)"
    r"|(?P<sixty>[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)"
    r"|(?P<octal>[-+]?0[0-7_]+)"
    r"|(?P<number>[-+]?[1-9][0-9]*_[0-9_]*|0b[01_]+)"
)
_READINGS = {"boolean": "true or false", "sixty": "a base-60 number", "octal": "an octal number", "number": "a number"}

_TAG = "tag:yaml.org,2002:"
_TYPES: dict[str, tuple[type, ...]] = {
    f"{_TAG}int": (int,),
    f"{_TAG}float": (int, float),
    f"{_TAG}bool": (bool,),
    f"{_TAG}null": (type(None),),
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A leaf: its value, and its text as written (without quotes)."""

    value: str | int | float | bool | None
    text: str
    #: not quoted, so that the text alone decided what the value is
    plain: bool = False


def read_scalar(event: Any, place: Place, diagnostics: Diagnostics) -> Scalar:
    """The value of a scalar event; what cannot be read becomes a finding and stays text."""
    text: str = event.value
    tag: str | None = event.tag
    if tag in (None, "!", f"{_TAG}str"):
        plain = tag is None and event.implicit[0]
        return Scalar(_resolve(text, place, diagnostics) if plain else text, text, plain)
    if tag not in _TYPES:
        diagnostics.error("unsafe-tag", "a tag cannot be used here: only plain values are read", place)
        return Scalar(text, text)
    value = _resolve(text, place, diagnostics)
    if type(value) not in _TYPES[tag]:
        diagnostics.error("bad-tag", f"this is not a value of the type '!!{tag.removeprefix(_TAG)}'", place)
    return Scalar(value, text)


def _resolve(text: str, place: Place, diagnostics: Diagnostics) -> str | int | float | bool | None:
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    number = _INTEGER.fullmatch(text) or _BASED.fullmatch(text)
    if number and len(text) > MAX_DIGITS:
        diagnostics.error(
            "huge-number", f"a number of {len(text):,} digits cannot be used; quote it if it is text", place
        )
        return text
    if number:
        return int(text, 10 if _INTEGER.fullmatch(text) else 0)
    if _FLOAT.fullmatch(text):
        value = float(text)
        # what is too large to be a number, 1e999 say, is text: infinity has no place in JSON
        return value if math.isfinite(value) else text
    if other := _OTHERWISE.fullmatch(text):
        reading = _READINGS[other.lastgroup or ""]
        diagnostics.warning(
            "yaml-1.1",
            f"'{text[:80]}' is text here, but other YAML tools read {reading}",
            place,
            label="put it in quotes",
        )
    return text
