"""Every example is valid, and those that can run here are run: real daemon, real services, nothing left at the end."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.loading import load_stack
from harness_core.domain.protocol import StackSource
from harness_core.runtime.plugins import load_plugins
from tests.docs.session import ROOT, Session
from tests.engine import IMAGE, Engine

STACKS = sorted((ROOT / "examples/stacks").glob("*.yaml"))

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.close()


def harness(session: Session, arguments: str, code: int = 0) -> str:
    done = session.run(f"harness {arguments}")
    assert done.returncode == code, f"harness {arguments}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


def start(session: Session, stack: str, code: int = 0) -> str:
    return harness(session, f"start examples/stacks/{stack}.yaml", code)


def units(session: Session) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(harness(session, "status -o json"))["services"]}


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def assert_gone(rows: dict[str, dict[str, Any]]) -> None:
    """No process of these rows lives, and nobody answers at their ports."""
    for row in rows.values():
        stat = Path(f"/proc/{row['pid']}/stat")
        assert row["pid"] is None or not stat.exists() or " Z " in stat.read_text(), row["name"]
        for port in row["ports"].values():
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0, row["name"]


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_every_example_is_valid(path: Path) -> None:
    options = {kind: plugin.options for kind, plugin in load_plugins().executors.items()}
    source = StackSource(text=path.read_text(), filename=path.name, base_dir=str(path.parent), env=dict(os.environ))
    assert load_stack(source, options, read=lambda name: Path(name).read_bytes(), strict=True).diagnostics == []


@pytest.mark.e2e
def test_quickstart_runs_survives_and_goes(session: Session) -> None:
    start(session, "quickstart")
    first = units(session)
    assert {name for name, row in first.items() if row["state"] == "ready"} == {"db", "api", "worker", "flaky"}
    assert first["flaky"]["restarts"] == 1
    assert "revision <b>2</b>" in get(first["api"]["url"])

    daemon = json.loads(harness(session, "daemon status -o json"))["pid"]
    os.kill(daemon, 9)
    again = start(session, "quickstart")
    assert "already up" in again
    assert [row["pid"] for row in units(session).values()] == [row["pid"] for row in first.values()]
    assert json.loads(get(first["api"]["url"] + "/count"))["count"] >= 1

    harness(session, "stop quickstart")
    assert_gone(first)
    start(session, "quickstart")
    assert harness(session, "logs migrate --tail all").count("revision 1") == 1


@pytest.mark.e2e
def test_the_diamond_starts_in_order(session: Session) -> None:
    start(session, "graph")
    begun = re.findall(r"graph/(\w+).*started", harness(session, "events --type started --tail 10"))
    assert (begun[0], set(begun[1:3]), begun[3]) == ("base", {"left", "right"}, "top")


@pytest.mark.e2e
def test_tasks_are_done_once_until_their_inputs_change(session: Session) -> None:
    def runs() -> dict[str, int]:
        names = ("build", "once", "always")
        return {name: harness(session, f"logs {name} --tail all").count("\n") for name in names}

    start(session, "tasks")
    assert runs() == {"build": 1, "once": 1, "always": 1}
    start(session, "tasks")
    assert runs() == {"build": 1, "once": 1, "always": 2}
    stack = session.folder / "examples/stacks/tasks.yaml"
    stack.write_text(stack.read_text() + "# a change\n")
    start(session, "tasks")
    assert runs() == {"build": 2, "once": 1, "always": 3}
    versions = re.findall(r"serving version (\d+)", harness(session, "logs server --tail all"))
    assert len(set(versions)) == len(versions) == 2


@pytest.mark.e2e
def test_variables_have_the_values_of_the_running_service(session: Session) -> None:
    start(session, "ports-and-variables")
    server = units(session)["server"]
    said = harness(session, "logs client --tail all")
    assert f"development: hello, server is at http://127.0.0.1:{server['ports']['http']}" in said
    assert f"second port {server['ports']['admin']}" in said
    assert "it costs 5$, and ${this} stays as it is" in said


@pytest.mark.e2e
def test_a_program_in_the_background_and_a_look_at_it(session: Session) -> None:
    start(session, "background")
    rows = units(session)
    assert rows["server"]["pid"] == rows["onlooker"]["pid"]
    assert ":" in harness(session, "logs onlooker --tail all")
    assert "only looks on" in harness(session, "stop onlooker", code=6)
    harness(session, "stop background --yes")
    assert_gone(rows)


@pytest.mark.e2e
def test_a_web_application_with_postgresql_redis_and_nginx(session: Session) -> None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    programs = {"postgresql": bool(folders), "redis-server": bool(shutil.which("redis-server"))}
    programs["nginx-light"] = bool(shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin"))
    if missing := [package for package, there in programs.items() if not there]:
        pytest.skip(f"apt-get install {' '.join(missing)}")

    try:
        _drive_the_web_application(session)
    finally:
        home = session.folder / "examples/stacks/postgres-redis-app/.harness/postgres"
        if home.is_symlink():  # the user postgres cannot enter this folder; its script found another
            harness(session, "stop --all --yes")
            shutil.rmtree(home.readlink())


def _drive_the_web_application(session: Session) -> None:
    start(session, "postgres-redis-app")
    rows = units(session)
    page = get(rows["nginx"]["url"])
    assert "Hello from PostgreSQL." in page
    assert "Visit number <b>1</b>" in page
    assert "Visit number <b>2</b>" in get(rows["nginx"]["url"])

    added = session.folder / "examples/stacks/postgres-redis-app/migrations/003-news.sql"
    added.write_text("INSERT INTO messages (text) VALUES ('A new row.');\n")
    start(session, "postgres-redis-app")
    told = harness(session, "logs migrate --tail all")
    assert told.count("001-messages: applied\n") == 1
    assert told.count("003-news: applied\n") == 1
    page = get(units(session)["nginx"]["url"])
    assert "A new row." in page
    assert "Visit number <b>3</b>" in page
    assert "003-news" in page

    rows = units(session)
    harness(session, "stop postgres-redis-app")
    assert_gone(rows)
    start(session, "postgres-redis-app")
    assert "Visit number <b>4</b>" in get(units(session)["nginx"]["url"])


@pytest.mark.e2e
def test_processes_and_containers_need_each_other(session: Session, engine: Engine) -> None:
    session.env |= {"DOCKER_HOST": engine.host, "IMAGE": IMAGE}
    start(session, "mixed")
    rows = units(session)
    assert {name: row["state"] for name, row in rows.items()} == {
        "store": "ready",
        "greeter": "ready",
        "front": "ready",
        "migrate": "done",
    }
    page = get(rows["front"]["url"])
    assert page.startswith("http://store:8080 says:\nwords from a container\n")
    assert page.endswith("revision 7: the greeter read: words from a container\n")
    assert "words from a container" in harness(session, "logs migrate --tail all")
    assert "words from" in harness(session, "exec front -- cat /tmp/www/index.html")
    assert harness(session, "exec store -- sh -c 'exit 7'", code=7) == ""

    daemon = json.loads(harness(session, "daemon status -o json"))["pid"]
    os.kill(daemon, 9)
    assert "already up" in start(session, "mixed")
    again = units(session)
    assert [row["container_id"] for row in again.values()] == [row["container_id"] for row in rows.values()]

    assert len(engine.containers()) == 2
    harness(session, "stop mixed")
    assert engine.containers() == []
    assert {row["Name"] for row in engine.call("GET", "/networks")} == {"host", "none"}
    assert_gone(rows)


@pytest.mark.e2e
def test_a_compose_project_is_one_service(session: Session, engine: Engine) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("apt-get install docker-compose")
    session.env |= {"DOCKER_HOST": engine.host, "IMAGE": IMAGE}
    start(session, "compose-project")
    rows = units(session)
    assert {name: row["state"] for name, row in rows.items()} == {"backend": "ready", "reader": "ready"}
    assert get(rows["backend"]["url"] + "/index.html") == "words from a project\n"
    assert "words from a project" in harness(session, "logs reader --tail all")
    assert "seed-1 | seeded" in harness(session, "logs backend --tail all")
    assert "running, healthy" in harness(session, "describe backend")
    assert harness(session, "exec backend -- cat /data/index.html") == "words from a project\n"

    harness(session, "stop compose-project")
    assert engine.containers() == []
    assert {row["Name"] for row in engine.call("GET", "/networks")} == {"host", "none"}
    engine.clear()
    assert_gone(rows)
