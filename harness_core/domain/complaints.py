"""What the validation library says, in the words of people and at the place in the file that is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from harness_core.domain.diagnostics import did_you_mean
from harness_core.domain.document import MAX_SHOWN, Document, dotted
from harness_core.domain.references import holds_reference
from harness_core.domain.yamltree import Path

__all__ = ["complain", "keys_at"]

_WHOLE = "a whole number"
_MAPPING = "a mapping of keys"
#: what a value of each kind should be; completes "'x' must be …"
_EXPECTED = {
    "string_type": "text",
    "string_sub_type": "text",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "a smaller number",
    "int_from_float": _WHOLE,
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "enum": "{expected}",
}


def complain(document: Document, path: Path, model: type[BaseModel], errors: Sequence[ErrorDetails]) -> None:
    """Report the errors of validating the value at ``path``, those of one union as one finding."""
    alternatives: dict[Path, list[ErrorDetails]] = {}
    inner: set[Path] = set()
    for error in errors:
        location = [step for step in error["loc"] if step != "[key]"]
        if error["type"] == "missing":
            owner = document.trace(path, location[:-1])
            inner.add((*owner, location[-1]))
            _missing(document, owner, str(location[-1]))
        elif error["type"] == "extra_forbidden":
            key = document.trace(path, location)
            inner.add(key)
            _unknown_key(document, key, keys_at(model, location[:-1]))
        elif error["loc"] and error["loc"][-1] == "[key]":
            key = document.trace(path, location)
            message = f"{_shown(str(key[-1]))} cannot be a name here"
            document.diagnostics.error("bad-name", message, document.place_of_key(key), notes=[f"it {_plain(error)}"])
        else:
            alternatives.setdefault(document.trace(path, location), []).append(error)
    inner.update(alternatives)
    nested = {where[:length] for where in inner for length in range(len(where))}
    for where, group in alternatives.items():
        # a mapping that was meant for one member of a union is not also reported as no text for another
        if where not in nested:
            _wrong_value(document, where, group)


def _missing(document: Document, owner: Path, field: str) -> None:
    place = document.place_of_key(owner)
    document.diagnostics.error("missing-key", f"{dotted(owner)} has no '{field}'", place, label=f"'{field}' is needed")


def _unknown_key(document: Document, path: Path, known: Sequence[str]) -> None:
    key = str(path[-1])
    notes = [f"known: {', '.join(known)}"] if known else []
    message = f"{_shown(key)} is not a key of {dotted(path[:-1])}"
    place = document.place_of_key(path)
    document.diagnostics.error("unknown-key", message, place, label=did_you_mean(key, known), notes=notes)


def _wrong_value(document: Document, path: Path, group: Sequence[ErrorDetails]) -> None:
    if document.diagnostics.full:
        # only to be counted
        document.diagnostics.error("wrong-value", dotted(path), document.place_of_value(path))
        return
    node = document.tree.find(path)
    scalar = None if node is None else node.scalar
    written = scalar.text if scalar is not None else None
    first = group[0]
    context: Mapping[str, Any] = first.get("ctx", {})
    words = [str(w) for w in context["known"]] if "known" in context else _quoted(str(context.get("expected", "")))
    # the second word is the first without what a validator took off ("service_healthy" is "healthy")
    meant = [word for word in (written, first.get("input")) if isinstance(word, str) and not holds_reference(written)]
    label = next((label for label in (did_you_mean(word, words) for word in meant) if label), "")
    expected = list(dict.fromkeys(e for e in map(_expected, group) if e))
    name = _named(path)
    if len(group) == 1 and words and written is not None:
        message = f"{_shown(written)} is not {'a signal' if first['type'] == 'signal' else 'one of ' + expected[0]}"
    elif expected:
        nothing = scalar is not None and scalar.value is None
        message = f"{name} {'has no value; it ' if nothing else ''}must be {' or '.join(expected)}"
    else:
        message = f"{name}: {_hidden(_plain(first), first.get('input'), written)}"
    document.diagnostics.error("wrong-value", document.mask(path, message), document.place_of_value(path), label=label)


def _expected(error: ErrorDetails) -> str:
    context = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in error.get("ctx", {}).items()
    }
    return _EXPECTED.get(error["type"], "").format_map(context)


def _plain(error: ErrorDetails) -> str:
    """The library's sentence, its first line alone, lower case, without its prefixes."""
    message = error["msg"].partition("\n")[0].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.replace("Input should", "must").replace("String should", "must").replace("List should", "must")
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def _hidden(message: str, value: object, written: str | None) -> str:
    """The message with what stands in the file instead of the value that a variable gave it."""
    if written is None or not isinstance(value, str) or value == written or not value:
        return message
    return message.replace(repr(value), repr(written)).replace(value, written)


def _quoted(expected: str) -> list[str]:
    return expected.split("'")[1::2]


def _shown(text: str) -> str:
    return f"'{text[:MAX_SHOWN]}{'…' if len(text) > MAX_SHOWN else ''}'"


def _named(path: Path) -> str:
    """The nearest key, with the position where it is an item of a list."""
    if not path:
        return "the file"
    if isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {_named(path[:-1])}"
    return _shown(path[-1])


def keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that a model knows at a location, as far as its annotations tell."""
    candidates: list[Any] = [model]
    for step in location:
        further = [part for candidate in candidates for part in _step(candidate, step)]
        # a tag of a union leads nowhere: the candidates stay
        candidates = further or candidates
    known = (name for c in candidates if _is_model(c) for name in _keys(c))
    return list(dict.fromkeys(known))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _step(annotation: Any, step: str | int) -> list[Any]:
    """What an annotation says about its part under a key or at a position, unions opened."""
    if _is_model(annotation):
        keys = _keys(annotation)
        return _opened(keys[str(step)]) if step in keys else []
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return _opened(arguments[1])
    if origin in (list, tuple, set) and isinstance(step, int):
        return _opened(arguments[0])
    return []


def _opened(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _opened(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [part for member in get_args(annotation) for part in _opened(member)]
    return [annotation]
