"""A stack file on its way from text to models: the values, and for each of them the place in the file.

``data`` starts as the tree's plain values with the environment's variables put in. Errors of later layers come back
here as paths, tolerant of the short forms that YAML has and the models do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness_core.domain.diagnostics import Diagnostics, Place
from harness_core.domain.references import BadReference, UnitReference, holds_reference, parse
from harness_core.domain.secrets import is_secret
from harness_core.domain.substitution import substitute_environment
from harness_core.domain.yamltree import Node, Path, Tree

__all__ = ["MAX_SHOWN", "Document", "dotted"]

#: characters to look through, all in all, for the exact places of parts of scalars
_MAX_SEARCHED = 20_000_000
#: of a word in a message
MAX_SHOWN = 80
#: a shorter value hides nothing, and replacing it would spoil every sentence
_MIN_MASKED = 4


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: ``services.api.args[2]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the file"


class Document:
    """One stack file's values, places and findings."""

    def __init__(self, tree: Tree, diagnostics: Diagnostics) -> None:
        self.tree = tree
        self.diagnostics = diagnostics
        self.data: Any = tree.root.data()
        #: paths of strings whose references could not be read or lack a variable; reported already
        self.unresolved: set[Path] = set()
        #: values of variables whose names are secret
        self.secrets: set[str] = set()
        self._masked: dict[str, str] = {}
        self._order: dict[int, dict[str | int, str | int]] = {}
        self._searchable = _MAX_SEARCHED

    # ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def value(self, path: Path) -> Any:
        """The value at a path, ``None`` when there is none."""
        value = self.data
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def put(self, path: Path, value: Any) -> None:
        """Replace the value at an existing path."""
        self.value(path[:-1])[path[-1]] = value

    def put_in_variables(self, env: Mapping[str, str]) -> None:
        """Replace every ``${VARIABLE}``, and report each one that is wrong or missing."""
        self._replace(self.tree.root, (), env)

    def _replace(self, node: Node, path: Path, env: Mapping[str, str]) -> None:
        if node.scalar is None:
            for step, child in node.children():
                self._replace(child, (*path, step), env)
            return
        text = node.scalar.value
        if not path or not isinstance(text, str) or not holds_reference(text):
            return
        try:
            template = parse(text)
            value, missing = substitute_environment(text, env)
        except BadReference as error:
            self.unresolved.add(path)
            place = self.place_in(node, text[error.start : error.end])
            self.diagnostics.error("bad-reference", error.message, place)
            return
        for lack in missing:
            self.unresolved.add(path)
            place = self.place_in(node, text[lack.start : lack.end])
            said = f": {lack.message}" if lack.message else ""
            label = "" if lack.message else f"set it, or write ${{{lack.name}:-default}}"
            self.diagnostics.error("missing-variable", f"variable {lack.name} is not set{said}", place, label=label)
        for reference in template.references():
            name = getattr(reference, "name", "")
            if len(env.get(name, "")) >= _MIN_MASKED:
                self._masked[env[name]] = f"${{{name}}}"
            if is_secret(name) and name in env:
                self.secrets.add(env[name])
        self.put(path, value)

    def unit_references(self, path: Path) -> Iterator[tuple[Path, UnitReference]]:
        """The references to units in the strings at and below a path, each with the path of its string."""
        value = self.value(path)
        if isinstance(value, str) and holds_reference(value) and path not in self.unresolved:
            yield from ((path, r) for r in parse(value).references() if isinstance(r, UnitReference))
        elif isinstance(value, dict):
            for key in value:
                yield from self.unit_references((*path, key))
        elif isinstance(value, list):
            for index in range(len(value)):
                yield from self.unit_references((*path, index))

    def written(self, path: Path, text: str) -> str:
        """A text in quotes as it stands in the file, so that no variable's value is repeated; cut when long."""
        node = self.tree.find(path)
        if node is not None and node.scalar is not None and node.scalar.text:
            text = node.scalar.text
        return f"'{text[:MAX_SHOWN]}{'…' if len(text) > MAX_SHOWN else ''}'"

    def mask(self, path: Path, message: str) -> str:
        """A message about the value at a path, with the values of variables replaced by their names."""
        node = self.tree.find(path)
        if node is not None and node.scalar is not None and not holds_reference(node.scalar.text):
            return message
        for value in sorted(self._masked, key=len, reverse=True):
            message = message.replace(value, self._masked[value])
        return message

    # ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def place_of_key(self, path: Path) -> Place:
        """The key of an entry; for an item of a list, the item."""
        marks = self.tree.marks(path)
        return marks.key or marks.value

    def place_of_value(self, path: Path) -> Place:
        """A leaf's value; for a list, a mapping or nothing at all the key, because that is what a person looks for."""
        marks = self.tree.marks(path)
        node = self.tree.find(path)
        shown = node is not None and node.scalar is not None and node.scalar.text != ""
        return marks.value if shown else marks.key or marks.value

    def place_of_text(self, path: Path, text: str) -> Place:
        """Where a part of a scalar stands."""
        node = self.tree.find(path)
        return self.place_of_value(path) if node is None else self.place_in(node, text)

    def place_in(self, node: Node, text: str) -> Place:
        """Where a part of a scalar stands, or the whole scalar when it is not found as written."""
        first, last = node.place.line, max(node.place.line, node.last_line)
        for number in range(first, last + 1) if text else ():
            self._searchable -= len(self.diagnostics.line(number)) + 1
            if self._searchable < 0:
                break
            start = self.diagnostics.line(number).find(text, node.place.column - 1 if number == first else 0)
            if start >= 0:
                return Place(number, start + 1, start + 1 + len(text))
        return node.place

    def trace(self, path: Path, location: Sequence[str | int]) -> Path:
        """The path in the file for a location in a model, as far as it leads.

        Steps that the file does not have are passed over: tags of unions, and the keys that a short form leaves out.
        """
        node = self.tree.find(path)
        found = path
        for step in location:
            actual = None if node is None else self._actual_step(node, step)
            if node is not None and actual is not None:
                entry = node.child(actual)
                assert entry is not None
                found, node = (*found, actual), entry[1]
        return found

    def _actual_step(self, node: Node, step: str | int) -> str | int | None:
        """The step that a node has for a model's: a list may stand for a mapping (ports), or the other way round."""
        if node.child(step) is not None:
            return step
        steps = self._order.get(id(node))
        if steps is None:
            steps = self._order[id(node)] = dict(enumerate(node.entries or ()))
            for index, item in reversed(list(enumerate(node.items or ()))):
                if item.scalar is not None:
                    steps.update({f"port{index}": index, item.scalar.text: index})
        return steps.get(step)
