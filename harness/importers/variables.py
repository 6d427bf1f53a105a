"""Variables in foreign files, and the templates that say the same here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from harness.importers.items import Report, Spot
from harness_core.domain.references import escape

__all__ = ["Interpolation", "Variable", "template"]

#: deeper nesting than anybody writes
_MAX_NESTING = 8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TRAILING = re.compile(r"\$+\Z")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment; ``default`` is a template, and so is the value here when it is empty."""

    name: str
    default: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        if self.message is not None:
            return f"${{{self.name}:?{self.message}}}"
        return f"${{{self.name}}}" if self.default is None else f"${{{self.name}:-{self.default}}}"


def template(parts: Iterable[str | Variable]) -> str:
    """The string that stands for literal texts and variables in turn."""
    written: list[str] = []
    for part in parts:
        if isinstance(part, Variable):
            if written:
                written[-1] = _TRAILING.sub(lambda found: found[0] * 2, written[-1])
            written.append(str(part))
        else:
            written.append(escape(part))
    return "".join(written)


class Interpolation:
    """The ``$NAME`` and ``${NAME:-default}`` of compose files. A variable that is not set is empty there, so it gets an
    empty default here, unless it is one of those that are known to be ``given``."""

    def __init__(self, given: Collection[str], report: Report) -> None:
        self._given = given
        self._report = report
        #: the variables of ``given`` that were met
        self.used: set[str] = set()

    def __call__(self, text: str, spot: Spot) -> str:
        """The template that says the same here."""
        return template(self._parts(text, spot, 0)) if "$" in text else text

    def _parts(self, text: str, spot: Spot, nesting: int) -> Iterator[str | Variable]:
        literal, at = "", 0
        while (found := text.find("$", at)) >= 0:
            literal, at = literal + text[at:found], found + 1
            if text.startswith("$", at):
                literal, at = literal + "$", at + 1
            elif name := _NAME.match(text, at):
                yield from self._flushed(literal, self._variable(name[0]))
                literal, at = "", name.end()
            elif text.startswith("{", at) and nesting < _MAX_NESTING and (end := _closing(text, at + 1)):
                yield from self._flushed(literal, self._braced(text[at + 1 : end], spot, nesting))
                literal, at = "", end + 1
            else:
                if text.startswith("{", at):
                    self._report.wrong(spot, "'${' is never closed; a dollar sign itself is written '$$'")
                literal += "$"
        yield literal + text[at:]

    @staticmethod
    def _flushed(literal: str, part: str | Variable) -> Iterator[str | Variable]:
        if literal:
            yield literal
        yield part

    def _braced(self, inside: str, spot: Spot, nesting: int) -> str | Variable:
        name = _NAME.match(inside)
        if name is None:
            self._report.wrong(spot, f"'${{{inside}}}' has no name of a variable; a dollar sign itself is written '$$'")
            return ""
        sign, rest = re.fullmatch(r"(:?[-?+]|)(.*)", inside[name.end() :], re.DOTALL).groups()  # type: ignore[union-attr]  # matches everything
        if not sign:
            if rest:
                self._report.wrong(
                    spot, f"'${{{inside}}}' is not understood; write for example '${{{name[0]}:-default}}'"
                )
            return self._variable(name[0])
        if sign.endswith("+"):
            self._report.lose(spot, f"${{{inside}}}", "a value that depends on another being set has no counterpart")
            return ""
        if len(sign) == 1:
            self._report.lose(spot, f"${{{inside}}}", "an empty variable counts as one that is not set")
        if sign.endswith("?"):
            return Variable(name[0], message=rest.replace("}", "") or "it is needed")
        return Variable(name[0], template(self._parts(rest, spot, nesting + 1)))

    def _variable(self, name: str) -> Variable:
        if name in self._given:
            self.used.add(name)
            return Variable(name)
        return Variable(name, "")


def _closing(text: str, at: int) -> int:
    """Where the brace that was opened before ``at`` is closed; 0 when it is not."""
    depth = 1
    for position in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return 0
