"""Compose files put on top of each other: layers, and services that extend others, as items with their variables in."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from harness.importers.items import Item, Report, read_yaml
from harness.importers.source import Source
from harness.importers.variables import Interpolation

__all__ = ["Layers"]

_MAX_EXTENDS = 16
#: of these the later one counts alone
_REPLACED = frozenset({"command", "entrypoint", "test"})
#: these are mappings, or lists of what could be entries of one
_PAIRS = frozenset({"environment", "labels", "args", "annotations", "sysctls", "extra_hosts", "depends_on", "networks"})
#: these are lists, or one of what could be in it
_LISTS = frozenset({"env_file", "dns", "dns_search", "tmpfs"})


class Layers:
    """The project that several compose files make up."""

    def __init__(self, sources: Sequence[Source], interpolate: Interpolation, report: Report) -> None:
        self._source = sources[0]
        self._interpolate = interpolate
        self._report = report
        #: by file, where its relative paths begin; of the files that were named, that is where the first one lies
        self._folders: dict[str, str] = {}
        #: the services of files that are only extended
        self._others: dict[str, dict[str, Item]] = {}
        self.top = self._read(sources[0].file, sources[0].text)
        for source in sources[1:]:
            self.top = _merged(self.top, self._read(source.file, source.text))
        services = self.top.entries.get("services")
        known = {} if services is None else services.entries
        self.services = {name: self._extended(item, known, ()) for name, item in known.items()}

    def place(self, path: str, item: Item) -> str:
        """A path that stands in ``item``, as the stack file has to give it."""
        folder = self._folders.get(item.spot.file, "")
        if not folder or path.startswith(("/", "~", "${")):
            return self._source.place(path)
        joined = posixpath.normpath(posixpath.join(folder, path))
        return self._source.place(joined if joined.startswith("..") else f"./{joined}")

    def _read(self, file: str, text: str) -> Item:
        return self._with_variables(read_yaml(file, text))

    def _with_variables(self, item: Item) -> Item:
        if isinstance(item.value, dict):
            return Item({key: self._with_variables(inner) for key, inner in item.value.items()}, item.spot)
        if isinstance(item.value, list):
            return Item([self._with_variables(inner) for inner in item.value], item.spot)
        if not isinstance(item.value, str) or "$" not in item.text:
            return item
        text = self._interpolate(item.text, item.spot)
        return Item(text, item.spot, text)

    def _extended(self, item: Item, known: dict[str, Item], trail: tuple[tuple[str, str], ...]) -> Item:
        """A service over the one that it extends, and so on."""
        extends = item.entries.get("extends")
        if extends is None:
            return item
        own = Item({key: inner for key, inner in item.entries.items() if key != "extends"}, item.spot)
        file = extends.entries.get("file")
        name = extends.entries.get("service", extends).text
        if file is not None:
            known = self._services_of(file)
        base = known.get(name)
        step = (file.text if file else item.spot.file, name)
        if base is None:
            self._report.wrong(extends.spot, f"there is no service {name or '?'} to extend")
            return own
        if step in trail or len(trail) >= _MAX_EXTENDS:
            self._report.wrong(extends.spot, f"{name} extends itself in the end")
            return own
        return _merged(self._extended(base, known, (*trail, step)), own)

    def _services_of(self, file: Item) -> dict[str, Item]:
        """The services of another file; its relative paths begin where it lies."""
        path = posixpath.normpath(posixpath.join(self._folders.get(file.spot.file, ""), file.text))
        shown = self._source.shown(path)
        if shown not in self._others:
            text = self._source.read(path)
            if text is None:
                self._report.wrong(file.spot, f"cannot read {path}, which is extended here")
                return {}
            self._folders[shown] = posixpath.dirname(path)
            services = self._read(shown, text).entries.get("services")
            self._others[shown] = {} if services is None else services.entries
        return self._others[shown]


def _merged(base: Item, over: Item, key: str = "") -> Item:
    """What two layers say of the same thing, by the rules of compose."""
    if base is over or key in _REPLACED or over.value is None:
        return over
    if key in _PAIRS:
        base, over = _as_mapping(base), _as_mapping(over)
    if key in _LISTS:
        base, over = _as_list(base), _as_list(over)
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        both = {**base.value, **over.value}
        return Item({name: _merged(base.value.get(name, item), item, name) for name, item in both.items()}, over.spot)
    if isinstance(base.value, list) and isinstance(over.value, list):
        return Item(_joined(base.value, over.value, key), over.spot)
    return over


def _joined(base: list[Item], over: list[Item], key: str) -> list[Item]:
    if key in ("volumes", "devices"):
        replaced = {_target(item) for item in over}
        return [*(item for item in base if _target(item) not in replaced), *over]
    there = [item.plain() for item in base]
    return [*base, *(item for item in over if item.plain() not in there)]


def _target(item: Item) -> str:
    """Where inside a container something is mounted."""
    if isinstance(item.value, dict):
        target = item.value.get("target")
        return "" if target is None else target.text
    parts = [part for part in item.text.split(":") if part.startswith("/")]
    return parts[-1] if parts else item.text


def _as_mapping(item: Item) -> Item:
    if not isinstance(item.value, list):
        return item
    found = {}
    for one in item.value:
        name, sign, value = one.text.partition("=")
        if not sign and ":" in name:
            name, sign, value = name.partition(":")
        found[name] = Item(value if sign else None, one.spot, value)
    return Item(found, item.spot)


def _as_list(item: Item) -> Item:
    return item if isinstance(item.value, list) else Item([item], item.spot)
