from __future__ import annotations

import pytest

from harness_core.domain.spec import UnitSpec
from harness_core.domain.units import changes
from tests.domain.stackkit import services

BASE = """\
  a:
    target: {type: process, binary: a, args: [x], env: {K: v}}
    ports: {http: 80}
    health_check: {http: /}
"""


def unit(text: str = BASE, **more: object) -> UnitSpec:
    return services(text, **more)["a"]


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("args: [x]", "args: [y]", ["target.args"]),
        ("args: [x], env: {K: v}", "env: {K: w}", ["target.args", "target.env.K"]),
        ("http: 80", "http: 81", ["ports.http.port"]),
        ("http: 80", "web: 80", ["ports.http.port", "ports.http.scheme", "ports.web.port", "ports.web.scheme"]),
        ("    ports", "    user: me\n    ports", ["user"]),
        ("    ports", "    limits: {nofile: 99}\n    ports", ["limits.nofile"]),
        ("    ports", "    logs: {max_files: 3}\n    ports", ["logs.max_files"]),
        ("    ports", "    service_type: x\n    ports", ["service_type"]),
    ],
)
def test_what_needs_a_new_instance_changes_the_digest(old: str, new: str, keys: list[str]) -> None:
    before, after = unit(), unit(BASE.replace(old, new))
    assert before.digest != after.digest
    assert changes(before, after) == keys


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        ("labels: {a: b}", ["labels.a"]),
        ("profiles: [x]", ["profiles"]),
        ("restart: always", ["restart.policy"]),
        ("description: new", ["description"]),
        ("start_timeout: 5s", ["start_timeout"]),
        ("stop: {timeout: 5s}", ["stop.timeout"]),
        ("enabled: false", ["enabled"]),
    ],
)
def test_what_does_not_need_one_keeps_it(more: str, keys: list[str]) -> None:
    before, after = unit(), unit(f"{BASE}    {more}\n")
    assert before.digest == after.digest
    assert changes(before, after) == keys


def test_a_dependency_is_a_change_without_a_new_instance() -> None:
    other = "  b: {target: {type: process, binary: b}}\n"
    before, after = unit(BASE + other), unit(f"{BASE}    dependencies: [b]\n{other}")
    assert before.digest == after.digest
    assert changes(before, after) == ["dependencies"]


def test_a_check_is_a_change_without_a_new_instance() -> None:
    before, after = unit(), unit(BASE.replace("http: /", "http: /, interval: 3s"))
    assert before.digest == after.digest
    assert changes(before, after) == ["health_check.interval"]


def test_another_terminal_is_no_change() -> None:
    before, after = unit(env={"SSH_AUTH_SOCK": "/a", "PATH": "/bin"}), unit(env={"SSH_AUTH_SOCK": "/b"})
    assert before.digest == after.digest
    assert changes(before, after) == []
    assert after.env == {"SSH_AUTH_SOCK": "/b"}


def test_a_variable_of_the_file_is_a_change() -> None:
    before, after = unit(), unit(f"{BASE}settings: {{env: {{A: b}}}}\n")
    assert before.digest != after.digest
    assert changes(before, after) == ["env.A"]


def test_equal_files_give_equal_digests() -> None:
    assert unit() == unit()
    assert len(unit().digest) == 64
