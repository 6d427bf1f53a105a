"""Procfiles, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importers.kit import imported, lost, mistakes, stack, unit

TARGETS: list[tuple[str, dict[str, Any]]] = [
    ("./serve --now", {"binary": "./serve", "args": ["--now"]}),
    ("exec ./serve", {"binary": "./serve"}),
    ("sh -c 'a b' \"c d\"", {"binary": "sh", "args": ["-c", "a b", "c d"]}),
    ("A=1 ./serve", {"shell": "A=1 ./serve"}),
    ("cd app && ./serve", {"shell": "cd app && ./serve"}),
    ("source env", {"shell": "source env"}),
    ("./serve ${LEVEL:-1}", {"shell": "./serve $${LEVEL:-1}"}),
    ("./serve > log 2>&1", {"shell": "./serve > log 2>&1"}),
    ("./serve '$HOME'", {"shell": "./serve '$HOME'"}),
    ("./serve ''", {"binary": "./serve", "args": [""]}),
]


@pytest.mark.parametrize(("line", "target"), TARGETS)
def test_a_line_is_run_as_a_shell_would(line: str, target: dict[str, Any]) -> None:
    assert unit("procfile", f"job: {line}\n")["target"] == {"type": "process", **target}


def test_web_and_who_asks_for_a_port_get_one() -> None:
    data = stack(imported("procfile", {"Procfile": "clock: ./tick\nweb: ./serve\napi: ./api $PORT\n"}))
    services = data["services"]
    assert "ports" not in services["clock"]
    assert services["web"]["ports"] == {"http": 5100}
    assert services["web"]["target"]["env"] == {"PORT": "${self.port}"}
    assert services["api"]["ports"] == {"http": 5200}


def test_the_environment_file_gives_variables_and_the_first_port() -> None:
    folder = {"Procfile": "web: ./serve\n", ".env": "PORT=8000\nURL=http://${HOST}/\n"}
    made = imported("procfile", folder)
    web = stack(made)["services"]["web"]
    assert (web["env_file"], web["ports"]) == ([".env"], {"http": 8000})
    assert lost(made) == {"URL": 2}
    assert mistakes("procfile", {"Procfile": "web: x\n", ".env": "no assignment\n"}) == [
        "1:1: a line is not of the form KEY=value"
    ]


def test_the_release_runs_before_the_others() -> None:
    data = stack(imported("procfile", {"Procfile": "release: ./migrate\nweb: ./serve\n"}))
    assert data["tasks"] == {"release": {"target": {"type": "process", "binary": "./migrate"}}}
    assert data["services"]["web"]["dependencies"] == [{"task": "release"}]
    assert "tasks" not in stack(imported("procfile", {"Procfile": "release: ./serve\n"}))


def test_names_are_made_valid_and_told() -> None:
    made = imported("procfile", {"Procfile": "Web_Server: a\nself: b\nweb_server: c\n"})
    assert list(stack(made)["services"]) == ["web_server-2", "self-2", "web_server"]
    assert "called Web_Server in the Procfile" in made.text


def test_paths_are_meant_from_where_the_stack_file_lies() -> None:
    folder = {"Procfile": "web: ./serve\n", ".env": ""}
    web = stack(imported("procfile", folder, prefix="../app"))["services"]["web"]
    assert (web["target"]["working_dir"], web["env_file"]) == ("../app", ["../app/.env"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web ./serve\na: b\n", ["1:1: this is no line of a Procfile; they look like 'web: ./serve'"]),
        ("a: b\n\n# c\na: d\n", ["4:1: a is given twice; the first one is in line 1"]),
        ("web:\na: b\n", ["1:1: this is no line of a Procfile; they look like 'web: ./serve'"]),
    ],
)
def test_mistakes_have_their_place(text: str, said: list[str]) -> None:
    assert mistakes("procfile", text) == said


def test_an_empty_one_is_none() -> None:
    assert mistakes("procfile", "# nothing\n") == ["1:1: there is no process in it; lines look like 'web: ./serve'"]
