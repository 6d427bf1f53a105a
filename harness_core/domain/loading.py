"""A stack file to a definition, or to everything that is wrong with it.

Errors never end the reading early: what can still be judged is judged, so that one run names them all. Two kinds of
mistakes are final: text that is not YAML, and a file that is no mapping.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from harness_core.domain.crosschecks import (
    check_cycles,
    check_dependencies,
    check_health,
    check_ports,
    check_references,
)
from harness_core.domain.definition import StackDefinition
from harness_core.domain.diagnostics import Diagnostics, Place, did_you_mean
from harness_core.domain.document import Document
from harness_core.domain.drafts import Draft, EnvFiles, collect_uses, readable_dependencies
from harness_core.domain.envfile import inherited
from harness_core.domain.hosts import check_hosts
from harness_core.domain.protocol import Diagnostic, StackSource
from harness_core.domain.spec import MAX_NAME, NAME, ServiceFile, Settings, StackFile, TaskFile, UnitSpec
from harness_core.domain.states import Kind
from harness_core.domain.units import build_unit
from harness_core.domain.validation import NOT_HERE, validate, validate_target
from harness_core.domain.yamltree import read_tree

__all__ = ["Loaded", "load_stack"]

#: means the asking unit itself in ``${self.port}``
_RESERVED = {"self"}
_TOP = Place(1, 1, 2)
_MODELS: dict[str, tuple[Kind, type[ServiceFile] | type[TaskFile]]] = {
    "services": (Kind.SERVICE, ServiceFile),
    "tasks": (Kind.TASK, TaskFile),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """``stack`` is ``None`` exactly when one of the ``diagnostics`` is an error."""

    stack: StackDefinition | None
    diagnostics: list[Diagnostic]


def load_stack(
    source: StackSource,
    options: Mapping[str, type[BaseModel]],
    *,
    read: Callable[[str], bytes],
    instance: str | None = None,
    strict: bool = False,
    service_types: Collection[str] | None = None,
    task_types: Collection[str] | None = None,
) -> Loaded:
    """Read a stack file completely. Never raises for what a file, an env file or a plugin's model may hold.

    ``options`` maps target types to their models; ``read`` gives the bytes of an env file by absolute path or raises
    ``OSError``; ``instance`` overrides the stack's name; ``strict`` makes errors of warnings. With ``service_types``
    and ``task_types`` it is also checked that a daemon implements the types that units are linked to.
    """
    diagnostics = Diagnostics(source.filename)
    types = {Kind.SERVICE: service_types, Kind.TASK: task_types}
    stack = _Loading(source, options, diagnostics, read, instance or source.name, types).run()
    found = diagnostics.report(strict=strict)
    return Loaded(None if any(d["severity"] == "error" for d in found) else stack, found)


@dataclass(slots=True)
class _Loading:
    """One run of the loader."""

    source: StackSource
    options: Mapping[str, type[BaseModel]]
    diagnostics: Diagnostics
    read: Callable[[str], bytes]
    instance: str | None
    types: Mapping[Kind, Collection[str] | None]

    def run(self) -> StackDefinition | None:
        """All steps in order; the definition is only of use when nothing was found wrong."""
        document = self._document()
        if document is None:
            return None
        file = self._top_level(document)
        drafts = self._drafts(document)
        env_files = EnvFiles(document, self.source.base_dir, self.source.env, self.read)
        for draft in drafts.values():
            draft.uses.extend(collect_uses(document, draft.path))
            env_files.load(draft)
        for check in (check_dependencies, check_references, check_cycles, check_ports, check_health, check_hosts):
            check(document, drafts)
        settings = Settings() if file is None else file.settings
        units = {
            name: build_unit(
                draft,
                drafts,
                stack=self.instance or (file.name if file else ""),
                base_dir=self.source.base_dir,
                settings=settings,
                hosts={} if file is None else file.hosts,
                inherited=inherited(self.source.env),
                restart=getattr(self.options.get(draft.target_type), "RESTART", None),
            )
            for name, draft in drafts.items()
            if draft.model is not None
        }
        return None if file is None else self._definition(file, units, document.secrets)

    def _document(self) -> Document | None:
        """The file's values with variables put in, or ``None`` when it is no mapping at all."""
        tree = read_tree(self.source.text, self.diagnostics)
        if tree is None:
            return None
        if tree.root.entries is None:
            empty = tree.root.items is None and tree.root.data() is None
            message = "the file is empty" if empty else "a stack file is a mapping of keys"
            self.diagnostics.error("not-a-stack", message, tree.root.place, label="it begins with 'name: …'")
            return None
        document = Document(tree, self.diagnostics)
        document.put_in_variables(self.source.env)
        return document

    def _top_level(self, document: Document) -> StackFile | None:
        """Everything but the units."""
        anchors = [key for key in document.data if key.startswith("x-")]
        file = validate(document, (), StackFile, leave_out=[*_MODELS, *anchors])
        if file is not None and "name" in document.data:
            self._check_name(file.name, document.place_of_value(("name",)))
        if self.instance is not None:
            self._check_name(self.instance, _TOP)
        for name in (document.value(("hosts",)) or {}) if file is not None else ():
            self._check_name(name, document.place_of_key(("hosts", name)))
        if not any(document.data.get(section) for section in _MODELS):
            self.diagnostics.error("empty-stack", "the stack has neither services nor tasks", document.tree.root.place)
        for section in ("name", "description", "settings", "hosts"):
            for path, _ in document.unit_references((section,)):
                self.diagnostics.error("reference-not-here", NOT_HERE, document.place_of_value(path))
        return file

    def _check_name(self, name: str, place: Place) -> None:
        if name in _RESERVED:
            self.diagnostics.error("bad-name", f"'{name}' cannot be a name: it has a meaning in references", place)
        elif not NAME.fullmatch(name) or ".." in name:
            shown = f"'{name[:MAX_NAME]}{'…' if len(name) > MAX_NAME else ''}'"
            label = f"a-z, 0-9, '.', '_' and '-', at most {MAX_NAME} characters"
            self.diagnostics.error("bad-name", f"{shown} cannot be a name", place, label=label)

    def _drafts(self, document: Document) -> dict[str, Draft]:
        """The units, by name in the order of the file, each judged for itself."""
        drafts: dict[str, Draft] = {}
        for section, (kind, _) in _MODELS.items():
            units = document.data.get(section)
            if units is not None and not isinstance(units, dict):
                message = f"'{section}' must be a mapping of names"
                self.diagnostics.error("wrong-value", message, document.place_of_value((section,)))
                continue
            for name in units or {}:
                path = (section, name)
                self._check_name(name, document.place_of_key(path))
                if name in drafts:
                    message = f"'{name}' is the name of a service already"
                    self.diagnostics.error("duplicate-name", message, document.place_of_key(path))
                else:
                    drafts[name] = self._draft(document, Draft(name, kind, path))
        return drafts

    def _draft(self, document: Document, draft: Draft) -> Draft:
        target = (*draft.path, "target")
        validate_target(document, target, self.options)
        draft.model = validate(document, draft.path, _MODELS[str(draft.path[0])][1])
        draft.dependencies = readable_dependencies(document, draft)
        for where in ((*draft.path, "restart"), (*draft.path, "restart", "policy")):
            node = document.tree.find(where)
            # "restart: no" is a word of ours, so what other tools make of it does not matter
            if node is not None and node.scalar is not None:
                self.diagnostics.withdraw("yaml-1.1", node.place)
        self._check_implementation(document, draft)
        return draft

    def _check_implementation(self, document: Document, draft: Draft) -> None:
        """The daemon implements what the unit is linked to."""
        if draft.model is None:
            return
        key = f"{draft.kind}_type"
        linked: str | None = getattr(draft.model, key)
        known = self.types[draft.kind]
        place = document.place_of_value((*draft.path, key))
        if linked is not None and known is not None and linked not in known:
            message = f"this daemon implements no {key} {document.written((*draft.path, key), linked)}"
            notes = [f"known: {', '.join(sorted(known)) or 'none'}"]
            self.diagnostics.error("unknown-type", message, place, label=did_you_mean(linked, known), notes=notes)
        elif document.value((*draft.path, "target")) is None and "action" not in self.options:
            message = f"{draft.name} has no 'target', and this daemon runs no tasks of its own"
            self.diagnostics.error("missing-executor", message, place)

    def _definition(self, file: StackFile, units: dict[str, UnitSpec], secrets: set[str]) -> StackDefinition:
        return StackDefinition(
            name=self.instance or file.name,
            title=file.name,
            description=file.description,
            base_dir=self.source.base_dir,
            filename=self.source.filename,
            text_digest=hashlib.sha256(self.source.text.encode()).hexdigest(),
            settings=file.settings,
            units=units,
            secrets=tuple(sorted(secrets)),
            hosts=file.hosts,
        )
