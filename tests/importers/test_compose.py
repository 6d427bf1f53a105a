"""Compose files: every syntax that people use for the same thing, layers, variables, and what has no counterpart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importers.kit import imported, lost, mistakes, stack, unit

BARE = {"target": {"type": "docker", "image": "a"}, "restart": {"policy": "no"}}


def of(lines: str, top: str = "") -> dict[str, Any]:
    """The unit that one service becomes; its keys are given without indentation."""
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    return unit("compose", f"services:\n  x:\n    image: a\n{body}{top}", "x")


TARGET: list[tuple[str, dict[str, Any]]] = [
    ("command: ./serve --now", {"command": "./serve --now"}),
    ("command: [./serve, 1, true]", {"command": ["./serve", "1", "true"]}),
    ("entrypoint: []", {"entrypoint": []}),
    ("command: [sh, -c, 'echo $$HOME $${HOME}']", {"command": ["sh", "-c", "echo $HOME $${HOME}"]}),
    ("environment: {A: 1, B: yes, C: null}", {"env": {"A": "1", "B": "yes", "C": "${C:-}"}}),
    ("environment: [A=1=2, C]", {"env": {"A": "1=2", "C": "${C:-}"}}),
    ("labels: [a.b=c, d]", {"labels": {"a.b": "c", "d": ""}}),
    ("user: 1000:1000\nworking_dir: /srv", {"user": "1000:1000", "working_dir": "/srv"}),
    ("build: ./app", {"build": "./app"}),
    (
        "build: {context: ., dockerfile: D, target: t, args: [A=1, B]}",
        {"build": {"context": ".", "dockerfile": "D", "target": "t", "args": {"A": "1", "B": "${B:-}"}}},
    ),
    ("pull_policy: if_not_present\nplatform: linux/arm64", {"pull": "missing", "platform": "linux/arm64"}),
    (
        "ports: [80, '8080:80', '0.0.0.0:1:2', '8000-8002:8000-8002']",
        {"ports": [80, "8080:80", "0.0.0.0:1:2", "8000-8002:8000-8002"]},
    ),
    ("ports: ['53:53/udp', '${P:-1}:2/tcp', '[::1]:3:4']", {"ports": ["53:53/udp", "${P:-1}:2", "[::1]:3:4"]}),
    (
        "ports: [{target: 80, published: '8080', host_ip: 127.0.0.1, protocol: udp}]",
        {"ports": ["127.0.0.1:8080:80/udp"]},
    ),
    ("ports: [{target: 80}]", {"ports": [80]}),
    (
        "volumes: [./a:/b, /c:/d:ro, ~/e:/f, 'g:/h:z', /anonymous]",
        {"volumes": ["./a:/b", "/c:/d:ro", "~/e:/f", "g:/h:z", "/anonymous"]},
    ),
    ("volumes: ['${DIR:-./a}:/b:ro']", {"volumes": ["${DIR:-./a}:/b:ro"]}),
    (
        "volumes: [{type: bind, source: ./a, target: /b, read_only: true, bind: {create_host_path: true}}]",
        {"volumes": ["./a:/b:ro"]},
    ),
    ("volumes: [{type: tmpfs, target: /run}]\ntmpfs: '/tmp:size=1m'", {"tmpfs": ["/tmp:size=1m", "/run"]}),
    ("network_mode: host", {"network": "host"}),
    (
        "container_name: c\nhostname: h\ninit: true\nread_only: true",
        {"name": "c", "hostname": "h", "init": True, "read_only": True},
    ),
    (
        "cap_add: [A]\ncap_drop: [ALL]\nsecurity_opt: [x]\ndevices: [/dev/a]",
        {"cap_add": ["A"], "cap_drop": ["ALL"], "security_opt": ["x"], "devices": ["/dev/a"]},
    ),
    ("extra_hosts: ['a:1.2.3.4', 'b=::1']", {"extra_hosts": {"a": "1.2.3.4", "b": "::1"}}),
    ("extra_hosts: {a: 1.2.3.4}", {"extra_hosts": {"a": "1.2.3.4"}}),
    ("pids_limit: 5\nshm_size: 1g", {"limits": {"pids": 5, "shm": "1GiB"}}),
    ("gpus: all", {"gpus": "all"}),
    (
        "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2, capabilities: [gpu]}]}}}",
        {"gpus": {"driver": "nvidia", "count": 2}},
    ),
]


@pytest.mark.parametrize(("lines", "expected"), TARGET, ids=lambda value: str(value)[:40])
def test_keys_of_the_target(lines: str, expected: dict[str, Any]) -> None:
    assert of(lines) == {**BARE, "target": {**BARE["target"], **expected}}


CHECK = {"interval": "30s", "timeout": "30s", "retries": 3}
UNIT: list[tuple[str, dict[str, Any]]] = [
    ("restart: unless-stopped", {"restart": {"policy": "always", "burst": 0}}),
    ("restart: 'no'", {"restart": {"policy": "no"}}),
    ("restart: on-failure", {"restart": {"policy": "on-failure", "burst": 0}}),
    ("restart: on-failure:3", {"restart": {"policy": "on-failure", "burst": 4, "window": "1h"}}),
    ("deploy: {restart_policy: {condition: any}}", {"restart": {"policy": "always", "burst": 0}}),
    (
        "deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}",
        {"restart": {"policy": "on-failure", "burst": 3, "window": "1h"}},
    ),
    (
        "healthcheck: {test: [CMD, a, b], interval: 1m30s, timeout: 2s, retries: 5, start_period: 10s}",
        {
            "health_check": {
                "command": ["a", "b"],
                "interval": "1m30s",
                "timeout": "2s",
                "retries": 5,
                "start_period": "10s",
            }
        },
    ),
    ("healthcheck: {test: [CMD-SHELL, a || b]}", {"health_check": {"command": "a || b", **CHECK}}),
    ("healthcheck: {test: a $$B}", {"health_check": {"command": "a $B", **CHECK}}),
    ("healthcheck: {test: [NONE]}", {}),
    ("healthcheck: {test: a, disable: true}", {}),
    ("profiles: [a, b]", {"profiles": ["a", "b"]}),
    ("env_file: a.env", {"env_file": ["a.env"]}),
    ("env_file: [a.env, {path: b.env, required: false}]", {"env_file": ["a.env", "?b.env"]}),
    ("stop_signal: SIGINT\nstop_grace_period: 1m", {"stop": {"signal": "INT", "timeout": "1m"}}),
    ("mem_limit: 512m\ncpus: 0.5", {"limits": {"memory": "512MiB", "cpu": 0.5}}),
    ("deploy: {resources: {limits: {memory: 1.5gb, cpus: '2'}}}", {"limits": {"memory": "1536MiB", "cpu": 2}}),
    ("ulimits: {nofile: 1024}", {"limits": {"nofile": 1024}}),
    (
        "logging: {driver: json-file, options: {max-size: 10k, max-file: '1'}}",
        {"logs": {"max_size": "10KiB", "max_files": 2}},
    ),
    ("scale: 0", {"enabled": False}),
]


@pytest.mark.parametrize(("lines", "expected"), UNIT, ids=lambda value: str(value)[:40])
def test_keys_of_the_unit(lines: str, expected: dict[str, Any]) -> None:
    assert of(lines) == {**BARE, **expected}


def test_dependencies() -> None:
    text = """services:
  db: {image: a, healthcheck: {test: x}}
  image: {image: a}
  once: {image: a}
  both: {image: a}
  api:
    image: a
    depends_on:
      db: {condition: service_healthy, restart: true}
      image: {condition: service_healthy}
      once: {condition: service_completed_successfully, required: false}
      both: {condition: service_completed_successfully}
      absent: {condition: service_started, required: false}
  web: {image: a, depends_on: [db, both, api], links: ["api:backend"]}
"""
    made = imported("compose", {"file": text})
    data = stack(made)
    assert data["services"]["api"]["dependencies"] == [
        {"service": "db", "restart": True},
        "image",
        {"task": "once", "required": False},
        {"service": "both", "condition": "completed_successfully"},
    ]
    assert data["services"]["web"]["dependencies"] == ["api", {"service": "db", "condition": "started"}, "both"]
    assert list(data["tasks"]) == ["once"]
    assert lost(made) == {"services.api.depends_on.image": 10}


def test_copies_are_written_out_and_found_under_one_name() -> None:
    text = "services: {w: {image: a, deploy: {replicas: 2}}, x: {image: a, depends_on: [w]}}\n"
    services = stack(imported("compose", {"file": text}))["services"]
    assert [services[name]["target"]["aliases"] for name in ("w-1", "w-2")] == [["w"], ["w"]]
    assert services["x"]["dependencies"] == ["w-1", "w-2"]


def test_volumes_are_those_of_the_project() -> None:
    text = """services: {x: {image: a, volumes: ["data:/a", "shared:/b", "named:/c", "undeclared:/d"]}}
volumes: {data: , shared: {external: true}, named: {name: legacy}}
"""
    data = stack(imported("compose", {"file": text}, folder="My_Shop.1"))
    assert data["services"]["x"]["target"]["volumes"] == [
        "my_shop1_data:/a",
        "shared:/b",
        "legacy:/c",
        "undeclared:/d",
    ]


def test_networks() -> None:
    text = """services:
  a: {image: a, networks: [outside]}
  b: {image: a, networks: {default: {aliases: [c], ipv4_address: 10.0.0.1}}}
  d: {image: a, networks: [outside, default]}
networks: {outside: {external: true, name: web}}
"""
    made = imported("compose", {"file": text})
    services = stack(made)["services"]
    assert services["a"]["target"]["network"] == "web"
    assert services["b"]["target"]["aliases"] == ["c"]
    assert "network" not in services["d"]["target"]
    assert lost(made) == {"services.b.networks.default.ipv4_address": 3, "services.d.networks.outside": 4}


VARIABLES: list[tuple[str, str]] = [
    ("${TOKEN}", "${TOKEN}"),
    ("$TOKEN", "${TOKEN}"),
    ("${OTHER}", "${OTHER:-}"),
    ("$OTHER/x", "${OTHER:-}/x"),
    ("${OTHER:-a ${TOKEN:-b}}", "${OTHER:-a ${TOKEN:-b}}"),
    ("${OTHER:?say it}", "${OTHER:?say it}"),
    ("${OTHER-a}", "${OTHER:-a}"),
    ("${OTHER:+a}b", "b"),
    ("$$$TOKEN", "$$${TOKEN}"),
    ("5$ and $(x)", "5$ and $(x)"),
]


@pytest.mark.parametrize(("written", "template"), VARIABLES)
def test_variables(written: str, template: str) -> None:
    folder = {"compose.yaml": f"services: {{x: {{image: a, hostname: '{written}'}}}}\n", ".env": "TOKEN=secret\n"}
    made = imported(None, folder)
    assert stack(made)["services"]["x"]["target"]["hostname"] == template
    assert "secret" not in made.text
    assert ("--env-file .env" in made.text) == ("${TOKEN}" in template)


def test_layers() -> None:
    folder = {
        "a.yml": """name: Base
services:
  x:
    image: a
    command: [one]
    environment: {A: 1, B: 1}
    ports: ["1:1"]
    volumes: ["./a:/x", "./b:/y"]
    env_file: a.env
    healthcheck: {test: a, interval: 1s}
""",
        "b.yml": """services:
  x:
    command: [two]
    environment: [B=2]
    ports: ["1:1", "2:2"]
    volumes: ["./c:/x:ro"]
    env_file: [b.env]
    healthcheck: {test: b}
  y: {image: b}
""",
    }
    data = stack(imported("compose", folder, "a.yml", "b.yml"))
    x = data["services"]["x"]
    assert data["name"] == "base"
    assert (x["target"]["command"], x["target"]["env"]) == (["two"], {"A": "1", "B": "2"})
    assert (x["target"]["ports"], x["target"]["volumes"]) == (["1:1", "2:2"], ["./b:/y", "./c:/x:ro"])
    assert (x["env_file"], x["health_check"]["command"]) == (["a.env", "b.env"], "b")
    assert x["health_check"]["interval"] == "1s"
    assert list(data["services"]) == ["x", "y"]


def test_extends_across_files_and_folders() -> None:
    folder = {
        "compose.yml": "services: {x: {extends: {file: common/base.yml, service: web}, environment: {B: 2}}}\n",
        "common/base.yml": """services:
  base: {image: a, environment: {A: 1}, volumes: ["./data:/data"], restart: always}
  web: {extends: base, command: [go], env_file: [w.env]}
""",
    }
    x = stack(imported(None, folder))["services"]["x"]
    assert x["target"]["env"] == {"A": "1", "B": "2"}
    assert (x["target"]["volumes"], x["env_file"]) == (["./common/data:/data"], ["./common/w.env"])
    assert x["target"]["command"] == ["go"]


def test_paths_follow_the_stack_file() -> None:
    text = "services: {x: {image: a, build: ., volumes: ['./a:/b', 'n:/c'], env_file: e}}\n"
    x = stack(imported("compose", {"file": text}, prefix="../app"))["services"]["x"]
    assert x["target"]["volumes"] == ["../app/a:/b", "n:/c"]
    assert (x["target"]["build"], x["env_file"]) == ("../app", ["../app/e"])


def test_names_are_made_valid_and_still_found() -> None:
    made = imported("compose", {"file": "services: {DB_Main: {image: a}, x: {image: a, depends_on: [DB_Main]}}\n"})
    services = stack(made)["services"]
    assert services["db_main"]["target"]["aliases"] == ["DB_Main"]
    assert services["x"]["dependencies"] == ["db_main"]


def test_what_has_no_counterpart_is_told_with_its_line() -> None:
    text = """services:
  x:
    image: a
    privileged: true
    tty: true
    network_mode: service:y
    dns: 1.1.1.1
    logging: {driver: syslog, options: {tag: t}}
    healthcheck: {test: a, start_interval: 1s}
    deploy: {placement: {constraints: [a]}, restart_policy: {condition: any, delay: 5s}}
    secrets: [token]
    volumes: [{type: npipe, source: a, target: b}]
    pull_policy: daily
    build: {context: ., cache_from: [a]}
    env_file: [{path: a, format: raw}]
    strange: 1
    x-own: 1
volumes: {v: {driver: nfs}}
secrets: {token: {environment: TOKEN}}
include: [other.yml]
"""
    assert lost(imported("compose", {"file": text})) == {
        "services.x.privileged": 4,
        "services.x.tty": 5,
        "services.x.network_mode": 6,
        "services.x.dns": 7,
        "services.x.logging.options.tag": 8,
        "services.x.healthcheck.start_interval": 9,
        "services.x.deploy.placement": 10,
        "services.x.deploy.restart_policy.delay": 10,
        "services.x.secrets: token": 11,
        "services.x.volumes: b": 12,
        "services.x.pull_policy": 13,
        "services.x.build.cache_from": 14,
        "services.x.env_file.format": 15,
        "services.x.strange": 16,
        "volumes.v.driver": 18,
        "include": 20,
    }


def test_how_mounts_are_passed_on_is_told_as_lost() -> None:
    made = imported("compose", {"file": "services:\n  x:\n    image: a\n    volumes: ['/a:/b:ro,rslave', 'c:/d:rw']\n"})
    assert stack(made)["services"]["x"]["target"]["volumes"] == ["/a:/b:ro", "c:/d"]
    assert lost(made) == {"services.x.volumes: rslave": 4}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {}\n", "1:1: there are no services in it"),
        ("services: {x: {command: a}}\n", "1:12: services.x has neither image nor build"),
        ("services: {x: [a]}\n", "1:12: services.x must be a mapping of keys"),
        ("services:\n  x: {image: a, depends_on: [y]}\n", "2:30: services.x depends on y, which is not there"),
        ("services:\n  x: {extends: y}\n", "2:7: there is no service y to extend"),
        ("services:\n  x: {extends: x}\n", "2:7: x extends itself in the end"),
        ("services:\n  x: {extends: {file: no.yml, service: y}}\n", "2:17: cannot read no.yml, which is extended here"),
        ("services:\n  x: {image: '${A'}\n", "2:7: '${' is never closed; a dollar sign itself is written '$$'"),
        (
            "services:\n  x: {image: '${1}'}\n",
            "2:7: '${1}' has no name of a variable; a dollar sign itself is written '$$'",
        ),
        (
            "services:\n  x: {image: a, mem_limit: lots}\n",
            "2:17: services.x.mem_limit is no size: write for example 512m",
        ),
        ("services:\n  x: {image: a, init: maybe}\n", "2:17: services.x.init must be true or false"),
        ("services:\n  x: {image: a, ports: [{published: 1}]}\n", "2:25: services.x.ports: a port has a target"),
        ("services:\n  x: {image: a, hostname: [b]}\n", "2:17: services.x.hostname must be text"),
        ("services:\n  x: &a {image: *a}\n", "2:17: '*a' stands inside the value that it repeats"),
    ],
)
def test_mistakes_have_their_place(text: str, said: str) -> None:
    assert said in mistakes("compose", text)
