"""Both ways of reading a command line must read the same, or the short one must leave it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli import clickview
from harness.cli.app import run
from harness.cli.fastpath import parse

WORDS = [
    *("status", "ps", "logs", "db", "api*", "-f", "--follow", "-n", "-n5", "--tail=all", "--tail", "5", "-o", "json"),
    *("-ojson", "--output=yaml", "wide", "-q", "-v", "-vv", "-y", "--no-input", "--timeout", "30s", "-s", "shop"),
    *("--since", "10m", "--stream", "err", "out", "-t", "--no-prefix", "--raw", "--grep", "a b", "--color", "never"),
    *("--progress=plain", "-H", "box", "--exit-code", "--previous", "--until=2026-11-21"),
]
VERBS = ["status", "logs", "ps", "start", "describe", "events"]


@pytest.fixture(name="by_click")
def _by_click(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What click would have called, or ``None`` when it refused."""
    found: list[Any] = []

    def execute(verb: Any, values: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
        found.append((verb.name, dict(values), dict(shared)))
        return 0

    monkeypatch.setattr(clickview, "execute", execute)

    def read(argv: list[str]) -> Any:
        found.clear()
        run(argv)
        return found[0] if found else None

    return read


def by_hand(argv: list[str], environ: Mapping[str, str] | None = None) -> Any:
    parsed = parse(argv, environ or {})
    return None if parsed is None else (parsed.verb.name, parsed.values, parsed.shared)


@pytest.mark.parametrize(
    "argv",
    [
        ["status"],
        ["ps", "db", "api"],
        ["-o", "json", "status", "--stack", "shop"],
        ["status", "-ojson", "db", "-q"],
        ["-o", "json", "status", "-o", "yaml"],
        ["logs", "-n", "20", "-t", "db", "--grep=x y", "--stream", "err"],
        ["-v", "logs", "-v"],
        ["status", "--timeout=5s", "--no-input", "-y"],
        ["start", "stack.yaml", "db", "--no-wait"],
        ["stop", "--all", "-y"],
        ["restart", "db", "--no-deps"],
        ["describe", "db"],
    ],
)
def test_plain_lines_are_read_alike(by_click: Any, argv: list[str]) -> None:
    ours = by_hand(argv)
    assert ours is not None
    theirs = by_click(argv)
    # click counts -v before and behind the verb apart, and the verb's own wins; nobody tells 1 from 2
    assert _normal(ours) == _normal(theirs)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    argv=st.lists(st.sampled_from(WORDS), max_size=6),
    verb=st.sampled_from(["status", "logs", "ps", "start", "describe", "events"]),
)
def test_any_line_is_read_alike_or_left_alone(by_click: Any, argv: list[str], verb: str) -> None:
    full = [*argv[:1], verb, *argv[1:]]
    ours = by_hand(full)
    if ours is not None:
        assert _normal(ours) == _normal(by_click(full))


def _normal(read: Any) -> Any:
    name, values, shared = read
    return name, values, {key: bool(value) if key == "verbose" else value for key, value in shared.items()}


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--help"],
        ["status", "--help"],
        ["status", "--nonsense"],
        ["status", "--fol"],
        ["status", "-o", "xml"],
        ["status", "-fq"],
        ["status", "--follow=yes"],
        ["status", "--", "-f"],
        ["status", "-o"],
        ["status", "-o", "-q"],
        ["plan"],
        ["describe"],
        ["describe", "a", "b"],
        ["statsu"],
        ["logs", ""],
    ],
)
def test_doubtful_lines_are_left_to_click(argv: list[str]) -> None:
    assert by_hand(argv) is None


def test_the_environment_is_read_as_click_does(by_click: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HARNESS_OUTPUT_FORMAT", "yaml"), ("HARNESS_TIMEOUT", "9s"), ("HARNESS_CONTEXT", "box")):
        monkeypatch.setenv(name, value)
    environ = {"HARNESS_OUTPUT_FORMAT": "yaml", "HARNESS_TIMEOUT": "9s", "HARNESS_CONTEXT": "box"}
    assert _normal(by_hand(["status"], environ)) == _normal(by_click(["status"]))
    assert _normal(by_hand(["status", "-o", "json"], environ)) == _normal(by_click(["status", "-o", "json"]))


@pytest.mark.parametrize("name", ["HARNESS_YES", "HARNESS_STATUS_FOLLOW", "_HARNESS_COMPLETE"])
def test_what_else_stands_in_the_environment_is_left_to_click(name: str) -> None:
    assert by_hand(["status"], {name: "1"}) is None


def test_an_unusable_value_in_the_environment_is_left_to_click() -> None:
    assert by_hand(["status"], {"HARNESS_OUTPUT_FORMAT": "xml"}) is None


def test_the_file_for_a_tasks_outputs_is_no_output_format(by_click: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_OUTPUT", "/tmp/outputs")
    assert by_hand(["status"], {"HARNESS_OUTPUT": "/tmp/outputs"}) is not None
    assert by_click(["status"])[2]["output"] is None


def test_options_of_a_verb_come_from_the_environment_too(by_click: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STATUS_FOLLOW", "1")
    assert by_click(["ps"])[1]["follow"] is True
