"""services.json: Python modules, commands, compose files, ports and endpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.importers.kit import imported, lost, mistakes, stack

API: dict[str, Any] = {
    "id": "generation-api",
    "name": "Generation API",
    "description": "AI generation and prompt management",
    "port_env": "GENERATION_API_PORT",
    "default_port": 8001,
    "module": "generation_api.main:app",
    "info_endpoint": "/dev/info",
    "health_endpoint": "/health",
    "docs_endpoint": "/docs",
    "auto_start": False,
    "depends_on": ["db"],
    "enabled": True,
    "type": "python",
    "tags": ["api", "ai"],
    "provides": ["generations", "prompts"],
}


def service(entry: dict[str, Any], group: str = "backend_services", **more: Any) -> dict[str, Any]:
    text = json.dumps({group: [{"id": "x", **entry}], **more}, indent=2)
    found = stack(imported(None, {"services.json": text}))["services"]
    assert isinstance(found, dict)
    return dict(found["x"])


def test_every_field_of_an_application() -> None:
    made = imported(None, {"services.json": json.dumps({"backend_services": [API]}, indent=2)})
    assert stack(made)["services"]["generation-api"] == {
        "target": {
            "type": "process",
            "binary": "python3",
            "args": ["-m", "uvicorn", "generation_api.main:app", "--host", "127.0.0.1", "--port", "${self.port}"],
            "env": {"GENERATION_API_PORT": "${self.port}"},
        },
        "description": "Generation API: AI generation and prompt management",
        "ports": {"http": "${GENERATION_API_PORT:-8001}"},
        "health_check": {"http": "/health"},
        "labels": {"group": "backend", "tags": "api,ai", "docs": "/docs", "info": "/dev/info"},
        "provides": ["generations", "prompts"],
        "profiles": ["manual"],
    }
    assert lost(made) == {"generation-api.depends_on: db": 15}


TARGETS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"module": "arq", "args": ["a.B"]}, {"type": "process", "binary": "python3", "args": ["-m", "arq", "a.B"]}),
    (
        {"type": "npm", "command": "npm", "args": ["run", "dev"], "directory": "admin", "default_port": 1},
        {"type": "process", "binary": "npm", "args": ["run", "dev"], "working_dir": "admin"},
    ),
    (
        {"command": "pnpm", "args": ["dev", "--port"], "default_port": 5173},
        {"type": "process", "binary": "pnpm", "args": ["dev", "--port", "${self.port}"]},
    ),
    (
        {"command": "a", "env_overrides": {"A": "$PORT", "B": "http://localhost:$OTHER_PORT/", "C": "${D}"}},
        {
            "type": "process",
            "binary": "a",
            "env": {"A": "${self.port}", "B": "http://localhost:${OTHER_PORT:-9}/", "C": "${D:-}"},
        },
    ),
    ({"type": "docker-compose", "file": "db.yml"}, {"type": "compose", "files": ["db.yml"]}),
]


@pytest.mark.parametrize(("entry", "target"), TARGETS)
def test_targets(entry: dict[str, Any], target: dict[str, Any]) -> None:
    other = {"id": "other", "command": "b", "port_env": "OTHER_PORT", "default_port": 9}
    assert service(entry, other_services=[other])["target"] == target


def test_dependencies_within_the_file_are_kept_and_examples_left_out() -> None:
    text = json.dumps(
        {
            "version": "2.0",
            "description": "All of it \U0001f600",
            "discovery": {"enabled": True},
            "services": [{"id": "Main API", "module": "a:b", "depends_on": ["db"], "health_endpoint": "/h", "new": 1}],
            "infrastructure_services": [{"id": "db", "command": "pg"}],
            "future_services": {"later": {"id": "later"}},
        },
        indent=1,
    )
    made = imported(None, {"services.json": text})
    data = stack(made)
    assert data["services"]["main-api"]["dependencies"] == ["db"]
    assert list(data["services"]) == ["main-api", "db"]
    assert lost(made).keys() == {"discovery", "future_services", "Main API.health_endpoint", "Main API.new"}
    assert "# All of it \U0001f600" in made.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"services": [{"name": "a"}]}', "1:15: a service in services has no id"),
        ('{"services": [{"id": "a"}]}', "1:15: a (python) has neither module nor command"),
        ('{"services": [{"id": "a", "command": "b"}, {"id": "a"}]}', "1:45: a is given twice"),
        ('{"version": 1}', "1:1: there are no services in it: lists like backend_services"),
        ('{"services": ["a": }', "1:20: did not find expected node content"),
        ("[]", "1:1: the file must be a mapping of keys"),
    ],
)
def test_mistakes_have_their_place(text: str, said: str) -> None:
    assert said in mistakes("services.json", text)
