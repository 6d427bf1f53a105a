"""The ``${…}`` language: what a string of a stack file may stand for, and how it gets its value.

    ${VAR}  ${VAR:-default}  ${VAR:?message}          from the environment, when the file is loaded
    ${db.host}  .port  .ports.NAME  .url  .ip         from a service, when the unit that asks is started
    ${self.port}                                      from the asking unit itself
    ${migrate.REVISION}                               from a task's output
    $${                                               the two characters "${"

A default may hold references. Before a brace every ``$`` is doubled to be meant literally (``$$${VAR}`` is a dollar
sign and a value); anywhere else a ``$`` is itself. Substitution is one pass and never looks at what it has put in, so
a value that happens to hold ``${`` stays as it is: there is nothing to recurse into.

This file imports no validation library, so that a command line can use it at no cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness_core.domain.errors import HarnessError

__all__ = [
    "SERVICE_ATTRIBUTES",
    "BadReference",
    "EnvReference",
    "Template",
    "UnitReference",
    "UnresolvedReference",
    "escape",
    "holds_reference",
    "parse",
    "variables_in",
    "write",
]

#: what can be asked of a service, besides ``ports.NAME``
SERVICE_ATTRIBUTES = ("host", "port", "url", "ip")
#: references inside defaults inside defaults …
MAX_NESTING = 16

_BRACE = re.compile(r"\$+\{|[{}]")
_INSIDE = re.compile(r"([A-Za-z0-9_.-]*)(:[-?]|.)?", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT = re.compile(r"(.+)\.(ports\.[a-z0-9][a-z0-9_-]*)")
_OUTPUT = re.compile(r"(.+)\.([A-Za-z_][A-Za-z0-9_]*)")
#: every name that could be a variable; over-inclusive, for those who gather an environment before parsing
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?=[:}])")


class BadReference(HarnessError):
    """A ``${…}`` does not follow the grammar; ``start`` and ``end`` tell which characters are meant."""

    code = "bad-reference"

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


class UnresolvedReference(HarnessError):
    """A reference to a unit has no value yet; the message names it. Raised by lookups and passed on."""

    code = "unresolved-reference"


@dataclass(frozen=True, slots=True)
class EnvReference:
    """``${VAR}`` and its forms."""

    name: str
    #: used when the variable is unset or empty
    default: Template | None = None
    #: said when the variable is unset or empty
    message: str | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class UnitReference:
    """``${unit.attribute}``; ``unit`` may be ``self``."""

    unit: str
    attribute: str
    start: int = 0
    end: int = 0

    def __str__(self) -> str:
        return f"${{{self.unit}.{self.attribute}}}"


Part = str | EnvReference | UnitReference


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed string: literal text and references in turn."""

    parts: tuple[Part, ...]

    def references(self) -> Iterator[EnvReference | UnitReference]:
        """Every reference, those in defaults included."""
        for part in self.parts:
            if not isinstance(part, str):
                yield part
            if isinstance(part, EnvReference) and part.default is not None:
                yield from part.default.references()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse(text: str) -> Template:
    """Parse a string. Raises ``BadReference`` with the position of the first mistake."""
    if "${" not in text:
        return Template((text,) if text else ())
    template, _ = _parse(text, 0, 0, 0)
    return template


def _parse(text: str, at: int, nesting: int, opened: int) -> tuple[Template, int]:
    """Parse from ``at`` to the end, or, within the default of the reference ``opened`` there, to its closing brace."""
    parts: list[Part] = []
    literal: list[str] = []
    braces = 0
    while match := _BRACE.search(text, at):
        literal.append(text[at : match.start()])
        at = match.end()
        dollars = match.end() - match.start() - 1
        if match[0] == "}":
            if nesting and not braces:
                return Template(_joined(parts, literal)), match.start()
            braces -= 1
            literal.append("}")
        elif dollars % 2 == 0:
            braces += 1
            literal.append("$" * (dollars // 2) + "{")
        else:
            literal.append("$" * (dollars // 2))
            parts.extend(_joined([], literal))
            literal = []
            reference, at = _reference(text, match.end() - 2, nesting)
            parts.append(reference)
    if nesting:
        raise BadReference("'${' is never closed", opened, opened + 2)
    literal.append(text[at:])
    return Template(_joined(parts, literal)), len(text)


def _joined(parts: list[Part], literal: list[str]) -> tuple[Part, ...]:
    text = "".join(literal)
    return (*parts, text) if text else tuple(parts)


def _reference(text: str, start: int, nesting: int) -> tuple[EnvReference | UnitReference, int]:
    """The reference whose ``${`` stands at ``start``, and the position after its closing brace."""
    match = _INSIDE.match(text, start + 2)
    assert match is not None
    name, sign = match[1], match[2]
    if sign is None:
        raise BadReference("'${' is never closed", start, start + 2)
    if sign == "}":
        end = match.end()
        reference = (
            _unit(name, start, end)
            if "." in name
            else EnvReference(_variable(name, start, end), None, None, start, end)
        )
        return reference, end
    closing = text.find("}", match.end() - 1) + 1 or len(text)
    if sign not in (":-", ":?") or "." in name:
        raise BadReference(_advice(name, sign), start, closing)
    _variable(name, start, closing)
    if nesting >= MAX_NESTING:
        raise BadReference(f"references are nested more than {MAX_NESTING} deep", start, start + 2)
    inner, stop = _parse(text, match.end(), nesting + 1, start)
    if sign == ":-":
        return EnvReference(name, inner, None, start, stop + 1), stop + 1
    return EnvReference(name, None, text[match.end() : stop], start, stop + 1), stop + 1


def _variable(name: str, start: int, end: int) -> str:
    if _VARIABLE.fullmatch(name):
        return name
    if not name:
        raise BadReference("a reference without a name; write '$${' for the two characters themselves", start, end)
    raise BadReference(
        f"'{name}' is not the name of a variable; of a service, ask for example ${{{name}.host}}", start, end
    )


def _unit(name: str, start: int, end: int) -> UnitReference:
    match = _PORT.fullmatch(name) or _OUTPUT.fullmatch(name)
    if match is None:
        raise BadReference(f"'${{{name}}}' is not a reference; write for example ${{db.host}}", start, end)
    return UnitReference(match[1], match[2], start, end)


def _advice(name: str, sign: str) -> str:
    if "." in name:
        return f"'{name}' names a unit's value, which has no default; only variables have one"
    if sign in (":", "-", "?", "+", "="):
        return f"write ${{{name}:-default}} or ${{{name}:?message}}"
    return f"{sign!r} cannot stand in a reference; write '$${{' for the two characters themselves"


def holds_reference(value: object) -> bool:
    """Whether a value is a string that some ``${…}`` stands in, so that its final form is not known yet."""
    return isinstance(value, str) and "${" in value


def variables_in(text: str) -> set[str]:
    """Names of variables that a whole file may refer to; found without parsing it, so a few may be too many."""
    return set(_NAMED.findall(text))


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_LITERAL = re.compile(r"\$+(?=\{)")
_TRAILING = re.compile(r"\$+\Z")


def escape(text: str) -> str:
    """The string that stands for ``text`` literally."""
    return _LITERAL.sub(lambda m: m[0] * 2, text)


def write(parts: Iterable[str | UnitReference]) -> str:
    """The string that stands for literal texts and references to units in turn."""
    written: list[str] = []
    literal = ""
    for part in parts:
        if isinstance(part, str):
            literal += part
        else:
            written += [_TRAILING.sub(lambda m: m[0] * 2, escape(literal)), str(part)]
            literal = ""
    return "".join([*written, escape(literal)])
