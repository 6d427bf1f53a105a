"""process-compose.yaml: commands and their variables, conditions, probes, restarts, replicas."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importers.kit import imported, lost, mistakes, stack, unit


def of(process: str, top: str = "") -> dict[str, Any]:
    """The unit that one process becomes; its lines are indented here."""
    lines = "".join(f"    {line}\n" for line in process.splitlines())
    return unit("process-compose", f"{top}processes:\n  x:\n{lines}")


COMMANDS: list[tuple[str, str, list[str]]] = [
    ("command: ./serve --now", "", ["./serve", "--now"]),
    ("command: ./serve | tee log", "", ["bash", "-c", "./serve | tee log"]),
    (
        "command: ./serve | tee log",
        "shell: {shell_command: sh, shell_argument: -ec}\n",
        ["sh", "-ec", "./serve | tee log"],
    ),
    ("command: echo $USER ${LEVEL}", "", ["bash", "-c", "echo ${USER:-} ${LEVEL:-}"]),
    ("command: echo $$HOME $${HOME}", "", ["bash", "-c", "echo $HOME $${HOME}"]),
    ("command: echo $A ${B}\nenvironment: [A=1, B=2]", "", ["bash", "-c", "echo $A $${B}"]),
    ("command: echo ${A}", "disable_env_expansion: true\n", ["bash", "-c", "echo $${A}"]),
    ("command: echo {{.NAME}} {{ .OWN }}\nvars: {OWN: 2}", "vars: {NAME: one}\n", ["echo", "one", "2"]),
    ("entrypoint: [ls, -l, $HOME]", "", ["ls", "-l", "${HOME:-}"]),
]


@pytest.mark.parametrize(("process", "top", "words"), COMMANDS)
def test_commands(process: str, top: str, words: list[str]) -> None:
    target = of(process, top)["target"]
    assert [target["binary"], *target.get("args", [])] == words


KEYS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("description: It serves.", {"description": "It serves."}),
    ("disabled: true", {"enabled": False}),
    ("namespace: test", {"labels": {"namespace": "test"}}),
    ("availability: {restart: always}", {"restart": {"policy": "always", "burst": 0}}),
    (
        "availability: {restart: on_failure, backoff_seconds: 2, max_restarts: 5}",
        {"restart": {"policy": "on-failure", "delay": "2s", "max_delay": "2s", "burst": 6, "window": "1h"}},
    ),
    ("availability: {restart: exit_on_failure}", {"restart": {"policy": "no"}}),
    (
        "shutdown: {command: 'kill -2 $${PID}', signal: 2, timeout_seconds: 3, parent_only: yes}",
        {"stop": {"command": "kill -2 $${PID}", "signal": "2", "timeout": "3s"}},
    ),
    ("ready_log_line: 'listening on [::]:80'", {"health_check": {"log": r"listening on \[::\]:80"}}),
    (
        "readiness_probe: {http_get: {port: 80, path: /health}}",
        {
            "health_check": {
                "http": {"path": "http://127.0.0.1:80/health", "status": [200]},
                "interval": "10s",
                "timeout": "1s",
                "retries": 3,
            }
        },
    ),
    (
        "liveness_probe: {exec: {command: test -f up, working_dir: /srv}, period_seconds: 2, initial_delay_seconds: 5}",
        {
            "health_check": {
                "command": "cd /srv && test -f up",
                "interval": "2s",
                "timeout": "1s",
                "retries": 3,
                "initial_delay": "5s",
            },
            "restart": {"policy": "no", "on_unhealthy": True},
        },
    ),
]


@pytest.mark.parametrize(("lines", "expected"), KEYS, ids=lambda value: str(value).partition(":")[0])
def test_keys(lines: str, expected: dict[str, Any]) -> None:
    found = of(f"command: cat -u\n{lines}")
    assert found == {
        "target": {"type": "process", "binary": "cat", "args": ["-u"]},
        "restart": {"policy": "no"},
        **expected,
    }


def test_conditions_and_who_is_a_task() -> None:
    text = """processes:
  db: {command: a, readiness_probe: {exec: {command: b}}}
  _migrate: {command: c, availability: {restart: on_failure, max_restarts: 2, backoff_seconds: 1}}
  seed: {command: d}
  log: {command: e, ready_log_line: up}
  api:
    command: f
    depends_on:
      db: {condition: process_healthy}
      _migrate: {condition: process_completed_successfully}
      seed: {condition: process_completed}
      log: {condition: process_log_ready}
  web:
    command: g
    depends_on: {api: {}}
"""
    made = imported(None, {"process-compose.yaml": text})
    data = stack(made)
    assert data["services"]["api"]["dependencies"] == [
        {"service": "db", "condition": "healthy"},
        {"task": "migrate"},
        {"task": "seed", "condition": "completed"},
        {"service": "log", "condition": "log_ready"},
    ]
    assert data["services"]["web"]["dependencies"] == [{"service": "api", "condition": "started"}]
    assert {name: (task["run"], task.get("retries")) for name, task in data["tasks"].items()} == {
        "migrate": ("always", 2),
        "seed": ("always", None),
    }
    assert "called _migrate" in made.text


def test_replicas_are_written_out() -> None:
    text = """processes:
  server: {command: "serve 404{{.PC_REPLICA_NUM}}", replicas: 2}
  web: {command: w, depends_on: {server: {condition: process_started}}}
"""
    services = stack(imported("process-compose", {"file": text}))["services"]
    assert services["server-1"]["target"]["args"] == ["4041"]
    assert services["server-1"]["target"]["env"] == {"PC_REPLICA_NUM": "1"}
    assert [need["service"] for need in services["web"]["dependencies"]] == ["server-0", "server-1"]


def test_the_environment_file_and_the_extended_project() -> None:
    folder = {
        "process-compose.yaml": "extends: base.yaml\nprocesses:\n  a: {environment: [X=$TOKEN]}\n",
        "base.yaml": "environment: [Y=1]\nprocesses:\n  a: {command: cat, environment: [Z=1]}\n  b: {command: cat}\n",
        ".env": "TOKEN=secret\n",
    }
    made = imported(None, folder)
    data = stack(made)
    assert data["services"]["a"]["target"]["env"] == {"X": "${TOKEN}"}
    assert data["services"]["b"]["env_file"] == [".env"]
    assert data["settings"] == {"env": {"Y": "1"}}
    assert "harness start FILE --env-file .env" in made.text
    assert "secret" not in made.text


def test_what_has_no_counterpart_is_told_with_its_line() -> None:
    text = """version: "0.5"
log_location: ./pc.log
is_strict: true
processes:
  x:
    command: "echo {{ if .A }}"
    is_tty: true
    availability:
      exit_on_end: true
    log_location: x.log
    schedule: {cron: "* * * * *"}
    readiness_probe: {http_get: {port: 1, method: POST}, period_seconds: 1}
    liveness_probe: {exec: {command: a}}
  y: {command: "{{.UNKNOWN}}", availability: {restart: exit_on_failure}, depends_on: {z: {condition: process_healthy}}}
  z: {command: cat}
x-own: 1
"""
    assert lost(imported("process-compose", {"file": text})) == {
        "log_location": 2,
        "is_strict": 3,
        "{{…}}": 6,
        "processes.x.is_tty": 7,
        "processes.x.availability.exit_on_end": 9,
        "processes.x.log_location": 10,
        "processes.x.schedule": 11,
        "processes.x.probe.http_get.method": 12,
        "processes.x.liveness_probe": 13,
        "{{.UNKNOWN}}": 14,
        "processes.y.availability.restart": 14,
        "processes.y.depends_on.z: healthy": 14,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("processes: {}\n", "1:1: there are no processes in it"),
        ("processes:\n  x: {working_dir: /}\n", "2:3: processes.x has neither command nor entrypoint"),
        ("processes:\n  x: {command: a, depends_on: {y: {}}}\n", "2:32: processes.x depends on y, which is not there"),
        ("processes:\n  x: [a]\n", "2:3: processes.x must be a mapping of keys"),
        ("extends: none.yaml\nprocesses: {x: {command: a}}\n", "1:1: cannot read none.yaml, which is extended here"),
        (
            "processes: {x: {command: a, replicas: 1000}}\n",
            "1:29: processes.x.replicas: more than 100 are not written out",
        ),
        (
            "processes: {x: {command: 'a $' }}\n- b\n",
            "2:1: a key was expected here: check the indentation",
        ),
        (
            "processes: {x: {command: a, ready_log_line: b, readiness_probe: {exec: {command: c}}}}\n",
            "1:29: processes.x has both a ready_log_line and a readiness_probe",
        ),
    ],
)
def test_mistakes_have_their_place(text: str, said: str) -> None:
    assert said in mistakes("process-compose", text)
