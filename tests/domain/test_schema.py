from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.diagnostics import Diagnostics
from harness_core.domain.schema import SCHEMA_ID, stack_schema
from harness_core.domain.yamltree import read_tree
from tests.domain.stackkit import OPTIONS, load
from tests.domain.test_loading import SHOP

jsonschema = pytest.importorskip("jsonschema", reason="install jsonschema to judge the schema by an independent reader")

SCHEMA = stack_schema(OPTIONS)
CORPUS = Path(__file__).parents[1] / "golden" / "stacks"


def errors(text: str) -> list[str]:
    tree = read_tree(text, Diagnostics("a"))
    assert tree is not None
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(tree.root.data())]


def unit(text: str) -> str:
    return f"name: s\nservices:\n  a: {{target: {{type: process, binary: a}}, {text}}}\n"


def test_it_is_a_schema_of_its_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"] == SCHEMA_ID
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_a_good_file_passes() -> None:
    assert errors(SHOP) == []


@pytest.mark.parametrize(
    "text",
    [
        unit("restart: no"),
        unit("restart: unless-stopped"),
        unit("restart: {policy: never, delay: 1.5}"),
        unit("health_check: {http: /x, retries: '${N}'}"),
        unit("health_check: {tcp: true}"),
        unit("health_check: {tcp: 80}"),
        unit("health_check: {command: [a, b]}"),
        unit("health_check: {any: [{log: x}, {file: y}]}"),
        unit("ports: [80, auto]"),
        unit("ports: {http: auto, b: {port: 5}}"),
        unit("dependencies: [b, {task: c}]"),
        unit("dependencies: {b: , c: {condition: service_healthy}}"),
        unit("env_file: x.env"),
        unit("labels: {a: 1, b: true}"),
        unit("enabled: '${ON}'"),
        "name: s\nx-more: [anything]\ntasks: {t: {task_type: x, action: {type: y}}}\n",
        "name: s\nservices: {a: {target: {type: process, binary: a, nice: '${self.port}', args: [1, true]}}}\n",
    ],
)
def test_short_forms_and_references_pass(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    "text",
    [
        unit("helth_check: {}"),
        unit("restart: sometimes"),
        unit("ports: {Big: 80}"),
        unit("ports: {http: 70000}"),
        unit("health_check: {http: [/]}"),
        unit("enabled: maybe"),
        "name: s\nservices: {a: {target: {type: gizmo}}}\n",
        "name: s\nservices: {a: {target: {type: process}}}\n",
        "name: s\nservices: {a: {target: {type: process, binray: a}}}\n",
        "name: s\nservices: {A: {target: {type: process, binary: a}}}\n",
        "name: s\nservices: {a: {}}\n",
        "name: s\ntasks: {a: {}}\n",
        "services: {}\n",
        "name: s\nother: 1\n",
    ],
)
def test_mistakes_fail(text: str) -> None:
    assert errors(text) != []


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_refuses_no_file_that_loads(path: Path) -> None:
    text = path.read_bytes().decode()
    if load(text).stack is not None:
        assert errors(text) == []


def test_targets_are_selected_by_their_type_and_described() -> None:
    definitions: dict[str, Any] = SCHEMA["$defs"]
    target = definitions["ServiceFile"]["properties"]["target"]
    assert target["properties"]["type"]["enum"] == list(OPTIONS)
    assert definitions["target.process"]["properties"]["type"] == {
        "const": "process",
        "description": "Run a program on this machine.",
    }
    assert definitions["target.process"]["required"] == ["type", "binary"]
    assert definitions["target.container"]["required"] == ["type", "image"]
    assert "Mount" in definitions


def test_descriptions_come_from_the_docstrings() -> None:
    service = SCHEMA["$defs"]["ServiceFile"]
    assert service["description"] == "A service: it stays up until somebody stops it."
    assert service["properties"]["health_check"]["description"].startswith("How to find out")


def test_without_any_plugin_there_is_still_a_schema() -> None:
    schema = stack_schema({})
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "oneOf" not in schema["$defs"]["ServiceFile"]["properties"]["target"]
