"""From values to models, with every error reported at its place.

A field that wants text takes a number or a boolean as it is written in the file: ``args: [--port, 8080]`` and
``VERSION: 1.10`` mean what they look like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness_core.domain.complaints import complain
from harness_core.domain.diagnostics import did_you_mean
from harness_core.domain.document import Document
from harness_core.domain.references import holds_reference
from harness_core.domain.resolved import target_options
from harness_core.domain.yamltree import Node, Path

__all__ = ["INSTALLED_NOTE", "NOT_HERE", "OTHER_TYPES", "validate", "validate_target"]

M = TypeVar("M", bound=BaseModel)

INSTALLED_NOTE = "harness plugins   lists the installed target types"
NOT_HERE = "a value of another unit cannot stand here: it is known only when the unit starts"
#: types that executors exist for, though this installation may have none
OTHER_TYPES = (
    "process",
    "docker",
    "docker-attach",
    "process-attach",
    "remote",
    "compose",
    "package",
    "systemd",
    "action",
)


def validate(document: Document, path: Path, model: type[M], *, leave_out: Sequence[str] = ()) -> M | None:
    """An instance of the model from the value at ``path``, or ``None`` after reporting why not."""
    while True:
        value = document.value(path)
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if k not in leave_out}
        try:
            return model.model_validate(value)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        # each round makes text of at least one number, so there is a last one
        if not _took_text(document, path, errors):
            break
    remaining = []
    for detail in errors:
        where = document.trace(path, detail["loc"])
        if not _awaits_value(document, where, detail):
            remaining.append(detail)
        elif where not in document.unresolved:
            document.diagnostics.error("reference-not-here", NOT_HERE, document.place_of_value(where))
    complain(document, path, model, remaining)
    return None


def _awaits_value(document: Document, where: Path, error: ErrorDetails) -> bool:
    return error["type"] not in ("missing", "extra_forbidden") and holds_reference(document.value(where))


def _took_text(document: Document, path: Path, errors: Sequence[ErrorDetails]) -> bool:
    """Replace numbers and booleans by their text where text is wanted; whether there was any."""
    changed = False
    for error in errors:
        where = document.trace(path, error["loc"])
        node = document.tree.find(where)
        scalar = None if node is None else node.scalar
        wanted = error["type"] == "string_type" and where != path
        if wanted and scalar is not None and isinstance(document.value(where), (bool, int, float)):
            document.put(where, scalar.text)
            changed = True
    return changed


def validate_target(document: Document, path: Path, options: Mapping[str, type[BaseModel]]) -> None:
    """Check the target at ``path`` with the options model of its type; references in it may still be unresolved."""
    target = document.value(path)
    if not isinstance(target, dict):
        return
    kind = target.get("type")
    if not isinstance(kind, str):
        place = document.place_of_value((*path, "type")) if "type" in target else document.place_of_key(path)
        known = f"known: {', '.join(options)}"
        document.diagnostics.error(
            "missing-key", "the target has no type", place, label="'type' is needed", notes=[known, INSTALLED_NOTE]
        )
    elif kind not in options:
        _unknown_type(document, (*path, "type"), kind, list(options))
    else:
        _validate_options(document, path, options[kind])


def _unknown_type(document: Document, path: Path, kind: str, known: list[str]) -> None:
    place = document.place_of_value(path)
    notes = [f"known: {', '.join(known)}", INSTALLED_NOTE]
    if kind in OTHER_TYPES:
        message = f"this installation has no executor for targets of type '{kind}'"
        document.diagnostics.error("missing-executor", message, place, notes=notes)
        return
    if path not in document.unresolved:
        label = did_you_mean(kind, [*known, *OTHER_TYPES])
        message = f"{document.written(path, kind)} is not a target type"
        document.diagnostics.error("unknown-target", message, place, label=label, notes=notes)


def _validate_options(document: Document, path: Path, model: type[BaseModel]) -> None:
    _text_environment(document, (*path, "env"))
    given = _as_written(document, path)
    while True:
        try:
            target_options(model, document.value(path))
            return
        except ValidationError as error:
            errors = [
                detail
                for detail in error.errors(include_url=False)
                if not _awaits_value(document, document.trace(path, detail["loc"]), detail)
            ]
        except Exception as error:  # noqa: BLE001 - a plugin's model is foreign code and may raise anything
            message = f"the plugin for this type could not read the target: {type(error).__name__}"
            document.diagnostics.error("plugin-error", message, document.place_of_key(path))
            return
        # each value changes twice at most: to its number again, and to its text for good
        if not (_took_number(document, path, errors, given) or _took_text(document, path, errors)):
            break
    complain(document, path, model, errors)


def _as_written(document: Document, path: Path) -> dict[Path, float]:
    """Make texts of numbers that would look otherwise as text (``1.10``, ``0x1F``): a plugin that takes either gets
    what stands in the file. Returns the numbers, for fields that want them."""
    given: dict[Path, float] = {}
    root = document.tree.find(path)
    assert root is not None
    pending: list[tuple[Path, Node]] = [(path, root)]
    while pending:
        where, node = pending.pop()
        pending += [((*where, step), child) for step, child in node.children()]
        value = document.value(where)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and node.scalar is not None and str(value) != node.scalar.text:
            given[where] = value
            document.put(where, node.scalar.text)
    return given


def _took_number(document: Document, path: Path, errors: Sequence[ErrorDetails], given: dict[Path, float]) -> bool:
    """Give the numbers back to the fields that do not take their text, or all when it cannot be told which."""
    wrong = {document.trace(path, detail["loc"]) for detail in errors}
    back = [where for where in given if where in wrong] or (list(given) if errors else [])
    for where in back:
        document.put(where, given.pop(where))
    return bool(back)


def _text_environment(document: Document, path: Path) -> None:
    """Environment variables are text whatever a plugin's model would make of ``1.10`` or ``true``."""
    env = document.value(path)
    node = document.tree.find(path)
    if isinstance(env, dict) and node is not None:
        for key, value in env.items():
            entry = node.child(key)
            if isinstance(value, (bool, int, float)) and entry is not None and entry[1].scalar is not None:
                env[key] = entry[1].scalar.text
