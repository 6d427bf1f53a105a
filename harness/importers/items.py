"""What was read from a foreign file: values that know where they stand, and the account of what became of them.

Every format is first read into ``Item``s. A translator takes the entries of a mapping out through ``Fields``; whatever
it has not taken is told as not carried over when it calls ``rest``, so that nothing can be forgotten silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness_core.domain.diagnostics import Diagnostics, Place
from harness_core.domain.errors import InvalidConfiguration
from harness_core.domain.protocol import Diagnostic
from harness_core.domain.yamlnodes import Node
from harness_core.domain.yamltree import read_tree

__all__ = ["Fields", "Item", "Lost", "Report", "Spot", "read_yaml"]


class Spot(NamedTuple):
    """Where something begins; lines and columns count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Item:
    """A value. Of an entry in a mapping, ``spot`` is that of its key."""

    value: str | int | float | bool | list[Item] | dict[str, Item] | None
    spot: Spot
    #: a scalar as it is written
    text: str = ""

    @property
    def entries(self) -> dict[str, Item]:
        """Those of a mapping; none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value


class Lost(NamedTuple):
    """Something of the file that the stack file does not say."""

    spot: Spot
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.spot}: {self.what}: {self.why}"


class Report:
    """What could not be carried over, and what is wrong with the file."""

    def __init__(self) -> None:
        self._lost: dict[Lost, None] = {}
        self._errors: dict[tuple[Spot, str], None] = {}

    @property
    def lost(self) -> list[Lost]:
        """In the order of files and lines."""
        return sorted(self._lost, key=lambda lost: lost.spot)

    def lose(self, spot: Spot, what: str, why: str) -> None:
        """Say that something is not carried over; the same thing twice is said once."""
        self._lost[Lost(spot, what, why)] = None

    def wrong(self, spot: Spot, message: str) -> None:
        """Say that something cannot be understood; the translation goes on, so that all of it is said at once."""
        self._errors[spot, message] = None

    def check(self) -> None:
        """Raises ``InvalidConfiguration`` with every mistake and its place."""
        if self._errors:
            refuse([_diagnostic(spot, message) for spot, message in sorted(self._errors)])


def refuse(found: list[Diagnostic]) -> None:
    """Raises ``InvalidConfiguration`` that shows these findings."""
    count = "there is one mistake" if len(found) == 1 else f"there are {len(found)} mistakes"
    raise InvalidConfiguration(f"cannot import {found[0]['file']}: {count} in it", data={"diagnostics": found})


def _diagnostic(spot: Spot, message: str) -> Diagnostic:
    return {
        "code": "import",
        "severity": "error",
        "message": message,
        "file": spot.file,
        "line": spot.line,
        "column": spot.column,
        "end_column": spot.column + 1,
        "text": "",
        "label": "",
        "notes": [],
    }


def read_yaml(file: str, text: str) -> Item:
    """The items of a YAML or JSON document. Raises ``InvalidConfiguration`` with every finding and its place."""
    diagnostics = Diagnostics(file)
    tree = read_tree(text, diagnostics)
    if tree is None or diagnostics.failed:
        # what other tools read differently is no concern here: it is read as they would write it
        refuse([found for found in diagnostics.report() if found["severity"] == "error"])
        raise AssertionError("refuse always raises")
    return _item(file, tree.root, tree.root.place)


def _item(file: str, node: Node, place: Place) -> Item:
    spot = Spot(file, place.line, place.column)
    if node.items is not None:
        return Item([_item(file, inner, inner.place) for inner in node.items], spot)
    if node.entries is not None:
        return Item({key: _item(file, inner, at) for key, (at, inner) in node.entries.items()}, spot)
    if node.scalar is None:
        return Item(None, spot)
    return Item(node.scalar.value, spot, node.scalar.text)


class Fields:
    """The entries of one mapping, taken out one by one."""

    def __init__(self, item: Item | None, path: str, report: Report) -> None:
        """An ``item`` that is no mapping is a mistake, told with its ``path``; ``None`` is an empty mapping."""
        self.path = path
        self.report = report
        #: where the mapping stands
        self.origin = Spot("", 1) if item is None else item.spot
        self._left: dict[str, Item] = dict(item.entries) if item is not None else {}
        if item is not None and item.value is not None and not isinstance(item.value, dict):
            report.wrong(item.spot, f"{path or 'the file'} must be a mapping of keys")

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def __iter__(self) -> Iterator[str]:
        """The keys that have not been taken."""
        return iter(list(self._left))

    def spot(self, key: str) -> Spot:
        """Where an entry that has not been taken stands."""
        return self._left[key].spot

    def copy(self) -> Fields:
        """The same entries once more, for what is written several times."""
        copied = Fields(None, self.path, self.report)
        copied.origin = self.origin
        copied._left = dict(self._left)
        return copied

    def peek(self, key: str) -> Item | None:
        """An entry that stays to be taken."""
        return self._left.get(key)

    def take(self, key: str) -> Item | None:
        """An entry, whatever it is; ``None`` where it is absent or has no value."""
        item = self._left.pop(key, None)
        return None if item is None or item.value is None else item

    def text(self, key: str) -> str | None:
        """A scalar as it is written."""
        item = self.take(key)
        return None if item is None else self._scalar(item, self._named(key))

    def texts(self, key: str) -> list[str]:
        """A list of scalars; one that stands alone is a list of one."""
        return [text for _, text in self.texts_with_spots(key)]

    def texts_with_spots(self, key: str) -> list[tuple[Spot, str]]:
        item = self.take(key)
        if item is None:
            return []
        items = item.value if isinstance(item.value, list) else [item]
        found = [(inner.spot, self._scalar(inner, self._named(key))) for inner in items]
        return [(spot, text) for spot, text in found if text is not None]

    def flag(self, key: str, default: bool = False) -> bool:
        """``true`` or ``false``, also as the words that YAML 1.1 had for them."""
        item = self.take(key)
        if item is None:
            return default
        word = str(item.value).lower()
        if word in ("true", "yes", "on", "1"):
            return True
        if word not in ("false", "no", "off", "0"):
            self.report.wrong(item.spot, f"{self._named(key)} must be true or false")
        return False

    def number(self, key: str) -> float | None:
        """A number, also one in quotes."""
        item = self.take(key)
        if item is None:
            return None
        try:
            number = float(item.text)
        except ValueError:
            self.report.wrong(item.spot, f"{self._named(key)} must be a number")
            return None
        return int(number) if number.is_integer() else number

    def fields(self, key: str) -> Fields:
        """A mapping inside; an absent one is empty."""
        return Fields(self.take(key), self._named(key), self.report)

    def items(self, key: str) -> list[Item]:
        """A list of whatever; one that stands alone is a list of one."""
        item = self.take(key)
        if item is None:
            return []
        return item.value if isinstance(item.value, list) else [item]

    def pairs(self, key: str) -> dict[str, tuple[Spot, str | None]]:
        """A mapping of text, or a list of ``KEY=value``; ``None`` stands where no value is given."""
        found: dict[str, tuple[Spot, str | None]] = {}
        item = self.take(key)
        if item is None:
            return found
        if isinstance(item.value, dict):
            for name, inner in item.value.items():
                empty = inner.value is None
                found[name] = inner.spot, None if empty else self._scalar(inner, f"{self._named(key)}.{name}")
            return found
        for inner in item.value if isinstance(item.value, list) else [item]:
            name, equals, value = (self._scalar(inner, self._named(key)) or "").partition("=")
            if name:
                found[name] = inner.spot, value if equals else None
        return found

    def lose(self, key: str, why: str) -> None:
        """Take an entry and tell that it is not carried over, if it is there."""
        if key in self._left:
            self.report.lose(self._left.pop(key).spot, self._named(key), why)

    def rest(self, reasons: Mapping[str, str], otherwise: str) -> None:
        """Tell of every entry that is left; ``reasons`` by key, ``otherwise`` for all the others. Keys that begin with
        ``x-`` are for other readers, and are passed over."""
        for key in self:
            if key.startswith("x-"):
                del self._left[key]
            else:
                self.lose(key, reasons.get(key, otherwise))

    def _named(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _scalar(self, item: Item, name: str) -> str | None:
        if isinstance(item.value, (list, dict)):
            self.report.wrong(item.spot, f"{name} must be text")
            return None
        if isinstance(item.value, bool):
            return "true" if item.value else "false"
        return item.text
