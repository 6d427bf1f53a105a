"""The units of a file between validation and specification: models, environment, and what they refer to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from harness_core.domain.diagnostics import Place
from harness_core.domain.document import Document
from harness_core.domain.envfile import EnvFileError, parse_env_file
from harness_core.domain.references import BadReference, UnitReference, holds_reference
from harness_core.domain.spec import Dependency, ServiceFile, TaskFile
from harness_core.domain.states import Kind
from harness_core.domain.substitution import find, substitute_environment
from harness_core.domain.validation import NOT_HERE
from harness_core.domain.yamltree import MAX_BYTES, Path

__all__ = ["Draft", "EnvFiles", "Use", "collect_uses", "readable_dependencies"]

#: the parts of a unit that get the values of other units right before its start
_RESOLVED = ("target", "health_check", "action", "labels", "user")


@dataclass(frozen=True, slots=True)
class Use:
    """A reference to a unit, and where it stands; ``file`` is set when that is not the stack file."""

    reference: UnitReference
    place: Place
    file: str | None = None


@dataclass(slots=True)
class Draft:
    """A unit as far as it could be read; ``model`` is ``None`` when it has errors."""

    name: str
    kind: Kind
    path: Path
    model: ServiceFile | TaskFile | None = None
    #: with their positions; readable even when the unit has errors elsewhere
    dependencies: list[tuple[int, Dependency]] = field(default_factory=list)
    #: from its env files, as templates
    env: dict[str, str] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)

    @property
    def target(self) -> Mapping[str, Any]:
        """What it runs; empty when unreadable."""
        return self.model.target if self.model is not None else {}

    @property
    def target_type(self) -> str:
        """Its ``type``; empty when unreadable."""
        kind = self.target.get("type")
        return kind if isinstance(kind, str) else ""


def readable_dependencies(document: Document, draft: Draft) -> list[tuple[int, Dependency]]:
    """The dependencies of a draft, without those that are wrong and have been reported."""
    if draft.model is not None:
        return list(enumerate(draft.model.dependencies))
    given = document.value((*draft.path, "dependencies"))
    if isinstance(given, dict):
        given = [{"service": name, **(more if isinstance(more, dict) else {})} for name, more in given.items()]
    found = []
    for index, item in enumerate(given if isinstance(given, list) else ()):
        try:
            found.append((index, Dependency.model_validate(item)))
        except ValidationError:
            continue
    return found


def collect_uses(document: Document, path: Path) -> list[Use]:
    """The references to units below ``path``; those in places that are never resolved are reported."""
    found = []
    for where, reference in document.unit_references(path):
        inner = where[len(path) :]
        if (inner[:1] and inner[0] in _RESOLVED) or inner[:2] == ("stop", "command"):
            found.append(Use(reference, document.place_of_text(where, str(reference))))
        else:
            document.diagnostics.error("reference-not-here", NOT_HERE, document.place_of_value(where))
    return found


class EnvFiles:
    """Reads the env files of one stack, each once."""

    def __init__(self, document: Document, base_dir: str, env: Mapping[str, str], read: Callable[[str], bytes]) -> None:
        self._document = document
        self._base_dir = base_dir
        self._env = env
        self._read = read
        self._content: dict[str, tuple[dict[str, str], list[Use]]] = {}

    def load(self, draft: Draft) -> None:
        """Give a draft the variables of its files, later ones winning, and the references in them."""
        names = draft.model.env_file if draft.model is not None else []
        for index, name in enumerate(names):
            if holds_reference(name):
                continue
            where = self._document.trace(draft.path, ("env_file", index))
            variables, uses = self._file(name, where)
            draft.env.update(variables)
            draft.uses.extend(uses)

    def _file(self, name: str, where: Path) -> tuple[dict[str, str], list[Use]]:
        if name not in self._content:
            self._content[name] = ({}, [])
            text = self._text(name, where)
            if text is not None:
                self._content[name] = self._parsed(name.removeprefix("?"), text)
        return self._content[name]

    def _text(self, name: str, where: Path) -> str | None:
        path = name.removeprefix("?")
        try:
            content = self._read(self._absolute(path))
        except FileNotFoundError:
            if not name.startswith("?"):
                label = "write ?… for a file that may be missing"
                self._cannot_read(where, path, "no such file", label)
            return None
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or "it cannot be read").lower()
            self._cannot_read(where, path, reason)
            return None
        if len(content) > MAX_BYTES:
            self._cannot_read(where, path, "it is larger than 1 MiB")
            return None
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            self._cannot_read(where, path, f"not UTF-8 at offset {error.start}")
            return None

    def _cannot_read(self, where: Path, path: str, why: str, label: str = "") -> None:
        message = f"cannot read {self._document.written(where, path)}: {why}"
        self._document.diagnostics.error("no-env-file", message, self._document.place_of_value(where), label=label)

    def _absolute(self, path: str) -> str:
        if path.startswith("~/") and self._env.get("HOME"):
            return f"{self._env['HOME']}{path[1:]}"
        return path if path.startswith("/") else f"{self._base_dir}/{path}"

    def _parsed(self, file: str, text: str) -> tuple[dict[str, str], list[Use]]:
        diagnostics = self._document.diagnostics
        variables: dict[str, str] = {}
        uses: list[Use] = []
        try:
            assignments = parse_env_file(text)
        except EnvFileError as error:
            diagnostics.error("bad-env-file", error.message, Place(error.line, 1, 2), file=file)
            return variables, uses
        for found in assignments:
            place = Place(found.line, 1, 1 + len(found.name))
            try:
                value, missing = substitute_environment(found.template, self._env)
                references = find(found.template if missing else value)
            except BadReference as error:
                diagnostics.error("bad-reference", f"in the value of {found.name}: {error.message}", place, file=file)
                continue
            for lack in missing:
                diagnostics.error("missing-variable", f"variable {lack.name} is not set", place, file=file)
            uses += [Use(r.reference, place, file) for r in references if isinstance(r.reference, UnitReference)]
            variables[found.name] = value
        return variables, uses
