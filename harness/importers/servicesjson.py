"""A launcher's services.json: lists of services, each with its module or command, port, endpoints and environment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.importers.draft import INHERITED, MANUAL, ON_DEMAND, Block, Draft, Names
from harness.importers.items import Fields, Item, Report, Spot, read_yaml
from harness.importers.source import Source
from harness.importers.variables import Variable, template

__all__ = ["translate"]

_GROUP = re.compile(r"(.+)_services|services")
_FUTURE = "future_services"
_SURROGATES = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_TOP = {
    _FUTURE: "they are examples of what is still to come",
    "discovery": "the daemon knows its services",
    "service_groups": "groups of a window; labels say to which list each belongs",
}


def translate(source: Source, report: Report) -> Draft:
    """The stack that a services.json describes."""
    text = _SURROGATES.sub(_joined, source.text)
    top = Fields(read_yaml(source.file, text), "", report)
    draft = Draft(source.name, [f"imported from {source.file}", INHERITED])
    top.take("version")
    description = top.text("description")
    if description:
        draft.head.append(description)
    entries: dict[str, tuple[str, Item]] = {}
    for key in top:
        found = _GROUP.fullmatch(key)
        if key == _FUTURE or found is None:
            continue
        for item in top.items(key):
            name = item.entries.get("id")
            if name is None:
                report.wrong(item.spot, f"a service in {key} has no id")
            elif name.text in entries:
                report.wrong(name.spot, f"{name.text} is given twice")
            else:
                entries[name.text] = found[1] or "", item
    if not entries:
        report.wrong(Spot(source.file, 1), "there are no services in it: lists like backend_services")
    names = Names(entries)
    ports = _ports(entries)
    for original, (group, item) in entries.items():
        unit = _Service(original, Fields(item, original, report), source, ports, names).unit(group)
        draft.services[names[original]] = unit
        if names[original] != original:
            draft.remark(names[original], f"called {original} in {source.file}")
    top.rest(_TOP, "it has no counterpart")
    return draft


def _joined(found: re.Match[str]) -> str:
    """JSON writes what is beyond sixteen bits as two halves."""
    high, low = int(found[1], 16), int(found[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _ports(entries: Mapping[str, tuple[str, Item]]) -> dict[str, str]:
    """By the variable that carries it, each service's usual port."""
    found = {}
    for _, item in entries.values():
        variable, port = item.entries.get("port_env"), item.entries.get("default_port")
        if variable is not None and port is not None:
            found[variable.text] = port.text
    return found


class _Service:
    """One entry of a list."""

    def __init__(self, original: str, fields: Fields, source: Source, ports: Mapping[str, str], names: Names) -> None:
        self._original = original
        self._fields = fields
        self._source = source
        self._ports = ports
        self._names = names

    def unit(self, group: str) -> Block:
        fields, unit = self._fields, Block()
        fields.take("id")
        kind = fields.text("type") or "python"
        port, variable = fields.text("default_port"), fields.text("port_env")
        target = self._compose() if kind in ("docker-compose", "compose") else self._process(kind, bool(port))
        if variable and port:
            env = target.entries.get("env", {})
            target.put("env", {variable: "${self.port}", **env})
        unit.put("target", target)
        title, about = fields.text("name"), fields.text("description")
        unit.put("description", ": ".join(part for part in (title, about) if part))
        if port is not None:
            given = template([Variable(variable, port)]) if variable else int(port)
            unit.put("ports", {"http": given})
        self._endpoints(unit, group, port is not None)
        unit.put("provides", fields.texts("provides"))
        unit.put("dependencies", self._dependencies())
        if not fields.flag("auto_start", True):
            unit.put("profiles", [MANUAL], ON_DEMAND)
        if not fields.flag("enabled", True):
            unit.put("enabled", False)
        fields.rest({}, "it has no counterpart")
        return unit

    def _process(self, kind: str, has_port: bool) -> Block:
        """A Python module, an application for uvicorn where it names one, or a command."""
        fields, target = self._fields, Block(type="process")
        module, command, directory = fields.text("module"), fields.text("command"), fields.text("directory")
        args = [self._text(text, ports_only=True) for text in fields.texts("args")]
        if has_port and args and args[-1] == "--port":
            args.append("${self.port}")
        if module is not None and ":" in module:
            port = ["--port", "${self.port}"] if has_port else []
            target.put("binary", "python3", "on this machine alone, and without --reload")
            target.put("args", ["-m", "uvicorn", module, "--host", "127.0.0.1", *port, *args])
        elif module is not None:
            target.put("binary", "python3")
            target.put("args", ["-m", module, *args])
        elif command is not None:
            target.put("binary", command)
            target.put("args", args)
        else:
            self._fields.report.wrong(fields.origin, f"{self._original} ({kind}) has neither module nor command")
        target.put("env", {key: self._text(value or "") for key, (_, value) in fields.pairs("env_overrides").items()})
        target.put("working_dir", self._source.working_dir if directory is None else self._source.place(directory))
        return target

    def _compose(self) -> Block:
        fields, target = self._fields, Block(type="compose")
        files = fields.texts("file") or fields.texts("compose_file")
        target.put("files", [self._source.place(file) for file in files])
        if directory := fields.text("directory"):
            target.put("working_dir", self._source.place(directory))
        return target

    def _endpoints(self, unit: Block, group: str, has_port: bool) -> None:
        fields = self._fields
        health = fields.peek("health_endpoint")
        path = fields.text("health_endpoint")
        if path is not None and (has_port or "://" in path):
            unit.put("health_check", {"http": path})
        elif health is not None:
            fields.report.lose(health.spot, f"{self._original}.health_endpoint", "it has no port to be asked at")
        labels = {"group": group, "tags": ",".join(fields.texts("tags"))}
        labels |= {key: fields.text(f"{key}_endpoint") or "" for key in ("docs", "info")}
        unit.put("labels", {key: value for key, value in labels.items() if value})

    def _dependencies(self) -> list[str]:
        found = []
        for spot, name in self._fields.texts_with_spots("depends_on"):
            if name in self._names:
                found.append(self._names[name])
            else:
                self._fields.report.lose(spot, f"{self._original}.depends_on: {name}", "there is no such service here")
        return found

    def _text(self, text: str, *, ports_only: bool = False) -> str:
        """``$PORT`` is the service's own; the port of another is what its variable says, or its usual one. What else a
        ``$`` names comes from the environment, unless ``ports_only`` are meant."""
        parts: list[str | Variable] = []
        at, own = 0, "\0"
        for found in _VARIABLE.finditer(text):
            if ports_only and found[1] != "PORT" and found[1] not in self._ports:
                continue
            parts.append(text[at : found.start()])
            at = found.end()
            parts.append(own if found[1] == "PORT" else Variable(found[1], self._ports.get(found[1], "")))
        return template([*parts, text[at:]]).replace(own, "${self.port}")
