"""The JSON Schema of stack files, made from the models that read them, so that an editor and the loader agree.

It is somewhat wider than the models themselves: short forms, numbers where text is wanted, and ``${…}`` in place of a
number or a word are accepted in a file, so the schema accepts them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from harness_core.domain.policies import CONDITION_PREFIXES, POLICY_WORDS, Condition
from harness_core.domain.quantities import Model
from harness_core.domain.stackfile import NAME, StackFile

__all__ = ["SCHEMA_ID", "stack_schema"]

SCHEMA_ID = "urn:service-harness:schema:stack"

_REFERENCE = {"type": "string", "pattern": r"\$\{", "description": "a reference: ${VARIABLE} or ${service.port}"}
_TEXT = {"type": ["string", "number", "boolean"]}
_WORDS = ("enum", "const")


def stack_schema(options: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema (draft 2020-12) of stack files whose targets are of the given types."""
    models: list[tuple[type[BaseModel], Any]] = [(StackFile, "validation")]
    models += [(model, "validation") for model in dict.fromkeys(options.values())]
    references, joined = models_json_schema(models, schema_generator=GenerateJsonSchema)
    definitions: dict[str, Any] = {name: _widened(schema) for name, schema in joined["$defs"].items()}
    named = {model: str(reference["$ref"]).rpartition("/")[2] for (model, _), reference in references.items()}
    targets = {kind: _target(kind, definitions[named[model]]) for kind, model in options.items()}
    definitions.update({f"target.{kind}": schema for kind, schema in targets.items()})
    for unit in ("ServiceFile", "TaskFile"):
        _unit(definitions[unit], list(options))
    definitions["TaskFile"]["required"] = []
    definitions["TaskFile"]["anyOf"] = [{"required": ["target"]}, {"required": ["task_type"]}]
    for name, words in (
        ("RestartPolicy", POLICY_WORDS),
        ("Condition", [p + c for p in CONDITION_PREFIXES for c in Condition]),
    ):
        definitions[name]["anyOf"].append({"enum": list(words)})
    _short_forms(definitions)
    top = definitions.pop("StackFile")
    for section in ("services", "tasks", "hosts"):
        top["properties"][section]["propertyNames"] = {"pattern": f"^{NAME.pattern}$"}
    top["patternProperties"] = {"^x-": {"description": "left alone: a place for YAML anchors"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **top,
        "title": "harness stack file",
        "$defs": _reachable(top, definitions),
    }


def _target(kind: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a target type, with the ``type`` that selects it."""
    properties = {"type": {"const": kind, "description": "the target's type"}, **schema.get("properties", {})}
    properties["type"] = {"const": kind, "description": schema.get("description", f"a target of type {kind}")}
    required = ["type", *(name for name in schema.get("required", ()) if name != "type")]
    return {**schema, "title": f"{kind} target", "properties": properties, "required": required}


def _unit(schema: dict[str, Any], kinds: list[str]) -> None:
    properties = schema["properties"]
    properties["target"] = {
        "type": "object",
        "description": properties["target"].get("description", ""),
        "properties": {"type": {"enum": kinds}},
        "required": ["type"],
        "oneOf": [{"$ref": f"#/$defs/target.{kind}"} for kind in kinds],
    }
    if not kinds:
        del properties["target"]["oneOf"]
    properties["env_file"] = {"anyOf": [{"type": "string"}, properties["env_file"]]}
    by_name = {"type": "object", "additionalProperties": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Dependency"}]}}
    properties["dependencies"] = {"anyOf": [properties["dependencies"], by_name]}
    if "ports" in properties:
        items = {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 65535}]}
        properties["ports"]["additionalProperties"] = False
        properties["ports"] = {"anyOf": [properties["ports"], {"type": "array", "items": items}]}


def _short_forms(definitions: dict[str, Any]) -> None:
    pending: list[type[Model]] = [Model]
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        if model.SHORT is not None and model.__name__ in definitions:
            long = definitions[model.__name__]
            short = {"description": long.get("description", ""), **model.SHORT}
            definitions[model.__name__] = {"description": long.get("description", ""), "anyOf": [short, long]}


def _widened(schema: Any) -> Any:
    """The schema with references allowed for numbers and words, and numbers for the texts of lists and mappings."""
    if isinstance(schema, list):
        return [_widened(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {
        key: _widened(part) if key not in (*_WORDS, "default", "examples") else part for key, part in schema.items()
    }
    for key in ("items", "additionalProperties"):
        if isinstance(changed.get(key), dict) and changed[key].get("type") == "string" and len(changed[key]) == 1:
            changed[key] = dict(_TEXT)
    if changed.get("type") in ("integer", "number", "boolean") or any(word in changed for word in _WORDS):
        said = {key: changed.pop(key) for key in ("description", "default", "title") if key in changed}
        return {**said, "anyOf": [changed, dict(_REFERENCE)]}
    return changed


def _reachable(top: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions that something refers to."""
    found: dict[str, Any] = {}
    pending: list[Any] = [top]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name in definitions and name not in found:
                found[name] = definitions[name]
                pending.append(definitions[name])
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return {name: found[name] for name in sorted(found)}
