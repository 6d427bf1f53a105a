"""Environment files, and what of the caller's own environment reaches a unit.

A file holds lines of ``KEY=value``, optionally after ``export``. A value in single quotes is literal, in double quotes
it knows ``\\n \\t \\r \\" \\\\ \\$``; both may span lines. Without quotes it ends at the end of the line or at `` #``.
Values are *templates*: ``${…}`` in them means what it means in the stack file, except in single quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness_core.domain.references import escape

__all__ = ["Assignment", "EnvFileError", "inherited", "parse_env_file"]

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_SKIPPED = re.compile(r"[ \t]*(?:#.*)?(?:\r?\n|\Z)")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(\$+\{|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}

_INHERITED = {
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "VIRTUAL_ENV",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "DOCKER_HOST",
}
_INHERITED_PREFIXES = ("LC_", "XDG_")
#: a variable of the caller that lists, comma separated, what is to be inherited besides
_ALSO = "HARNESS_INHERIT"


class EnvFileError(ValueError):
    """A line is not an assignment. The message holds nothing of the line, which may be a secret."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message, self.line = message, line


@dataclass(frozen=True, slots=True)
class Assignment:
    """One variable of a file; ``template`` is its value with references."""

    name: str
    template: str
    line: int


def parse_env_file(text: str) -> list[Assignment]:
    """The assignments in the order of the file. Raises ``EnvFileError`` for the first line that is none."""
    found: list[Assignment] = []
    at, line = 0, 1
    while at < len(text):
        if skipped := _SKIPPED.match(text, at):
            end = skipped.end()
        else:
            start = _LINE.match(text, at)
            if start is None:
                raise EnvFileError("a line is not of the form KEY=value", line)
            template, end = _value(text, start.end(), line)
            found.append(Assignment(start[1], template, line))
        line += text.count("\n", at, end)
        at = end
    return found


def _value(text: str, at: int, line: int) -> tuple[str, int]:
    """The value that begins at ``at``, and where the next line begins."""
    quote = text[at : at + 1]
    if quote not in {"'", '"'}:
        end = text.find("\n", at) + 1 or len(text)
        return _uncommented(text[at:end]), end
    match = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
    if match is None:
        raise EnvFileError("a quote is never closed", line)
    rest = _SKIPPED.match(text, match.end())
    if rest is None:
        raise EnvFileError("something follows the closing quote", line)
    return (escape(match[1]) if quote == "'" else _ESCAPE.sub(_unescaped, match[1])), rest.end()


def _uncommented(value: str) -> str:
    if value.startswith("#"):
        return ""
    return re.split(r"[ \t]#", value, maxsplit=1)[0].strip()


def _unescaped(match: re.Match[str]) -> str:
    what = match[1]
    return escape(what) if what.endswith("{") and len(what) > 1 else _ESCAPES.get(what, what)


def inherited(env: Mapping[str, str]) -> dict[str, str]:
    """What of the caller's environment reaches every unit, as templates that mean their values literally."""
    also = {name.strip() for name in env.get(_ALSO, "").split(",")}
    return {
        name: escape(value)
        for name, value in env.items()
        if name in _INHERITED or name in also or name.startswith(_INHERITED_PREFIXES)
    }
