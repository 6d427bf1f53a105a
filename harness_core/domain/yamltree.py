"""YAML text to a checked tree in which every key and value knows its place.

The C parser only tokenises: the tree is built here from its events, without recursion, so that every limit is enforced
*while* reading and no input can exhaust the stack or the memory. Scalars follow YAML 1.2: ``on`` and ``22:22`` are
text, ``017`` stays as written, and what other tools would read differently is warned about. Duplicate keys are errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from harness_core.domain.diagnostics import Diagnostics, Place
from harness_core.domain.yamlnodes import Node, Path, Tree
from harness_core.domain.yamlscalar import Scalar, read_scalar
from harness_core.domain.yamltext import MAX_BYTES, decode, end_of_line, explain

__all__ = ["MAX_ALIASES", "MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Node", "Path", "Tree", "read_tree"]

MAX_ALIASES = 100
MAX_NODES = 100_000
MAX_DEPTH = 64

_COLLECTION_TAGS = {None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


class _Refused(Exception):
    """Reading cannot go on."""

    def __init__(self, code: str, message: str, place: Place) -> None:
        super().__init__(message)
        self.code, self.message, self.place = code, message, place


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read; a mapping also has the key that waits for its value."""

    node: Node
    anchor: str | None
    key: tuple[str, Place] | None = None
    merged: list[Node] = field(default_factory=list)


class _Builder:
    """Builds the tree from parser events and enforces the limits."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.root: Node | None = None
        self._diagnostics = diagnostics
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._documents = self._aliases = self._nodes = 0

    def feed(self, event: Any) -> None:
        """Take the next event. Raises ``_Refused`` when a limit is passed."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Refused("one-document", "a stack file holds one document", self._place(event))
        elif isinstance(event, yaml.AliasEvent):
            self._finish(self._alias(event), None)
        elif isinstance(event, yaml.ScalarEvent):
            place = self._place(event)
            self._count(1, place)
            scalar = Scalar(event.value, event.value)
            if event.tag is not None or not self._awaits_key():
                scalar = read_scalar(event, place, self._diagnostics)
            end: Any = event.end_mark
            self._finish(Node(place, scalar, last_line=end.line + 1), event.anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(event)

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        same_line = end.line == start.line and end.column > start.column
        stop = end.column + 1 if same_line else end_of_line(self._diagnostics.line(start.line + 1), start.column + 2)
        return Place(start.line + 1, start.column + 1, stop)

    def _count(self, nodes: int, place: Place) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _Refused("too-many-nodes", f"the file expands to more than {MAX_NODES:,} values", place)

    def _begin(self, event: Any) -> None:
        start = event.start_mark
        line = self._diagnostics.line(start.line + 1)
        place = Place(start.line + 1, start.column + 1, end_of_line(line, start.column + 2))
        self._count(1, place)
        if event.tag not in _COLLECTION_TAGS:
            self._diagnostics.error("unsafe-tag", "a tag cannot be used here: only plain values are read", place)
        if len(self._open) >= MAX_DEPTH:
            raise _Refused("too-deep", f"the file is nested more than {MAX_DEPTH} levels deep", place)
        if event.anchor:
            self._anchors[event.anchor] = None
        node = Node(place)
        if isinstance(event, yaml.SequenceStartEvent):
            node.items = []
        else:
            node.entries = {}
        self._open.append(_Open(node, event.anchor))

    def _awaits_key(self) -> bool:
        return bool(self._open) and self._open[-1].node.entries is not None and self._open[-1].key is None

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        place, end = done.node.place, event.end_mark
        if end.line + 1 == place.line:
            done.node.place = Place(place.line, place.column, max(place.column, end.column) + 1)
        for merged in done.merged:
            assert merged.entries is not None
            assert done.node.entries is not None
            for key, entry in merged.entries.items():
                done.node.entries.setdefault(key, entry)
        self._finish(done.node, done.anchor)

    def _alias(self, event: Any) -> Node:
        place = self._place(event)
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise _Refused("too-many-aliases", f"the file has more than {MAX_ALIASES} aliases", place)
        if event.anchor not in self._anchors:
            raise _Refused("unknown-alias", f"'*{event.anchor}' has no anchor '&{event.anchor}' before it", place)
        node = self._anchors[event.anchor]
        if node is None:
            raise _Refused("recursive-alias", f"'*{event.anchor}' stands inside the value that it repeats", place)
        self._count(node.size, place)
        if len(self._open) + node.height > MAX_DEPTH + 1:
            raise _Refused("too-deep", f"the file is nested more than {MAX_DEPTH} levels deep", place)
        return node

    def _finish(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.node.size += node.size
        parent.node.height = max(parent.node.height, node.height + 1)
        if parent.node.items is not None:
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = self._key(node)
        else:
            key, place = parent.key
            parent.key = None
            self._enter(parent, key, place, node)

    def _key(self, node: Node) -> tuple[str, Place]:
        if node.scalar is None:
            raise _Refused("bad-key", "a key must be text, not a list or a mapping", node.place)
        return node.scalar.text, node.place

    def _enter(self, parent: _Open, key: str, place: Place, node: Node) -> None:
        entries = parent.node.entries
        assert entries is not None
        if key == "<<":
            for source in [node] if node.items is None else node.items:
                if source.entries is None:
                    self._diagnostics.error("bad-merge", "'<<' takes a mapping or a list of mappings", place)
                else:
                    parent.merged.append(source)
        elif key in entries:
            first = entries[key][0]
            self._diagnostics.error(
                "duplicate-key", f"'{key[:80]}' is given twice", place, notes=[f"the first one is in line {first.line}"]
            )
        else:
            entries[key] = (place, node)


def read_tree(source: bytes | str, diagnostics: Diagnostics) -> Tree | None:
    """The tree of one YAML document, or ``None`` after a finding that leaves nothing to go on with.

    Never raises, whatever the input; takes time in proportion to its length.
    """
    text = decode(source, diagnostics)
    if text is None:
        return None
    builder = _Builder(diagnostics)
    parser = yaml.CSafeLoader(text)
    try:
        while parser.check_event():
            builder.feed(parser.get_event())
    except _Refused as refused:
        diagnostics.error(refused.code, refused.message, refused.place)
        return None
    except yaml.YAMLError as error:
        explain(error, diagnostics)
        return None
    finally:
        parser.dispose()
    return Tree(builder.root if builder.root is not None else Node(Place(1, 1, 2)))
