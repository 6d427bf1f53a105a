"""The stack that is being written: mappings in order, each entry with the remarks that go before it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.naming import plain_name
from harness_core.domain.references import escape

__all__ = [
    "INHERITED",
    "MANUAL",
    "ON_DEMAND",
    "Block",
    "Draft",
    "Names",
    "command_of",
    "one_shots",
    "size_text",
    "words_of",
]

#: said at the top of every stack of processes
INHERITED = "Services get PATH, HOME and few other variables of yours; more with: harness start FILE --inherit-env NAME"

#: of units that are started by their name alone
MANUAL = "manual"
ON_DEMAND = "started when it is named, or when something needs it: harness start NAME"


class Block:
    """A mapping in the order of its entries. Values are scalars, lists, plain mappings (written on one line where they
    fit) and ``Block``s."""

    def __init__(self, **entries: Any) -> None:
        self.entries: dict[str, Any] = {}
        self.remarks: dict[str, list[str]] = {}
        for key, value in entries.items():
            self.put(key, value)

    def put(self, key: str, value: Any, *remarks: str) -> None:
        """Add an entry, unless there is nothing in it. ``remarks`` become comments above it."""
        if value is None or (isinstance(value, (list, dict, Block)) and not value):
            return
        self.entries[key] = value
        if remarks:
            self.remarks.setdefault(key, []).extend(remarks)

    def __bool__(self) -> bool:
        return bool(self.entries)


@dataclass(slots=True)
class Draft:
    """One stack file to be. ``remarks`` of the units stand as comments below their names."""

    name: str
    #: comments at the top
    head: list[str] = field(default_factory=list)
    settings: Block = field(default_factory=Block)
    services: dict[str, Block] = field(default_factory=dict)
    tasks: dict[str, Block] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def remark(self, unit: str, text: str) -> None:
        """Say what is different here from what the file meant."""
        self.remarks.setdefault(unit, []).append(text)


class Names:
    """Names of units made from those of a file: valid, and no two alike."""

    #: means the asking unit in ``${self.port}``
    _RESERVED = frozenset({"self"})

    def __init__(self, originals: Iterable[str]) -> None:
        self._names: dict[str, str] = {}
        taken = set(self._RESERVED)
        # a name that needs no change is nobody else's
        for original in sorted(originals, key=lambda name: (plain_name(name, "unit") != name, name)):
            name = base = plain_name(original, "unit")
            number = 1
            while name in taken:
                number += 1
                name = f"{base[:58]}-{number}"
            taken.add(name)
            self._names[original] = name

    def __getitem__(self, original: str) -> str:
        return self._names[original]

    def __contains__(self, original: object) -> bool:
        return original in self._names


#: words that mean something to a shell alone
_BUILTINS = frozenset({
    ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done", "elif", "else", "esac", "eval",
    "exit", "export", "fc", "fg", "fi", "for", "function", "getopts", "hash", "if", "jobs", "let", "local", "read",
    "readonly", "return", "select", "set", "shift", "source", "then", "time", "times", "trap", "type", "typeset",
    "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
})  # fmt: skip
_SIMPLE = re.compile(r"[A-Za-z0-9_@%+:,./=-]+(?: +(?:[A-Za-z0-9_@%+:,./=-]+|\"[A-Za-z0-9_@%+:,./= -]*\"|'[^'$]*'))*")
_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|(\S+)")


def words_of(line: str) -> list[str] | None:
    """The program and arguments of a line that a shell would do nothing with but split it, else ``None``."""
    line = line.strip().removeprefix("exec ").strip()
    if not _SIMPLE.fullmatch(line):
        return None
    words = [quoted or single or bare for quoted, single, bare in _WORD.findall(line)]
    return None if words[0] in _BUILTINS or "=" in words[0] else words


def command_of(target: Block, line: str, shell: tuple[str, str] = ("/bin/sh", "-c")) -> None:
    """Have a target run a line that was written for a shell; variables in it stay the shell's."""
    line = line.strip()
    words = words_of(line)
    if words is not None:
        target.put("binary", words[0])
        target.put("args", words[1:])
    elif shell == ("/bin/sh", "-c"):
        target.put("shell", escape(line))
    else:
        target.put("binary", shell[0])
        target.put("args", [shell[1], escape(line)])


def size_text(size: int) -> str | int:
    """A size as people write it, in the largest unit that divides it."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return size


def one_shots(conditions: Mapping[str, Iterable[str]]) -> set[str]:
    """The units that are tasks: somebody waits for their end, and nobody for anything else of them. ``conditions`` are
    those under which others wait for each."""
    ends = {"completed", "completed_successfully"}
    return {name for name, waited in conditions.items() if (found := set(waited)) and found <= ends}
