from __future__ import annotations

import hashlib

import pytest

from harness_core.domain.definition import StackDefinition
from harness_core.domain.loading import load_stack
from harness_core.domain.protocol import StackSource
from harness_core.domain.spec import Condition, Edge, RestartPolicy, StopSpec
from harness_core.domain.states import Kind
from tests.domain.stackkit import OPTIONS, found, good, load, reader, services

SHOP = """\
name: shop
description: a shop
settings: {start_timeout: 60s, stop_timeout: 3s, autostart: true, env: {LEVEL: info, RATIO: 1.10}}
x-defaults: &defaults
  restart: always
  labels: {team: red}
services:
  db:
    <<: *defaults
    target: {type: container, image: "postgres:16", ports: [5432], env: {PW: "${PW:-dev}"}}
    health_check: {tcp: 5432}
    start_timeout: 5s
  api:
    <<: *defaults
    target:
      type: process
      binary: python3
      args: [-m, api, --port, "${self.port}", 8080, true, 1.10]
      env: {URL: "postgres://${db.host}:${db.port}", REV: "${migrate.REV}", DEBUG: true}
    ports: {http: auto, admin: {port: 9000, scheme: https}}
    health_check: {http: /healthz}
    env_file: api.env
    stop: {timeout: 1s}
    dependencies: [{service: cache, required: false, restart: true}]
    description: the api
    provides: [shop]
    profiles: [web]
    user: www
  cache:
    target: {type: process, binary: redis}
    enabled: false
tasks:
  migrate:
    target: {type: process, binary: ./migrate.sh}
    dependencies: [db]
    inputs: ["*.sql"]
    run: once
    timeout: 1m
    retries: 2
    retry_delay: 5s
hosts:
  gpu: {address: 10.0.0.7, user: deploy}
"""


def shop() -> StackDefinition:
    return good(SHOP, env={"PATH": "/bin", "PW": "secret"}, files={"/srv/shop/api.env": b"A=1\nLEVEL=debug\n"})


def test_the_whole_of_a_stack() -> None:
    stack = shop()
    assert (stack.name, stack.title, stack.description) == ("shop", "shop", "a shop")
    assert (stack.base_dir, stack.filename) == ("/srv/shop", "stack.yaml")
    assert stack.text_digest == hashlib.sha256(SHOP.encode()).hexdigest()
    assert list(stack.units) == ["db", "api", "cache", "migrate"]
    assert stack.hosts["gpu"].address == "10.0.0.7"
    api = stack.units["api"]
    assert (api.stack, api.key, api.kind, api.base_dir) == ("shop", "shop/api", Kind.SERVICE, "/srv/shop")
    assert api.target == {
        "type": "process",
        "binary": "python3",
        "args": ["-m", "api", "--port", "${self.port}", "8080", "true", "1.10"],
        "env": {"URL": "postgres://${db.host}:${db.port}", "REV": "${migrate.REV}", "DEBUG": "true"},
    }
    assert api.restart.policy is RestartPolicy.ALWAYS
    assert api.labels == {"team": "red"}
    assert [(name, port.port, port.scheme) for name, port in api.ports.items()] == [
        ("http", "auto", "http"),
        ("admin", 9000, "https"),
    ]
    assert (api.user, api.profiles, api.provides, api.description) == ("www", ("web",), ("shop",), "the api")
    task = stack.units["migrate"]
    assert (task.kind, task.run, task.timeout, task.retries, task.retry_delay) == (Kind.TASK, "once", 60.0, 2, 5.0)
    assert task.inputs == ("*.sql",)
    assert not stack.units["cache"].enabled


def test_a_definition_survives_json() -> None:
    stack = shop()
    assert StackDefinition.model_validate_json(stack.model_dump_json()) == stack


def test_the_environment_is_what_is_inherited_then_the_stack_then_the_files() -> None:
    api = shop().units["api"]
    assert api.env == {"PATH": "/bin", "LEVEL": "debug", "RATIO": "1.10", "A": "1"}
    assert api.inherited == ("PATH",)
    units = services(
        "  a: {target: {type: process, binary: a}}\nsettings: {env: {PATH: /mine}}\n", env={"PATH": "/bin"}
    )
    assert units["a"].env == {"PATH": "/mine"}
    assert units["a"].inherited == ()


def test_what_was_named_for_inheriting_is_inherited() -> None:
    env = {"TOKEN": "t", "OTHER": "o", "HARNESS_INHERIT": "TOKEN"}
    assert services("  a: {target: {type: process, binary: a}}\n", env=env)["a"].env == {"TOKEN": "t"}


def test_settings_give_way_to_the_service_and_come_before_the_default() -> None:
    stack = shop()
    assert stack.units["db"].start_timeout == 5
    assert stack.units["api"].start_timeout == 60
    assert stack.units["api"].stop.timeout == 1
    assert stack.units["db"].stop.timeout == 3
    assert stack.units["db"].autostart
    plain = services("  a: {target: {type: process, binary: a}}\n")["a"]
    assert (plain.start_timeout, plain.stop, plain.autostart) == (120, StopSpec(), False)


def test_dependencies_are_completed_and_references_imply_them() -> None:
    units = shop().units
    assert units["api"].edges == (
        Edge(name="cache", kind=Kind.SERVICE, condition=Condition.STARTED, required=False, restart=True),
        Edge(name="db", kind=Kind.SERVICE, condition=Condition.HEALTHY, implied=True),
        Edge(name="migrate", kind=Kind.TASK, condition=Condition.COMPLETED_SUCCESSFULLY, implied=True),
    )
    assert units["migrate"].edges == (Edge(name="db", kind=Kind.SERVICE, condition=Condition.HEALTHY),)


@pytest.mark.parametrize(
    "place",
    [
        "target: {type: process, binary: a, args: ['${db.host}']}",
        "target: {type: process, binary: a, env: {X: '${db.host}'}}",
        "target: {type: process, binary: a, working_dir: '/${db.host}'}",
        "target: {type: process, binary: a}\n    health_check: {command: [probe, '${db.host}']}",
        "target: {type: process, binary: a}\n    stop: {command: 'kill ${db.host}'}",
        "target: {type: process, binary: a}\n    labels: {x: '${db.host}'}",
        "target: {type: process, binary: a}\n    user: '${db.host}'",
        "target: {type: process, binary: a}\n    env_file: db.env",
    ],
)
def test_a_reference_anywhere_implies_the_dependency(place: str) -> None:
    text = f"  api:\n    {place}\n  db: {{target: {{type: process, binary: a}}}}\n"
    units = services(text, files={"/srv/shop/db.env": b"X=${db.host}\n"})
    assert [(e.name, e.implied) for e in units["api"].edges] == [("db", True)]


def test_a_tasks_action_may_hold_references() -> None:
    text = (
        "name: s\ntasks:\n  t: {task_type: x, action: {type: Go, url: '${db.host}'}}\n"
        "services:\n  db: {target: {type: process, binary: a}}\n"
    )
    unit = good(text, options={**OPTIONS, "action": OPTIONS["process"]}).units["t"]
    assert unit.target == {"type": "action"}
    assert unit.action == {"type": "Go", "url": "${db.host}"}
    assert [e.name for e in unit.edges] == ["db"]


def test_references_to_oneself_imply_nothing() -> None:
    units = services(
        "  a: {target: {type: process, binary: a, args: ['${self.port}', '${a.host}']}, ports: {http: 1}}\n"
    )
    assert units["a"].edges == ()


def test_int_fields_wait_for_references() -> None:
    units = services("  a: {target: {type: process, binary: a, nice: '${self.port}'}, ports: {http: 1}}\n")
    assert units["a"].target["nice"] == "${self.port}"


def test_a_plugin_that_takes_texts_and_numbers_gets_what_is_written() -> None:
    text = "  a: {target: {type: lenient, args: [1.10, 5, 0x1F], share: 1.50, mask: 0x1F}, ports: {x: 1}}\n"
    target = services(text)["a"].target
    assert target == {"type": "lenient", "args": ["1.10", 5, "0x1F"], "share": "1.50", "mask": 31}
    waits = services(text.replace("mask: 0x1F", "mask: '${self.port}'"))["a"].target
    assert waits["args"] == ["1.10", 5, "0x1F"]


def test_numbers_as_written_hide_no_other_mistake() -> None:
    text = "name: s\nservices:\n  a: {target: {type: lenient, args: [1.10], share: 9.50}}\n"
    assert found(text) == ["3:7 wrong-value"]
    assert found(text.replace("9.50", "2.0, mask: 1.5")) == ["3:63 wrong-value"]


def test_the_instance_name_wins_over_the_sources_and_the_files() -> None:
    text = "name: shop\nservices: {a: {target: {type: process, binary: a}}}\n"
    assert good(text, name="two").name == "two"
    stack = good(text, name="two", instance="three")
    assert (stack.name, stack.title, stack.units["a"].stack) == ("three", "shop", "three")
    assert found(text, instance="Not Good") == ["1:1 bad-name"]


def test_strict_makes_errors_of_warnings() -> None:
    text = "name: s\nservices: {a: {target: {type: process, binary: a, args: [on]}}}\n"
    assert load(text).stack is not None
    strict = load(text, strict=True)
    assert strict.stack is None
    assert [d["severity"] for d in strict.diagnostics] == ["error"]


def test_restart_no_is_a_word_of_ours() -> None:
    assert found("name: s\nservices: {a: {target: {type: process, binary: a}, restart: no}}\n") == []
    assert found("name: s\nservices: {a: {target: {type: process, binary: a}, restart: {policy: no}}}\n") == []


def test_linked_types_are_checked_where_a_daemon_tells_them() -> None:
    text = "name: s\nservices:\n  a: {target: {type: process, binary: a}, service_type: postgers}\n"
    assert found(text) == []
    assert found(text, service_types=["postgers"]) == []
    (finding,) = load(text, service_types=["postgres", "anvil"]).diagnostics
    assert (finding["code"], finding["line"], finding["column"]) == ("unknown-type", 3, 57)
    assert finding["label"] == "did you mean 'postgres'?"
    assert finding["notes"] == ["known: anvil, postgres"]
    task = "name: s\ntasks:\n  a: {target: {type: process, binary: a}, task_type: x}\n"
    assert load(task, task_types=[]).diagnostics[0]["notes"] == ["known: none"]


def test_dependencies_as_a_mapping() -> None:
    units = services(
        "  a: {target: {type: process, binary: a}, dependencies: {b: {condition: service_started}, c: }}\n"
        "  b: {target: {type: process, binary: a}}\n  c: {target: {type: process, binary: a}}\n"
    )
    assert [(e.name, e.condition) for e in units["a"].edges] == [("b", "started"), ("c", "started")]


def test_ports_as_a_list() -> None:
    units = services("  a: {target: {type: process, binary: a}, ports: [8080, auto, '81']}\n")
    assert {name: port.port for name, port in units["a"].ports.items()} == {"8080": 8080, "port1": "auto", "81": 81}


def test_a_list_of_ports_may_be_wrong() -> None:
    text = "name: s\nservices:\n  a: {target: {type: process, binary: a}, ports: [[80]]}\n"
    assert found(text) == ["3:43 wrong-value"]
    assert found(text.replace("[[80]]", "[0, http]")) == ["3:51 wrong-value", "3:54 wrong-value"]


def test_an_env_file_by_home_and_absolute_and_optional() -> None:
    files = {"/home/me/x.env": b"A=1\n", "/etc/y.env": b"B=2\n"}
    units = services(
        "  a: {target: {type: process, binary: a}, env_file: [~/x.env, /etc/y.env, '?none.env', '?/etc/y.env']}\n",
        files=files,
        env={"HOME": "/home/me"},
    )
    assert units["a"].env == {"HOME": "/home/me", "A": "1", "B": "2"}
    assert found("name: s\nservices: {a: {target: {type: process, binary: a}, env_file: ~/x.env}}\n", files=files) == [
        "2:62 no-env-file"
    ]


def test_an_env_file_is_read_once() -> None:
    reads: list[str] = []

    def read(path: str) -> bytes:
        reads.append(path)
        return b"A=1\n"

    text = "name: s\nservices:\n" + "".join(
        f"  s{n}: {{target: {{type: process, binary: a}}, env_file: a.env}}\n" for n in range(3)
    )
    assert load_stack(StackSource(text=text, filename="s", base_dir="/b"), OPTIONS, read=read).stack is not None
    assert reads == ["/b/a.env"]


def test_many_cycles_are_told_up_to_a_bound() -> None:
    text = "name: s\nservices:\n" + "".join(
        f"  a{n}: {{target: {{type: process, binary: a}}, dependencies: [b{n}]}}\n"
        f"  b{n}: {{target: {{type: process, binary: a}}, dependencies: [a{n}]}}\n"
        for n in range(30)
    )
    assert [line.split()[1] for line in found(text)] == ["dependency-cycle"] * 20


def test_a_thousand_services_load_soon() -> None:
    text = "name: s\nservices:\n" + "".join(
        f"  s{n}: {{target: {{type: process, binary: a}}, dependencies: [{f's{n - 1}' if n else ''}]}}\n"
        for n in range(1000)
    )
    assert len(good(text).units) == 1000


def test_an_unreadable_section_hides_nothing_else() -> None:
    text = "name: s\nservices: 5\ntasks:\n  t: {target: {type: process}}\nhosts: [x]\n"
    assert found(text) == ["2:11 wrong-value", "4:7 missing-key", "5:1 wrong-value"]


def test_a_gpu_is_kept() -> None:
    assert services("  a: {target: {type: process, binary: a}, gpu: {vram: 8GiB}}\n")["a"].gpu == {"vram": "8GiB"}


def test_reader_of_the_kit_raises_what_it_was_given() -> None:
    with pytest.raises(FileNotFoundError):
        reader({})("/x")


def test_a_unit_that_cannot_be_read_itself_brings_no_second_complaint_from_those_that_need_it() -> None:
    text = (
        "name: s\nservices:\n"
        "  a: {target: {type: process, binary: x}, restart: {policy: sometimes}}\n"
        "  b: {target: {type: process, binary: x}, dependencies: [{service: a, condition: healthy}]}\n"
    )
    told = load(text).diagnostics
    assert [d["line"] for d in told if d["severity"] == "error"] == [3]
