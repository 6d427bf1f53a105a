from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness_core.domain.errors import InvalidConfiguration
from harness_core.domain.references import UnresolvedReference
from harness_core.domain.resolved import resolve_unit, target_options
from tests.domain.stackkit import Container, Process, good, services

VALUES = {
    ("a", "port"): "8080",
    ("a", "ports.http"): "8080",
    ("a", "url"): "http://127.0.0.1:8080",
    ("db", "host"): "10.0.0.2",
    ("t", "USER"): "www",
}


def lookup(unit: str, attribute: str) -> str:
    if (unit, attribute) not in VALUES:
        raise UnresolvedReference(f"{unit} has no {attribute}")
    return VALUES[unit, attribute]


DB = "  db: {target: {type: process, binary: a}}\n"
STACK = """\
name: s
settings: {env: {LEVEL: info, SHARED: stack}}
services:
  a:
    target:
      type: process
      binary: a
      args: ["--port=${self.port}", "--db", "${db.host}", "$${HOME}"]
      env: {SHARED: target, DB: "${db.host}", LITERAL: "${DOLLAR}"}
    ports: {http: auto}
    health_check:
      any:
        - {http: {path: "${self.url}/x", port: "${self.ports.http}"}}
        - {all: [{tcp: "${a.port}"}, {tcp: http}]}
        - {command: ["p", "${db.host}"]}
    stop: {command: "stop ${self.port}"}
    labels: {at: "${self.port}"}
    user: "${t.USER}"
    env_file: a.env
  db: {target: {type: process, binary: db}}
tasks:
  t: {target: {type: process, binary: t}}
"""


def test_everything_gets_its_value() -> None:
    stack = good(
        STACK, env={"DOLLAR": "${not.a} $x", "PATH": "/bin"}, files={"/srv/shop/a.env": b"FILE=${db.host}:1\n"}
    )
    unit = resolve_unit(stack.units["a"], lookup)
    assert unit.target["args"] == ["--port=8080", "--db", "10.0.0.2", "${HOME}"]
    assert unit.env == {
        "PATH": "/bin",
        "LEVEL": "info",
        "SHARED": "target",
        "FILE": "10.0.0.2:1",
        "DB": "10.0.0.2",
        "LITERAL": "${not.a} $x",
    }
    check = unit.check
    assert check is not None
    assert check.any is not None
    http, both, command = check.any
    assert http.http is not None
    assert (http.http.path, http.http.port) == ("http://127.0.0.1:8080/x", 8080)
    assert both.all is not None
    assert [p.tcp.port for p in both.all if p.tcp] == [8080, "http"]
    assert command.command is not None
    assert command.command.run == ["p", "10.0.0.2"]
    assert (unit.stop_command, unit.labels, unit.user) == ("stop 8080", {"at": "8080"}, "www")


def test_a_definition_from_the_store_resolves_alike() -> None:
    stack = good(STACK, env={"DOLLAR": ""}, files={"/srv/shop/a.env": b""})
    again = type(stack).model_validate_json(stack.model_dump_json())
    assert resolve_unit(again.units["a"], lookup) == resolve_unit(stack.units["a"], lookup)


def test_a_unit_without_references_stays_as_it_is() -> None:
    unit = resolve_unit(services("  a: {target: {type: process, binary: a}}\n")["a"], lookup)
    assert (unit.target, unit.env, unit.check, unit.action) == ({"type": "process", "binary": "a"}, {}, None, None)


def test_all_that_is_missing_is_named() -> None:
    unit = services(
        "  a: {target: {type: process, binary: '${b.url}', args: ['${b.host}']}}\n"
        "  b: {target: {type: container, image: b}}\n"
    )
    with pytest.raises(UnresolvedReference) as caught:
        resolve_unit(unit["a"], lookup)
    assert caught.value.message == "b has no url; b has no host"


def test_a_value_that_breaks_a_check_is_named_by_its_place_alone() -> None:
    text = "  a: {target: {type: process, binary: a}, health_check: {log: '(${db.host}'}}\n" + DB
    with pytest.raises(InvalidConfiguration) as caught:
        resolve_unit(services(text)["a"], lookup)
    assert caught.value.message == "cannot check a: its health_check is invalid at log.pattern"


def test_options_get_the_type_only_where_they_have_such_a_field() -> None:
    assert target_options(Process, {"type": "process", "binary": "a"}) == Process(binary="a")
    assert target_options(Container, {"type": "container", "image": "a"}) == Container(type="container", image="a")
    with pytest.raises(ValidationError):
        target_options(Process, {"type": "process"})
