"""What was imported is started: the files of every format, as they lie in the corpus, by real commands."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import Harness

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
