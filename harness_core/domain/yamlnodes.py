"""A YAML document in memory: values that know where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness_core.domain.diagnostics import Place
from harness_core.domain.yamlscalar import Scalar

__all__ = ["Marks", "Node", "Path", "Tree"]

#: keys and list positions from the root
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """Where an entry stands: its key, where it has one, and its value."""

    key: Place | None
    value: Place


@dataclass(slots=True)
class Node:
    """One value. ``scalar`` is set for leaves; otherwise it is a list (``items``) or a mapping (``entries``)."""

    place: Place
    scalar: Scalar | None = None
    items: list[Node] | None = None
    entries: dict[str, tuple[Place, Node]] | None = None
    #: nodes in it once every alias is expanded, and the levels below it
    size: int = 1
    height: int = 1
    #: where a scalar of several lines ends
    last_line: int = 0

    def children(self) -> Iterator[tuple[str | int, Node]]:
        """Its direct parts with their keys or positions, in the order of the file."""
        yield from enumerate(self.items or ())
        yield from ((key, node) for key, (_, node) in (self.entries or {}).items())

    def child(self, step: str | int) -> tuple[Place | None, Node] | None:
        """The part under a key or at a position, with the place of its key."""
        if self.entries is not None and isinstance(step, str):
            return self.entries.get(step)
        if self.items is not None and isinstance(step, int) and 0 <= step < len(self.items):
            return None, self.items[step]
        return None

    def data(self) -> Any:
        """Plain values; recursion is bounded by the depth that was allowed at reading."""
        if self.items is not None:
            return [node.data() for node in self.items]
        if self.entries is not None:
            return {key: node.data() for key, (_, node) in self.entries.items()}
        return self.scalar.value if self.scalar else None


@dataclass(frozen=True, slots=True)
class Tree:
    """A document that keeps to every limit."""

    root: Node

    def find(self, path: Path) -> Node | None:
        """The value at a path, ``None`` when there is none."""
        node = self.root
        for step in path:
            entry = node.child(step)
            if entry is None:
                return None
            node = entry[1]
        return node

    def marks(self, path: Path) -> Marks:
        """Where the entry at a path stands; for a path that leads nowhere, where its nearest ancestor does."""
        marks = Marks(None, self.root.place)
        node = self.root
        for step in path:
            entry = node.child(step)
            if entry is None:
                break
            key, node = entry
            marks = Marks(key, node.place)
        return marks
