"""The short way for the verbs that people repeat: their options read with the standard library alone.

It understands what it is certain of and leaves everything else (help, abbreviations, mistakes, completion) to click,
which reads the same ``Verb``s. Both end in the same ``Verb.run``, so there is nothing that the ways could do
differently but take their time: about 25 ms here, 100 ms there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.cli.commands import ALIASES, load
from harness.cli.grammar import GLOBALS, Option, Verb

__all__ = ["FAST", "Parsed", "parse"]

FAST = ("status", "logs", "start", "stop", "restart", "wait", "describe", "explain", "events", "graph")


class Parsed(NamedTuple):
    verb: Verb
    #: values of the verb's own arguments and options
    values: dict[str, Any]
    #: values of the global options
    shared: dict[str, Any]


class _Uncertain(Exception):
    """Click shall read this."""


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Parsed | None:
    """The verb and its values, or ``None`` when click must read the line."""
    if "_HARNESS_COMPLETE" in environ:
        return None
    try:
        shared = _from_environment(environ)
        rest = list(argv)
        name = _read(rest, _by_flag(GLOBALS), shared)
        name = ALIASES.get(name, name)
        if name not in FAST or any(key.startswith(f"HARNESS_{name.upper()}_") for key in environ):
            return None
        verb: Verb = load(name).VERB
        own = {option.key: option.start for option in verb.options}
        values = {**own, **shared}
        words: list[str] = []
        table = _by_flag((*GLOBALS, *verb.options))
        while word := _read(rest, table, values):
            words.append(word)
    except _Uncertain:
        return None
    for key in shared:
        shared[key] = values.pop(key)
    argument = verb.arguments[0]
    if not argument.many and len(words) != 1:
        return None
    values[argument.name] = tuple(words) if argument.many else words[0]
    return Parsed(verb, values, shared)


def _by_flag(options: Sequence[Option]) -> dict[str, Option]:
    return {flag: option for option in options for flag in option.flags}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for option in GLOBALS:
        name = option.key
        given = environ.get(option.envvar or f"HARNESS_{name.upper()}")
        if given and not option.takes_value:
            raise _Uncertain
        values[name] = _value(option, given) if given else option.start
    return values


def _read(rest: list[str], table: Mapping[str, Option], values: dict[str, Any]) -> str:
    """Take options off the front of ``rest`` into ``values``; the first word that is none, or "" at the end."""
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            if word in ("", "-"):
                raise _Uncertain
            return word
        flag, given = _split(word)
        option = table.get(flag)
        if option is None:
            raise _Uncertain
        _store(option, given, rest, values)
    return ""


def _split(word: str) -> tuple[str, str | None]:
    """``--tail=5`` and ``-n5`` are an option with its value; ``-ft`` is left to click by not being found."""
    if word.startswith("--"):
        flag, equals, given = word.partition("=")
        return flag, given if equals else None
    return word[:2], word[2:] or None


def _store(option: Option, given: str | None, rest: list[str], values: dict[str, Any]) -> None:
    name = option.key
    if not option.takes_value:
        if given is not None:
            raise _Uncertain
        values[name] = values[name] + 1 if option.kind == "count" else True
        return
    if given is None:
        if not rest or rest[0].startswith("-"):
            raise _Uncertain
        given = rest.pop(0)
    value = _value(option, given)
    values[name] = (*values[name], value) if option.many else value


def _value(option: Option, given: str) -> Any:
    if option.kind == "choice" and given not in option.choices:
        raise _Uncertain
    if option.kind == "int":
        if not given.isascii() or not given.isdecimal():
            raise _Uncertain
        return int(given)
    return given
