"""What was imported is started: the files of every format, as they lie in the corpus, by real commands."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Harness, until
from tests.engine import IMAGE, Engine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

CORPUS = Path(__file__).parents[1] / "golden" / "importers"


def start(harness: Harness, case: str, *options: str) -> None:
    """Import one folder of the corpus and start what comes of it."""
    shutil.copytree(CORPUS / case, harness.folder, ignore=shutil.ignore_patterns("expected.*"), dirs_exist_ok=True)
    harness.ok("import", "-o", "harness.yaml")
    harness.ok("validate", "harness.yaml", *options)
    harness.ok("start", "harness.yaml", *options)


def ready(harness: Harness) -> set[str]:
    return {name for name, row in harness.rows().items() if row["state"] in ("ready", "done")}


def answers(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return bool(answer.status == 200)


def written(harness: Harness, name: str) -> str:
    return harness.ok("logs", name, "--tail", "all").out


def test_a_procfile(harness: Harness) -> None:
    start(harness, "procfile")
    assert ready(harness) == {"web", "worker", "clock", "release"}
    harness.ok("wait", "web")
    assert harness.rows()["web"]["ports"] == {"http": 18700}
    assert (harness.folder / "data/revision").read_text() == "3\n"


def test_a_supervisord_conf(harness: Harness) -> None:
    start(harness, "supervisord")
    assert ready(harness) == {"db", "web", "worker-00", "worker-01"}
    assert harness.rows()["report"]["phase"] == "not_started"
    assert "worker 1 of shop, main" in written(harness, "worker-01")


def test_a_process_compose_project(harness: Harness) -> None:
    start(harness, "process-compose", "--env-file", ".env")
    assert ready(harness) == {"migrate", "web", "listener", "worker-0", "worker-1"}
    assert answers(18620)
    assert "replica 1 sees 3" in written(harness, "worker-1")


def test_a_services_json(harness: Harness) -> None:
    start(harness, "services.json")
    assert ready(harness) == {"main-api", "web_shop", "store"}
    assert answers(18630)
    assert "the api is http://localhost:18630" in written(harness, "web_shop")


# ── compose files, as containers of a real engine ────────────────────────────────────────────────────────────────────

TAGS = {
    "compose-web": ("shop/postgres:16", "shop/redis:7", "shop/web:1"),
    "compose-queue": ("jobs/broker:3", "jobs/app:1"),
    "compose-proxy": ("proxy/nginx:1.27", "proxy/app:1"),
    "compose-init": ("init/tool:1", "init/app:1"),
    "compose-dev": ("dev/app:latest", "dev/mail:1"),
}


@pytest.fixture
def images(harness: Harness, engine: Engine, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that has what a case names as its images: busybox, under their names."""
    case = str(request.node.callspec.params["case"])
    for tag in TAGS[case]:
        name, _, version = tag.partition(":")
        engine.call("POST", f"/images/{IMAGE}/tag?repo={name}&tag={version}")
    harness.env["DOCKER_HOST"] = engine.host
    yield engine
    harness.run("stop", "--all", "-y", "--grace", "1s")
    for tag in TAGS[case]:
        engine.request("DELETE", f"/images/{tag}?force=1")
    engine.request("POST", "/images/prune")


#: who is ready, what somebody wrote, and where somebody answers
EXPECTED: dict[str, tuple[set[str], dict[str, str], int | None]] = {
    "compose-web": ({"db", "cache", "web"}, {"db": "database of shop", "web": "all found"}, 18640),
    "compose-queue": (
        {"broker", "worker-1", "worker-2", "scheduler"},
        {"worker-2": "worker of default ready", "scheduler": "scheduling"},
        None,
    ),
    "compose-proxy": ({"proxy", "app-blue", "app-green"}, {}, 18641),
    "compose-init": ({"schema", "load", "app"}, {"schema": "applying as s3cr3t", "app": "version 3"}, None),
    "compose-dev": ({"app", "mail"}, {"app": "in development at level debug with local words"}, None),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_a_compose_file(harness: Harness, images: Engine, case: str) -> None:
    names, texts, port = EXPECTED[case]
    start(harness, case, *(("--env-file", ".env") if case == "compose-web" else ()))
    assert ready(harness) == names
    for name, text in texts.items():
        until(lambda name=name, text=text: text in written(harness, name), f"{name} to write {text}")  # type: ignore[misc]
    if port is not None:
        path, page = ("index.html", "behind the proxy\n") if case == "compose-proxy" else ("group", "root:x:0:\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as answer:
            assert answer.read().decode().startswith(page)
    harness.ok("stop", "--all", "-y", "--grace", "2s")
    assert images.containers() == []
