"""A compose file, with what lies on top of it: services, and tasks where others wait for the end of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.importers.composelayers import Layers
from harness.importers.composeservice import ComposeService
from harness.importers.composeshared import Shared
from harness.importers.draft import Draft, Names, one_shots
from harness.importers.items import Fields, Item, Report, Spot
from harness.importers.source import Source
from harness.importers.variables import Interpolation
from harness_core.domain.envfile import EnvFileError, parse_env_file

__all__ = ["translate"]

_MAX_COPIES = 100
_TOP = {
    "include": "name the included files after this one: harness import FILE INCLUDED…",
    "models": "it has no counterpart",
}


def translate(sources: Sequence[Source], report: Report) -> Draft:
    """The stack that compose files describe; later ones lie on top of the first."""
    given = _dot_env(sources[0], report)
    interpolate = Interpolation(given, report)
    layers = Layers(sources, interpolate, report)
    top = Fields(layers.top, "", report)
    name = top.text("name") or given.get("COMPOSE_PROJECT_NAME")
    draft = Draft(name or sources[0].name, [f"imported from {', '.join(source.file for source in sources)}"])
    for key in ("version", "services"):
        top.take(key)
    shared = Shared(
        layers,
        report,
        project=_project(name or sources[0].folder),
        networks=_entries(top.take("networks")),
        volumes=_entries(top.take("volumes")),
        files={kind: _entries(top.take(kind)) for kind in ("secrets", "configs")},
    )
    _Project(layers, shared, draft, report).write()
    shared.tell_networks()
    top.rest(_TOP, "it has no counterpart")
    if not layers.services:
        report.wrong(Spot(sources[0].file, 1), "there are no services in it")
    if interpolate.used:
        draft.head.append("It takes values from .env: harness start FILE --env-file .env")
    if profiles := given.get("COMPOSE_PROFILES"):
        draft.head.append(f"COMPOSE_PROFILES={profiles} in .env: harness start FILE --profile NAME")
    return draft


class _Project:
    """All services, on their way into a draft."""

    def __init__(self, layers: Layers, shared: Shared, draft: Draft, report: Report) -> None:
        self._draft = draft
        self._report = report
        self._shared = shared
        self._fields = {name: Fields(item, f"services.{name}", report) for name, item in layers.services.items()}
        self._services = {name: ComposeService(name, fields, shared) for name, fields in self._fields.items()}
        self._copies = {name: self._copied(service) for name, service in self._services.items()}
        self._names = Names(copy for copies in self._copies.values() for copy in copies)
        self._needs = {name: dict(self._needed(service)) for name, service in self._services.items()}
        waited: dict[str, list[str]] = {}
        for needs in self._needs.values():
            for other, need in needs.items():
                waited.setdefault(other, []).append(str(need["condition"]))
        self._tasks = {name for name in one_shots(waited) if self._services[name].may_be_task}

    def write(self) -> None:
        for name, service in self._services.items():
            for copy in self._copies[name]:
                self._one(name, copy, service)

    def _one(self, name: str, copy: str, service: ComposeService) -> None:
        """Write one copy of a service."""
        unit_name = self._names[copy]
        is_task = name in self._tasks
        written = ComposeService(name, self._fields[name].copy(), self._shared)
        unit = written.unit(is_task=is_task, renamed=unit_name != name)
        unit.put("dependencies", list(self._dependencies(self._needs[name])))
        (self._draft.tasks if is_task else self._draft.services)[unit_name] = unit
        for remark in written.remarks:
            self._draft.remark(unit_name, remark)
        if unit_name != name:
            self._draft.remark(unit_name, f"called {name} in the compose file; others still find it under that name")

    def _copied(self, service: ComposeService) -> list[str]:
        """The names of a service's copies: its own where there is one."""
        count = service.copies
        if count > _MAX_COPIES:
            self._report.wrong(service.fields.origin, f"{service.fields.path}: more than {_MAX_COPIES} copies")
        return [service.name] if count <= 1 else [f"{service.name}-{n}" for n in range(1, min(count, _MAX_COPIES) + 1)]

    def _needed(self, service: ComposeService) -> Iterator[tuple[str, dict[str, object]]]:
        for name, spot, need in service.needs():
            other = self._services.get(name)
            if other is None:
                if need.get("required", True):
                    self._report.wrong(spot, f"{service.fields.path} depends on {name}, which is not there")
                continue
            if need["condition"] == "healthy" and not other.has_check:
                why = "it has no healthcheck here, and that of an image is not known; it waits for the start"
                self._report.lose(spot, f"{service.fields.path}.depends_on.{name}", why)
                need = {**need, "condition": "started"}
            yield name, need

    def _dependencies(self, needs: Mapping[str, Mapping[str, object]]) -> Iterator[object]:
        for name, need in needs.items():
            usual = "completed_successfully" if name in self._tasks else "started"
            if name not in self._tasks and self._services[name].has_check:
                usual = "healthy"
            rest = {key: value for key, value in need.items() if (key, value) != ("condition", usual)}
            for copy in self._copies[name]:
                if name in self._tasks:
                    yield {"task": self._names[copy], **rest}
                else:
                    yield {"service": self._names[copy], **rest} if rest else self._names[copy]


def _project(name: str) -> str:
    """What compose calls the project, in the names of its volumes."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")


def _entries(item: Item | None) -> dict[str, Item]:
    return {} if item is None else item.entries


def _dot_env(source: Source, report: Report) -> dict[str, str]:
    """The variables of the ``.env`` that compose reads by itself."""
    text = source.read(".env")
    if text is None:
        return {}
    try:
        return {assignment.name: assignment.template for assignment in parse_env_file(text)}
    except EnvFileError as error:
        report.wrong(Spot(source.shown(".env"), error.line), error.message)
        return {}
